/* fuzz.c - the entry of a fuzzer: any bytes, into every pure function.
 *
 * The first byte chooses the function, the second the room that it has.
 * With clang: -fsanitize=fuzzer,address,undefined fuzz.c csrc/[a-z]*.c */
#include "check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse(int shape, const char *text, size_t length, size_t capacity)
{
    struct cg_cells cells = cells_create(capacity);
    size_t offset;
    int status = cg_parse(shape, text, length, &cells, &offset);
    CHECK(status == CG_OK || status == CG_SYNTAX || status == CG_RANGE || status == CG_EMPTY || status == CG_SPACE);
    CHECK(offset <= length && cells.count <= capacity);
    for (size_t i = 0; i < cells.count; i++) {
        CHECK(cells.kind[i] <= CG_ROW && cells.key[i] <= cells.key_end[i] && cells.key_end[i] <= length);
        CHECK(cells.kind[i] != CG_STRING || cells.value[i] >> 32 <= (cells.value[i] & UINT32_MAX));
        CHECK(cells.kind[i] != CG_STRING || (cells.value[i] & UINT32_MAX) <= length);
        CHECK(cells.start[i] <= length && (cells.kind[i] > CG_CENTI || cells.start[i] < length));
    }
    cells_destroy(&cells);
}

static void parse_mountinfo(const char *text, size_t length, size_t capacity)
{
    size_t count, offset;
    char *strings = malloc(length ? length : 1);
    uint32_t *mounts = malloc(capacity ? capacity * CG_MOUNT_FIELDS * sizeof *mounts : 1);
    int status = cg_parse_mountinfo(text, length, strings, mounts, capacity, &count, &offset);
    CHECK(status == CG_OK || status == CG_SYNTAX || status == CG_SPACE);
    CHECK(offset <= length && (status != CG_OK || count <= capacity));
    for (size_t i = 0; status == CG_OK && i < count * CG_MOUNT_FIELDS; i += CG_MOUNT_FIELDS)
        CHECK(mounts[i + CG_MOUNT_ROOT] <= mounts[i + CG_MOUNT_OPTIONS_END] && mounts[i + CG_MOUNT_OPTIONS_END] <= length);
    free(mounts);
    free(strings);
}

static void parse_layout(const char *text, size_t length, size_t capacity)
{
    /* The text's first line is the layout's keys, blanks between. */
    const char *end = memchr(text, '\n', length);
    size_t size = end ? (size_t)(end - text) + 1 : 0;
    char *keys = exact(text, size);
    uint64_t *values = malloc(capacity ? capacity * sizeof *values : 1);
    uint8_t *kinds = malloc(capacity ? capacity : 1);
    for (size_t i = 0; i < size; i++)
        keys[i] = keys[i] == ' ' ? '\n' : keys[i];
    struct cg_layout layout = layout_create(keys, size, capacity);
    int strict = cg_parse_layout(&layout, text + size, length - size, values, NULL);
    int status = cg_parse_layout(&layout, text + size, length - size, values, kinds);
    CHECK(status == CG_OK || status == CG_LAYOUT);
    CHECK(strict == CG_LAYOUT || status == CG_OK);
    for (size_t i = 0; status == CG_OK && i < capacity; i++)
        CHECK(kinds[i] <= CG_CENTI);
    layout_destroy(&layout);
    free(kinds);
    free(values);
    free(keys);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    char *text = exact((const char *)data + 2, size - 2);
    int function = data[0] % (CG_TEXT + 3);
    if (function <= CG_TEXT)
        parse(function, text, size - 2, data[1]);
    else if (function == CG_TEXT + 1)
        parse_mountinfo(text, size - 2, data[1]);
    else
        parse_layout(text, size - 2, data[1] % 8);
    free(text);
    return 0;
}
