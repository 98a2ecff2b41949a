/* parsers.c - call each parser once, in a separate function, to count its instructions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cg_scan.h"

enum { CELLS = 512, TEXT = 1 << 16 };

static struct cg_cells cells;
static uint64_t values[CELLS];
static uint8_t kinds[CELLS];
static struct cg_layout layout;

int64_t count_one_number(const char *text, size_t length);
int count_parse(const char *text, size_t length);
int count_parse_layout(const char *text, size_t length);

__attribute__((noinline)) int64_t count_one_number(const char *text, size_t length)
{
    return cg_one_number(text, length);
}

__attribute__((noinline)) int count_parse(const char *text, size_t length)
{
    size_t offset;
    return cg_parse(CG_KEYED, text, length, &cells, &offset);
}

__attribute__((noinline)) int count_parse_layout(const char *text, size_t length)
{
    return cg_parse_layout(&layout, text, length, values, kinds);
}

/* Learn the layout as the sampler does: the text between the numbers. */
static void learn(const char *text, size_t length)
{
    static char literals[TEXT];
    static uint32_t ends[CELLS + 1];
    size_t at = 0, to = 0;
    for (size_t i = 0; i < cells.count; i++) {
        memcpy(literals + to, text + at, cells.start[i] - at);
        to += cells.start[i] - at;
        ends[i] = (uint32_t)to;
        for (at = cells.start[i]; at < length && text[at] != '\n'; at++)
            ;
    }
    memcpy(literals + to, text + at, length - at);
    ends[cells.count] = (uint32_t)(to + length - at);
    layout = (struct cg_layout){literals, ends, cells.count, CG_KEYED};
}

int main(int argc, char **argv)
{
    static uint64_t value[CELLS];
    static uint8_t kind[CELLS];
    static uint32_t key[CELLS], key_end[CELLS], start[CELLS];
    static char text[TEXT];
    cells = (struct cg_cells){.capacity = CELLS, .value = value, .kind = kind, .key = key, .key_end = key_end, .start = start};
    if (argc != 2)
        return 2;
    FILE *file = fopen(argv[1], "r");
    if (file == NULL)
        return 2;
    size_t length = fread(text, 1, sizeof text, file);
    fclose(file);
    if (count_parse(text, length) != CG_OK)
        return 3;
    learn(text, length);
    if (count_parse_layout(text, length) != CG_OK || values[0] != value[0])
        return 4;
    if (count_one_number("123456789\n", 10) != 123456789)
        return 5;
    printf("%zu %zu\n", length, cells.count);
    return 0;
}
