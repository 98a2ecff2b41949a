/* test_parse.c - the pure functions: shapes, layouts and the mount table. */
#include <inttypes.h>

#include "check.h"

/* ---- shapes ---------------------------------------------------------------- */

/* Good texts with their cells, as render() writes them; else the status and
 * the offset. */
static const struct {
    int shape;
    const char *text;
    const char *cells;
    int status;
    size_t offset;
} SHAPES[] = {
    {CG_VALUE, "42\n", "=42 ", 0, 0},
    {CG_VALUE, "max\n", "=max ", 0, 0},
    {CG_VALUE, " \n\t-1 \n", "=-1 ", 0, 0},
    {CG_VALUE, "18446744073709551615", "=18446744073709551615 ", 0, 0},
    {CG_VALUE, "-9223372036854775808", "=-9223372036854775808 ", 0, 0},
    {CG_VALUE, "-0", "=0 ", 0, 0},
    {CG_VALUE, "000000000000000000000000000000007", "=7 ", 0, 0},
    {CG_VALUE, "", "", CG_EMPTY, 0},
    {CG_VALUE, " \n\n", "", CG_EMPTY, 3},
    {CG_VALUE, "18446744073709551616", "", CG_RANGE, 0},
    {CG_VALUE, " -9223372036854775809", "", CG_RANGE, 1},
    {CG_VALUE, "1 2", "", CG_SYNTAX, 2},
    {CG_VALUE, "x", "", CG_SYNTAX, 0},
    {CG_VALUE, "1\r\n", "", CG_SYNTAX, 0},
    {CG_VALUES, "100000 max\n-3\n", "=100000 =max =-3 ", 0, 0},
    {CG_VALUES, "", "", 0, 0},
    {CG_VALUES, "1 2 x 3", "", CG_SYNTAX, 4},
    {CG_KEYED, "anon 1\nfile\n\nnew 2 more fields\n", "anon=1 file=none new=2 ", 0, 0},
    {CG_KEYED, "", "", 0, 0},
    {CG_KEYED, "anon 1\nfile x\n", "", CG_SYNTAX, 12},
    {CG_KEYED, "anon 1\nfile 99999999999999999999\n", "", CG_RANGE, 12},
    {CG_NESTED, "8:0 rbytes=1 avg=1.50 s=x e=\n8:1 \n", "8:0{ rbytes=1 avg=150c s='x' e='' 8:1{ ", 0, 0},
    {CG_NESTED, "252:16 252:0 rios=3\n", "252:16{ 252:0{ rios=3 ", 0, 0},
    {CG_NESTED, "Total=5\n", "{ Total=5 ", 0, 0},
    {CG_NESTED, "8:0 =5", "", CG_SYNTAX, 4},
    {CG_NESTED, "8:0 a=18446744073709551616", "", CG_RANGE, 4},
    {CG_NESTED, "8:0 a=1.5 b=1.505 c=.50 d=1000000000000000.00", "8:0{ a='1.5' b='1.505' c='.50' d='1000000000000000.00' ", 0, 0},
    {CG_TRIPLES, "8:0 Read 1\n8:0 Write 2\nTotal 3\n", "8:0{ Read=1 Write=2 { Total=3 ", 0, 0},
    {CG_TRIPLES, "(unknown) Read 1\n8:0\n8:0 Read 2\n", "(unknown){ Read=1 8:0{ Read=2 ", 0, 0},
    {CG_TRIPLES, "8:0 Read x", "", CG_SYNTAX, 9},
    {CG_TABLE, "c 1:3 rwm\n0 5 -5\n", "c{ ='1:3' ='rwm' 0{ =5 =-5 ", 0, 0},
    {CG_TABLE, "a 18446744073709551616", "", CG_RANGE, 2},
    {CG_RANGES, "0-3,8\n", "=0 =3 =8 =8 ", 0, 0},
    {CG_RANGES, "\n", "", 0, 0},
    {CG_RANGES, "65535", "=65535 =65535 ", 0, 0},
    {CG_RANGES, "0,65536", "", CG_RANGE, 2},
    {CG_RANGES, "0,3-1", "", CG_SYNTAX, 2},
    {CG_RANGES, "0,,1", "", CG_SYNTAX, 2},
    {CG_RANGES, "0-3 4", "", CG_SYNTAX, 4},
    {CG_WORDS, "cpu  io\nmemory", "='cpu' ='io' ='memory' ", 0, 0},
    {CG_WORDS, "cpu i\x01o", "", CG_SYNTAX, 4},
    {CG_TEXT, "domain threaded\n", "='domain threaded' ", 0, 0},
    {CG_TEXT, "", "='' ", 0, 0},
    {CG_TEXT, "\n\n", "='\n' ", 0, 0},
    {CG_TEXT + 1, "5", "", CG_SYNTAX, 0},
    {-1, "5", "", CG_SYNTAX, 0},
};

static void render(const char *text, const struct cg_cells *cells, char *to, size_t size)
{
    *to = '\0';
    for (size_t i = 0; i < cells->count; i++) {
        size_t used = strlen(to), left = size - used;
        uint64_t value = cells->value[i];
        to += used;
        size = left;
        int n = snprintf(to, size, "%.*s", (int)(cells->key_end[i] - cells->key[i]), text + cells->key[i]);
        CHECK(n >= 0 && (size_t)n < size);
        to += n;
        size -= (size_t)n;
        switch (cells->kind[i]) {
        case CG_UINT: snprintf(to, size, "=%" PRIu64 " ", value); break;
        case CG_NEGATIVE: snprintf(to, size, "=%" PRId64 " ", (int64_t)value); break;
        case CG_MAX: snprintf(to, size, "=max "); break;
        case CG_CENTI: snprintf(to, size, "=%" PRIu64 "c ", value); break;
        case CG_STRING:
            snprintf(to, size, "='%.*s' ", (int)((value & UINT32_MAX) - (value >> 32)), text + (value >> 32));
            break;
        case CG_NONE: snprintf(to, size, "=none "); break;
        case CG_ROW: snprintf(to, size, "{ "); break;
        default: CHECK(false);
        }
    }
}

void test_shapes(void)
{
    for (size_t i = 0; i < COUNT(SHAPES); i++) {
        size_t length = strlen(SHAPES[i].text), offset = 77;
        char *text = exact(SHAPES[i].text, length), found[512];
        struct cg_cells cells = cells_create(32);
        int status = cg_parse(SHAPES[i].shape, text, length, &cells, &offset);
        if (status != SHAPES[i].status)
            fprintf(stderr, "shape %d of \"%s\"\n", SHAPES[i].shape, SHAPES[i].text);
        CHECK_EQUAL(status, SHAPES[i].status);
        if (status) {
            CHECK_EQUAL(offset, SHAPES[i].offset);
        } else {
            render(text, &cells, found, sizeof found);
            if (strcmp(found, SHAPES[i].cells) != 0)
                fprintf(stderr, "%s\n%s\n", found, SHAPES[i].cells);
            CHECK(strcmp(found, SHAPES[i].cells) == 0);
        }
        cells_destroy(&cells);
        free(text);
    }
}

/* With room for any number of cells less than there are: CG_SPACE, and those. */
void test_shape_space(void)
{
    for (size_t i = 0; i < COUNT(SHAPES); i++) {
        size_t length = strlen(SHAPES[i].text), offset;
        char *text = exact(SHAPES[i].text, length);
        struct cg_cells whole = cells_create(32);
        if (cg_parse(SHAPES[i].shape, text, length, &whole, &offset) == CG_OK) {
            for (size_t capacity = 0; capacity <= whole.count; capacity++) {
                struct cg_cells cells = cells_create(capacity);
                CHECK_EQUAL(cg_parse(SHAPES[i].shape, text, length, &cells, &offset),
                            capacity < whole.count ? CG_SPACE : CG_OK);
                CHECK_EQUAL(cells.count, capacity);
                CHECK(memcmp(cells.value, whole.value, capacity * sizeof *cells.value) == 0);
                CHECK(memcmp(cells.key, whole.key, capacity * sizeof *cells.key) == 0);
                cells_destroy(&cells);
            }
        }
        cells_destroy(&whole);
        free(text);
    }
}

/* ---- layouts ----------------------------------------------------------------- */

static const struct {
    const char *keys;
    size_t count;
    const char *text;
    int status;
    uint64_t values[2];
} LAYOUTS[] = {
    {"anon\nfile\n", 2, "anon 1\nfile 2\n", CG_OK, {1, 2}},
    {"anon\nfile\n", 2, "anon 0\nfile 9999999999999999999\n", CG_OK, {0, 9999999999999999999u}},
    {"anon\n", 1, "anon 0000000000000000007\n", CG_OK, {7, 0}},
    {"anon\nfile\n", 2, "file 1\nanon 2\n", CG_LAYOUT, {0, 0}},
    {"anon\nfile\n", 2, "anon 1\n", CG_LAYOUT, {0, 0}},
    {"anon\n", 1, "anon 1\nfile 2\n", CG_LAYOUT, {0, 0}},
    {"anon\nfile\n", 1, "anon 1\nfile 2\n", CG_LAYOUT, {0, 0}},
    {"anon\n", 2, "anon 1\n", CG_LAYOUT, {0, 0}},
    {"anon\n", 1, "anonymous 1\n", CG_LAYOUT, {0, 0}},
    {"anon\n", 1, "ano 1\n", CG_LAYOUT, {0, 0}},
    {"anon\n", 1, "anon max\n", CG_LAYOUT, {0, 0}},
    {"anon\n", 1, "anon -1\n", CG_LAYOUT, {0, 0}},
    {"anon\n", 1, "anon 1 2\n", CG_LAYOUT, {0, 0}},
    {"anon\n", 1, "anon 18446744073709551616\n", CG_LAYOUT, {0, 0}},
    {"anon\n", 1, "anon 1", CG_LAYOUT, {0, 0}},
    {"anon\n", 1, "anon ", CG_LAYOUT, {0, 0}},
    {"anon\n", 1, "anon", CG_LAYOUT, {0, 0}},
    {"anon\n", 1, "an", CG_LAYOUT, {0, 0}},
    {"anon\n", 1, "", CG_LAYOUT, {0, 0}},
    {"", 0, "", CG_OK, {0, 0}},
    {"", 0, "anon 1\n", CG_LAYOUT, {0, 0}},
};

void test_layout(void)
{
    for (size_t i = 0; i < COUNT(LAYOUTS); i++) {
        size_t length = strlen(LAYOUTS[i].text), count = LAYOUTS[i].count, keys_length = strlen(LAYOUTS[i].keys);
        char *text = exact(LAYOUTS[i].text, length), *keys = exact(LAYOUTS[i].keys, keys_length);
        uint64_t *values = malloc(count ? count * sizeof *values : 1);
        struct cg_layout layout = layout_create(keys, keys_length, count);
        int status = cg_parse_layout(&layout, text, length, values, NULL);
        if (status != LAYOUTS[i].status)
            fprintf(stderr, "layout of \"%s\"\n", LAYOUTS[i].text);
        CHECK_EQUAL(status, LAYOUTS[i].status);
        for (size_t j = 0; status == CG_OK && j < count; j++)
            CHECK(values[j] == LAYOUTS[i].values[j]);
        layout_destroy(&layout);
        free(values);
        free(keys);
        free(text);
    }

    /* Hundredths are numbers of one shape only. */
    struct cg_layout layout = layout_create("some", 4, 1);
    for (layout.shape = CG_VALUE; layout.shape <= CG_TRIPLES; layout.shape++) {
        uint64_t value;
        uint8_t kind;
        int status = cg_parse_layout(&layout, "some 5.00\n", 10, &value, &kind);
        CHECK_EQUAL(status, layout.shape == CG_NESTED ? CG_OK : CG_LAYOUT);
        CHECK(status != CG_OK || (kind == CG_CENTI && value == 500));
        CHECK_EQUAL(cg_parse_layout(&layout, "some max\n", 9, &value, &kind), CG_OK);
        CHECK_EQUAL(kind, CG_MAX);
    }
    layout_destroy(&layout);
}

/* ---- the mount table ------------------------------------------------------------ */

static const char TABLE[] =
    "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu\\040x rw,nosuid shared:9 master:2 - cgroup  rw,cpu,cpuacct\n"
    "\n"
    "41 31 0:38 /../.. /sys/fs/cgroup/unified rw - cgroup2 any rw,nsdelegate\n"
    "42 31 4294967295:1 /a\\134040\\0408 /b\\400\\04 rw - cgroup none rw,name=a\\040b";

static void check_string(const char *strings, const uint32_t *mount, int field, const char *expected)
{
    size_t length = mount[field + 1] - mount[field];
    CHECK_EQUAL(length, strlen(expected));
    CHECK(memcmp(strings + mount[field], expected, length) == 0);
}

static void check_mounts(const char *strings, const uint32_t *mounts)
{
    static const struct {
        uint32_t version, major, minor;
        const char *root, *point, *flags, *options;
    } EXPECTED[] = {
        {1, 0, 29, "/", "/sys/fs/cgroup/cpu x", "rw,nosuid", "rw,cpu,cpuacct"},
        {2, 0, 38, "/../..", "/sys/fs/cgroup/unified", "rw", "rw,nsdelegate"},
        {1, 4294967295u, 1, "/a\\040 8", "/b\\400\\04", "rw", "rw,name=a\\040b"},
    };
    for (size_t i = 0; i < COUNT(EXPECTED); i++, mounts += CG_MOUNT_FIELDS) {
        CHECK_EQUAL(mounts[CG_MOUNT_VERSION], EXPECTED[i].version);
        CHECK_EQUAL(mounts[CG_MOUNT_MAJOR], EXPECTED[i].major);
        CHECK_EQUAL(mounts[CG_MOUNT_MINOR], EXPECTED[i].minor);
        check_string(strings, mounts, CG_MOUNT_ROOT, EXPECTED[i].root);
        check_string(strings, mounts, CG_MOUNT_POINT, EXPECTED[i].point);
        check_string(strings, mounts, CG_MOUNT_FLAGS, EXPECTED[i].flags);
        check_string(strings, mounts, CG_MOUNT_OPTIONS, EXPECTED[i].options);
    }
}

static int parse_table(const char *table, size_t length, size_t capacity, size_t *count_ret, size_t *offset_ret,
                       void (*check)(const char *, const uint32_t *))
{
    char *text = exact(table, length), *strings = malloc(length ? length : 1);
    uint32_t *mounts = malloc(capacity ? capacity * CG_MOUNT_FIELDS * sizeof *mounts : 1);
    int status = cg_parse_mountinfo(text, length, strings, mounts, capacity, count_ret, offset_ret);
    if (status == CG_OK && check != NULL)
        check(strings, mounts);
    free(mounts);
    free(strings);
    free(text);
    return status;
}

void test_mountinfo(void)
{
    static const char *const BROKEN[] = {
        "x",
        "36 35 98:0 / /mnt rw shared:1 cgroup cgroup rw",
        "36 35 98:0 / /mnt rw -",
        "36 35 98:0 / /mnt rw - cgroup cgroup",
        "36 35 980 / /mnt rw - cgroup cgroup rw",
        "36 35 98:x / /mnt rw - cgroup cgroup rw",
        "36 35 98:4294967296 / /mnt rw - cgroup cgroup rw",
        "36 35 98 / /mnt rw - ext4 /dev/sda rw",
        "36 35 98:0",
        " ",
    };
    size_t length = sizeof TABLE - 1, count = 0, offset;
    for (size_t capacity = 0; capacity < 3; capacity++)
        CHECK_EQUAL(parse_table(TABLE, length, capacity, &count, &offset, NULL), CG_SPACE);
    CHECK_EQUAL(parse_table(TABLE, length, 3, &count, &offset, check_mounts), CG_OK);
    CHECK_EQUAL(count, 3);
    CHECK_EQUAL(parse_table("", 0, 0, &count, &offset, NULL), CG_OK);
    CHECK_EQUAL(count, 0);
    for (size_t i = 0; i < COUNT(BROKEN); i++) {
        char text[256];
        const char *before = "1 2 0:3 / /x rw - cgroup c rw\n";
        snprintf(text, sizeof text, "%s%s\n%s", before, BROKEN[i], before);
        if (parse_table(text, strlen(text), 4, &count, &offset, NULL) != CG_SYNTAX)
            fprintf(stderr, "taken: %s\n", BROKEN[i]);
        CHECK_EQUAL(parse_table(text, strlen(text), 4, &count, &offset, NULL), CG_SYNTAX);
        CHECK_EQUAL(offset, strlen(before));
    }
    /* Any beginning of a table: taken or refused, with the offset inside. */
    for (size_t cut = 0; cut < length; cut++) {
        int status = parse_table(TABLE, cut, 3, &count, &offset, NULL);
        CHECK(status == CG_OK || (status == CG_SYNTAX && offset <= cut));
    }
}
