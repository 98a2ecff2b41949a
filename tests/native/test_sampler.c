/* test_sampler.c - frames over plain directories: every kind of cell, texts
 * that change, rows that come and go. */
#include <sys/stat.h>

#include "check.h"

enum { COLUMNS = 8 };

struct table {
    struct cg_cache *cache;
    struct cg_file *directory;
    struct cg_sampler *sampler;
    struct cg_frame frame;
};

static struct table table_create(size_t budget, size_t rows)
{
    char path[4096];
    CHECK(getcwd(path, sizeof path) != NULL);
    struct table table = {.cache = cg_cache_create(budget)};
    table.directory = cg_file_create(table.cache, NULL, path, CG_FILE_DIRECTORY);
    table.sampler = cg_sampler_create(table.cache, COLUMNS);
    CHECK(table.cache && table.directory && table.sampler);
    table.frame = (struct cg_frame){
        .capacity = rows,
        .values = malloc(rows * COLUMNS * sizeof(int64_t)),
        .statuses = malloc(rows * COLUMNS),
        .errors = malloc(rows * COLUMNS * sizeof(int32_t)),
        .inodes = malloc(rows * sizeof(uint64_t)),
    };
    CHECK(table.frame.values && table.frame.statuses && table.frame.errors && table.frame.inodes);
    return table;
}

static void table_destroy(struct table *table)
{
    cg_sampler_destroy(table->sampler);
    cg_file_destroy(table->directory);
    CHECK_EQUAL(cg_cache_kept(table->cache), 0);
    cg_cache_destroy(table->cache);
    free(table->frame.values);
    free(table->frame.statuses);
    free(table->frame.errors);
    free(table->frame.inodes);
}

static void sample(struct table *table)
{
    size_t columns;
    cg_sampler_size(table->sampler, &table->frame.capacity, &columns);
    CHECK_EQUAL(cg_sampler_sample(table->sampler, &table->frame), CG_OK);
}

static void check_cell(const struct table *table, size_t row, size_t column, int status, int64_t value, int error)
{
    size_t at = row * COLUMNS + column;
    CHECK_EQUAL(table->frame.statuses[at], status);
    CHECK_EQUAL(table->frame.values[at], value);
    CHECK_EQUAL(table->frame.errors[at], error);
}

static void check_ok(const struct table *table, size_t row, size_t column, int64_t value)
{
    check_cell(table, row, column, CG_CELL_OK, value, 0);
}

static void add(struct table *table, const char *path, const char *const *names,
                const struct program *const *programs, size_t count)
{
    row_add(table->sampler, table->directory, path, names, programs, count);
}

/* ---- every kind of cell ---------------------------------------------------------- */

/* The text of one file, and the cell that a program of one target makes of it. */
static const struct {
    const char *text;
    int shape;
    struct cg_target target;
    int status;
    int64_t value;
    int error;
} CELLS[] = {
    {"5\n", CG_VALUE, {"", "", 0, 0, 0, 1, 0}, CG_CELL_OK, 5, 0},
    {"5", CG_VALUE, {"", "", 0, 0, 0, 1, 0}, CG_CELL_ERROR, 0, EBADMSG},
    {"anon 1\nfile 2", CG_KEYED, {"", "anon", 0, 0, 0, 1, 0}, CG_CELL_ERROR, 0, EBADMSG},
    {"8:0 rbps=12", CG_NESTED, {"8:0", "rbps", 0, 0, 0, 1, 0}, CG_CELL_ERROR, 0, EBADMSG},
    {"8:0 rbps=12 \n8:16 ", CG_NESTED, {"8:0", "rbps", 0, 0, 0, 1, 0}, CG_CELL_OK, 12, 0},
    {"5\n", CG_VALUE, {"", "", 0, 0, 0, 1000, 0}, CG_CELL_OK, 5000, 0},
    {"max\n", CG_VALUE, {"", "", 0, 0, 0, 1, 0}, CG_CELL_MAX, INT64_MAX, 0},
    {"-5\n", CG_VALUE, {"", "", 0, 0, CG_TARGET_SIGNED, 1, 0}, CG_CELL_OK, -5, 0},
    {"-5\n", CG_VALUE, {"", "", 0, 0, 0, 1, 0}, CG_CELL_ERROR, 0, EBADMSG},
    {"-1\n", CG_VALUE, {"", "", 0, 0, 0, 1, 0}, CG_CELL_ERROR, 0, EBADMSG},
    {"-1\n", CG_VALUE, {"", "", 0, 0, CG_TARGET_MINUS_ONE_IS_MAX, 1, 0}, CG_CELL_MAX, INT64_MAX, 0},
    {"99\n", CG_VALUE, {"", "", 0, 0, 0, 1, 100}, CG_CELL_OK, 99, 0},
    {"100\n", CG_VALUE, {"", "", 0, 0, 0, 1, 100}, CG_CELL_MAX, INT64_MAX, 0},
    {"9223372036854775807\n", CG_VALUE, {"", "", 0, 0, 0, 1, 0}, CG_CELL_OK, INT64_MAX, 0},
    {"9223372036854775808\n", CG_VALUE, {"", "", 0, 0, 0, 1, 0}, CG_CELL_RANGE, INT64_MIN, 0},
    {"18446744073709551615\n", CG_VALUE, {"", "", 0, 0, 0, 1, 0}, CG_CELL_RANGE, -1, 0},
    {"9223372036854775807\n", CG_VALUE, {"", "", 0, 0, 0, 2, 0}, CG_CELL_RANGE, -2, 0},
    {"18446744073709551615\n", CG_VALUE, {"", "", 0, 0, 0, 2, 0}, CG_CELL_ERROR, 0, EOVERFLOW},
    {"18446744073709551616\n", CG_VALUE, {"", "", 0, 0, 0, 1, 0}, CG_CELL_ERROR, 0, EBADMSG},
    {"five\n", CG_VALUE, {"", "", 0, 0, 0, 1, 0}, CG_CELL_ERROR, 0, EBADMSG},
    {"", CG_VALUE, {"", "", 0, 0, 0, 1, 0}, CG_CELL_ERROR, 0, EBADMSG},
    {NULL, CG_VALUE, {"", "", 0, 0, 0, 1, 0}, CG_CELL_ABSENT, 0, ENOENT},
    {"7 8 9\n", CG_VALUES, {"", "", 2, 0, 0, 1, 0}, CG_CELL_OK, 9, 0},
    {"7 8\n", CG_VALUES, {"", "", 2, 0, 0, 1, 0}, CG_CELL_ABSENT, 0, 0},
    {"max 100000\n", CG_VALUES, {"", "", 1, 0, 0, 1, 0}, CG_CELL_OK, 100000, 0},
    {"anon 1\nfile 2\n", CG_KEYED, {"", "file", 0, 0, 0, 10, 0}, CG_CELL_OK, 20, 0},
    {"anon 1\nfile\n", CG_KEYED, {"", "file", 0, 0, 0, 1, 0}, CG_CELL_ERROR, 0, EBADMSG},
    {"anon 1\nfiles 2\n", CG_KEYED, {"", "file", 0, 0, 0, 1, 0}, CG_CELL_ABSENT, 0, 0},
    {"anon 1\nfile 2\n", CG_KEYED, {"", "file", 0, -1, 0, 1, 0}, CG_CELL_ABSENT, 0, 0},
    {"some avg10=1.25 total=7\nfull avg10=0.50 total=3\n", CG_NESTED, {"full", "avg10", 0, 0, CG_TARGET_CENTI, 1, 0}, CG_CELL_OK, 50, 0},
    {"some avg10=1 total=7\n", CG_NESTED, {"some", "avg10", 0, 0, CG_TARGET_CENTI, 1, 0}, CG_CELL_OK, 100, 0},
    {"some avg10=1.25 total=7\n", CG_NESTED, {"some", "total", 0, 0, 0, 1000, 0}, CG_CELL_OK, 7000, 0},
    {"8:0 rbps=max wiops=5\n", CG_NESTED, {"8:0", "rbps", 0, 0, 0, 1, 0}, CG_CELL_MAX, INT64_MAX, 0},
    {"8:0 rbps=x\n", CG_NESTED, {"8:0", "rbps", 0, 0, 0, 1, 0}, CG_CELL_ERROR, 0, EBADMSG},
    {"8:0 Read 4\n8:0 Write 6\nTotal 10\n", CG_TRIPLES, {"8:0", "Write", 0, 0, 0, 1, 0}, CG_CELL_OK, 6, 0},
    {"8:0 Read 4\n8:0 Write 6\nTotal 10\n", CG_TRIPLES, {"", "Total", 0, 0, 0, 1, 0}, CG_CELL_OK, 10, 0},
};

void test_sampler(void)
{
    struct program programs[COUNT(CELLS)];
    struct table table = table_create(COUNT(CELLS), COUNT(CELLS));
    char names[COUNT(CELLS)][16];
    CHECK_EQUAL(mkdir("a", 0700), 0);
    for (size_t i = 0; i < COUNT(CELLS); i++) {
        char path[32];
        snprintf(names[i], sizeof names[i], "f%zu", i);
        snprintf(path, sizeof path, "a/%s", names[i]);
        if (CELLS[i].text != NULL)
            write_file(path, CELLS[i].text);
        programs[i] = (struct program){CELLS[i].shape, 1, &CELLS[i].target};
        add(&table, "a", (const char *const[]){names[i]}, (const struct program *const[]){&programs[i]}, 1);
    }
    for (size_t budget = COUNT(CELLS); ; budget /= 4) {
        cg_cache_set_budget(table.cache, budget);
        for (int round = 0; round < 3; round++) {
            sample(&table);
            CHECK_EQUAL(table.frame.rows, COUNT(CELLS));
            CHECK(table.frame.timestamp > 0 && table.frame.duration >= 0);
            for (size_t i = 0; i < COUNT(CELLS); i++) {
                size_t before = i * COLUMNS;
                if (table.frame.statuses[before] != CELLS[i].status)
                    fprintf(stderr, "cell %zu, \"%s\", budget %zu\n", i, CELLS[i].text, budget);
                check_cell(&table, i, 0, CELLS[i].status, CELLS[i].value, CELLS[i].error);
                check_cell(&table, i, 1, CG_CELL_ABSENT, 0, 0);
            }
            CHECK(cg_cache_kept(table.cache) <= budget);
        }
        if (budget == 0)
            break;
    }
    for (size_t rows = COUNT(CELLS) - 1; rows <= COUNT(CELLS) + 1; rows += 2) {
        table.frame.capacity = rows;
        CHECK_EQUAL(cg_sampler_sample(table.sampler, &table.frame), CG_SPACE);
    }
    table_destroy(&table);
}

/* ---- texts that change ---------------------------------------------------------------- */

void test_sampler_texts(void)
{
    static const struct cg_target STAT[] = {
        {"", "anon", 0, 0, 0, 1, 0},
        {"", "anon", 0, 1, CG_TARGET_SHARED_NUMBER, 1000, 0},
        {"", "file", 0, 2, 0, 1, 0},
    };
    static const struct cg_target SUM[] = {{"", "", 0, 3, 0, 1, 0}}, MORE[] = {{"", "", 0, 3, CG_TARGET_ADD, 1, 0}};
    static const struct cg_target FIRST[] = {{"", "", 0, 4, 0, 1, 0}}, SECOND[] = {{"", "", 0, 4, CG_TARGET_FALLBACK, 1, 0}};
    static const struct program PROGRAMS[] = {
        {CG_KEYED, 3, STAT}, {CG_VALUE, 1, SUM}, {CG_VALUE, 1, MORE}, {CG_VALUE, 1, FIRST}, {CG_VALUE, 1, SECOND},
    };
    static const char *const NAMES[] = {"stat", "one", "other", "first", "second"};
    const struct program *programs[COUNT(PROGRAMS)];
    uint32_t pairs[2];
    for (size_t i = 0; i < COUNT(PROGRAMS); i++)
        programs[i] = &PROGRAMS[i];
    struct table table = table_create(100, 1);
    CHECK_EQUAL(mkdir("a", 0700), 0);
    write_file("a/stat", "anon 1\nfile 2\n");
    write_file("a/one", "40\n");
    write_file("a/other", "2\n");
    write_file("a/second", "8\n");
    add(&table, "a", NAMES, programs, COUNT(PROGRAMS));
    for (int round = 0; round < 2; round++) {
        sample(&table);
        check_ok(&table, 0, 0, 1);
        check_ok(&table, 0, 1, 1000);
        check_ok(&table, 0, 2, 2);
        check_ok(&table, 0, 3, 42);
        check_ok(&table, 0, 4, 8);
    }
    CHECK_EQUAL(cg_sampler_unknown(table.sampler, pairs, 1), 0);

    /* In the steady state nothing is allocated, whatever the numbers are; kept open or not. */
    for (size_t budget = 100;; budget = 0) {
        cg_cache_set_budget(table.cache, budget);
        for (int round = 0; round < 100; round++) {
            write_file("a/one", round % 2 ? "41\n" : "max\n");
            size_t before = allocations;
            sample(&table);
            CHECK(round < 2 || allocations == before); /* each form is learned once */
        }
        write_file("a/one", "40\n");
        if (budget == 0)
            break;
    }
    cg_cache_set_budget(table.cache, 100);

    /* A key that nobody knew, in the midst: nothing shifts.  Then the order turns, and one is gone. */
    write_file("a/stat", "new 9\nanon 3\nnewer 7\nfile 4\n");
    sample(&table);
    check_ok(&table, 0, 0, 3);
    check_ok(&table, 0, 2, 4);
    CHECK_EQUAL(cg_sampler_unknown(table.sampler, pairs, 1), 1);
    CHECK(pairs[0] == 0 && pairs[1] == 0);
    write_file("a/stat", "file 5\nanon 6\n");
    sample(&table);
    check_ok(&table, 0, 1, 6000);
    check_ok(&table, 0, 2, 5);
    write_file("a/stat", "file 5\n");
    sample(&table);
    check_cell(&table, 0, 0, CG_CELL_ABSENT, 0, 0);
    check_ok(&table, 0, 2, 5);

    /* More layouts than are kept, again and again. */
    for (int round = 0; round < 40; round++) {
        char text[256] = "";
        for (int i = 0; i < round % 13; i++)
            snprintf(text + strlen(text), sizeof text - strlen(text), "k%d %d\n", i, round);
        snprintf(text + strlen(text), sizeof text - strlen(text), "anon %d\n", round);
        write_file("a/stat", text);
        sample(&table);
        check_ok(&table, 0, 0, round);
        check_cell(&table, 0, 2, CG_CELL_ABSENT, 0, 0);
    }

    /* A text that is larger than the memory for it, by more than twice. */
    FILE *file = fopen("a/stat", "w");
    CHECK(file != NULL);
    for (int i = 0; i < 20000; i++)
        fprintf(file, "key%d 1\n", i);
    fprintf(file, "anon 11\n");
    CHECK_EQUAL(fclose(file), 0);
    for (int round = 0; round < 2; round++) {
        sample(&table);
        check_ok(&table, 0, 0, 11);
    }

    /* A sum with a part that is not a number is not a number; with an unlimited part, it is unlimited. */
    write_file("a/other", "max\n");
    sample(&table);
    check_cell(&table, 0, 3, CG_CELL_MAX, INT64_MAX, 0);
    write_file("a/other", "9223372036854775807\n");
    sample(&table);
    check_cell(&table, 0, 3, CG_CELL_RANGE, (int64_t)((uint64_t)INT64_MAX + 40), 0);
    write_file("a/other", "18446744073709551615\n");
    sample(&table);
    check_cell(&table, 0, 3, CG_CELL_ERROR, 0, EOVERFLOW);
    write_file("a/other", "x\n");
    sample(&table);
    check_cell(&table, 0, 3, CG_CELL_ERROR, 0, EBADMSG);
    write_file("a/other", "2\n");
    write_file("a/one", "x\n");
    sample(&table);
    check_cell(&table, 0, 3, CG_CELL_ERROR, 0, EBADMSG);
    table_destroy(&table);
}

/* ---- rows that come and go ------------------------------------------------------------ */

static void make_row(const char *name, const char *text)
{
    char path[64];
    CHECK_EQUAL(mkdir(name, 0700), 0);
    snprintf(path, sizeof path, "%s/value", name);
    write_file(path, text);
}

static void remove_row(const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "%s/value", name);
    unlink(path);
    CHECK_EQUAL(rmdir(name), 0);
}

static uint64_t inode_of(const char *name)
{
    struct stat found;
    CHECK_EQUAL(stat(name, &found), 0);
    return found.st_ino;
}

void test_sampler_rows(void)
{
    static const struct cg_target TARGET = {"", "", 0, 0, 0, 1, 0};
    static const struct program PROGRAM = {CG_VALUE, 1, &TARGET};
    static const char *const NAMES[] = {"value"};
    const struct program *programs[] = {&PROGRAM};
    static const char *const ROWS[] = {"a", "b", "c", "none"};
    /* No descriptor is kept: a plain file that is gone would still answer. */
    struct table table = table_create(0, 10);
    sample(&table);
    CHECK_EQUAL(table.frame.rows, 0);
    make_row("a", "1\n");
    make_row("b", "2\n");
    make_row("c", "3\n");
    for (size_t i = 0; i < COUNT(ROWS); i++)
        add(&table, ROWS[i], NAMES, programs, 1);
    sample(&table);
    for (size_t i = 0; i < 3; i++) {
        check_ok(&table, i, 0, (int64_t)i + 1);
        CHECK_EQUAL(table.frame.inodes[i], inode_of(ROWS[i]));
    }
    check_cell(&table, 3, 0, CG_CELL_GONE, 0, ENODEV);

    /* One goes, and is made again under its name: a number is of the inode of its row. */
    uint64_t before = inode_of("b");
    remove_row("b");
    sample(&table);
    check_cell(&table, 1, 0, CG_CELL_GONE, 0, ENODEV);
    CHECK_EQUAL(table.frame.inodes[1], before);
    check_ok(&table, 0, 0, 1);
    make_row("keep", "0\n"); /* takes the inode that is free */
    make_row("b", "20\n");
    sample(&table);
    check_ok(&table, 1, 0, 20);
    CHECK_EQUAL(table.frame.inodes[1], inode_of("b"));

    /* Replaced between two frames: never the new number under the old inode. */
    remove_row("c");
    make_row("other", "0\n");
    make_row("c", "30\n");
    for (int round = 0; round < 2; round++) {
        sample(&table);
        if (table.frame.inodes[2] == inode_of("c"))
            check_ok(&table, 2, 0, 30);
        else
            check_cell(&table, 2, 0, CG_CELL_GONE, 0, ENODEV);
    }
    check_ok(&table, 2, 0, 30);

    /* Inner rows are removed, and one is added: the others stay whole. */
    cg_sampler_remove(table.sampler, (const uint32_t[]){1, 3}, 2);
    add(&table, "b", NAMES, programs, 1);
    sample(&table);
    CHECK_EQUAL(table.frame.rows, 3);
    check_ok(&table, 0, 0, 1);
    check_ok(&table, 1, 0, 30);
    check_ok(&table, 2, 0, 20);

    /* A file that goes while its directory stays; after a second it is looked for again. */
    CHECK_EQUAL(unlink("a/value"), 0);
    sample(&table);
    check_cell(&table, 0, 0, CG_CELL_ABSENT, 0, ENOENT);
    write_file("a/value", "10\n");
    for (int tenths = 0; tenths < 30 && table.frame.statuses[0] != CG_CELL_OK; tenths++) {
        usleep(100000);
        sample(&table);
    }
    check_ok(&table, 0, 0, 10);
    table_destroy(&table);
}

/* ---- programs that are refused ----------------------------------------------------------- */

void test_programs(void)
{
    static const struct cg_target TARGET = {"", "", 0, COLUMNS - 1, 0, 1, 0}, BEYOND = {"", "", 0, COLUMNS, 0, 1, 0};
    static const int SHAPES[] = {CG_TABLE, CG_RANGES, CG_WORDS, CG_TEXT, CG_TEXT + 1, -1};
    struct table table = table_create(4, 1);
    uint32_t program;
    for (size_t i = 0; i < COUNT(SHAPES); i++)
        CHECK_EQUAL(cg_sampler_program(table.sampler, "list", SHAPES[i], &TARGET, 1, &program), -EINVAL);
    CHECK_EQUAL(cg_sampler_program(table.sampler, "value", CG_VALUE, &BEYOND, 1, &program), -EINVAL);
    program = 0;
    CHECK_EQUAL(cg_sampler_add(table.sampler, table.directory, "", &program, 1), -EINVAL);

    CHECK_EQUAL(cg_sampler_program(table.sampler, "value", CG_VALUE, &TARGET, 1, &program), 0);
    CHECK_EQUAL(program, 0);
    write_file("value", "7\n");
    CHECK_EQUAL(cg_sampler_add(table.sampler, table.directory, "", &program, 1), 0);
    sample(&table);
    check_ok(&table, 0, COLUMNS - 1, 7);
    table_destroy(&table);
}

/* ---- rows that cannot be opened now ------------------------------------------------------- */

static void check_all(struct table *table, size_t rows, int status, int64_t value, int error)
{
    sample(table);
    CHECK_EQUAL(table->frame.rows, rows);
    CHECK_EQUAL(table->frame.gone, 0);
    for (size_t row = 0; row < rows; row++)
        check_cell(table, row, 0, status, value, error);
}

void test_sampler_errors(void)
{
    static const struct cg_target TARGET = {"", "", 0, 0, 0, 1, 0};
    static const struct program PROGRAM = {CG_VALUE, 1, &TARGET};
    static const char *const NAMES[] = {"value"};
    const struct program *programs[] = {&PROGRAM};
    struct table table = table_create(0, 5);
    make_row("a", "1\n");
    make_row("b", "1\n");
    make_row("c", "1\n");
    add(&table, "a", NAMES, programs, 1);
    check_all(&table, 1, CG_CELL_OK, 1, 0);

    /* Without a descriptor left no cgroup is gone, neither one that was open before nor one that was not. */
    no_descriptors();
    add(&table, "b", NAMES, programs, 1);
    check_all(&table, 2, CG_CELL_ERROR, 0, EMFILE);
    one_descriptor();
    for (int round = 0; round < 2; round++)
        check_all(&table, 2, CG_CELL_ERROR, 0, EMFILE);
    add(&table, "c", NAMES, programs, 1);
    some_descriptors();
    for (int round = 0; round < 2; round++)
        check_all(&table, 3, CG_CELL_OK, 1, 0);

    /* Nor is a file that is not a directory; a missing one is. */
    write_file("plain", "");
    add(&table, "plain", NAMES, programs, 1);
    add(&table, "none", NAMES, programs, 1);
    sample(&table);
    check_cell(&table, 3, 0, CG_CELL_ERROR, 0, ENOTDIR);
    check_cell(&table, 4, 0, CG_CELL_GONE, 0, ENODEV);
    CHECK_EQUAL(table.frame.gone, 1);
    table_destroy(&table);
}

/* ---- reads that are cut ------------------------------------------------------------------- */

void test_cut_reads(void)
{
    static const struct cg_target NUMBER[] = {{"", "", 0, 0, 0, 1, 0}}, STAT[] = {{"", "file", 0, 1, 0, 1, 0}};
    static const struct cg_target PRESSURE[] = {{"some", "total", 0, 2, 0, 1, 0}};
    static const struct program PROGRAMS[] = {{CG_VALUE, 1, NUMBER}, {CG_KEYED, 1, STAT}, {CG_NESTED, 1, PRESSURE}};
    static const char *const NAMES[] = {"number", "stat", "pressure"};
    const struct program *programs[] = {&PROGRAMS[0], &PROGRAMS[1], &PROGRAMS[2]};
    struct table table = table_create(10, 1);
    char text[64];
    struct cg_arena arena = {.text = text, .text_capacity = sizeof text, .cells = cells_create(4)};
    CHECK_EQUAL(mkdir("a", 0700), 0);
    write_file("a/number", "1234\n");
    write_file("a/stat", "anon 1\nfile 1234\n");
    write_file("a/pressure", "some total=1234\n");
    add(&table, "a", NAMES, programs, COUNT(programs));

    /* Once: read again.  Twice: refused.  Before layouts are learned, and after. */
    for (int round = 0; round < 2; round++) {
        for (unsigned reads = 0; reads < 2; reads++) {
            cut_reads = 3 * reads;
            sample(&table);
            CHECK_EQUAL(cut_reads, 0);
            for (size_t column = 0; column < 3; column++)
                check_ok(&table, 0, column, 1234);
        }
        cut_reads = 6;
        sample(&table);
        CHECK_EQUAL(cut_reads, 0);
        for (size_t column = 0; column < 3; column++)
            check_cell(&table, 0, column, CG_CELL_ERROR, 0, EBADMSG);
    }

    struct cg_file *file = cg_file_create(table.cache, table.directory, "a/number", 0);
    cut_reads = 1;
    CHECK(cg_file_read_int(file) < -1);
    CHECK_EQUAL(cg_file_read_int(file), 1234);
    cut_reads = 1;
    CHECK_EQUAL(cg_file_read(file, CG_VALUE, &arena), CG_OK);
    CHECK_EQUAL(arena.cells.value[0], 1234);
    cut_reads = 2;
    CHECK_EQUAL(cg_file_read(file, CG_VALUE, &arena), CG_SYNTAX);
    CHECK_EQUAL(arena.offset, 3);
    cg_file_destroy(file);
    cells_destroy(&arena.cells);
    table_destroy(&table);
}
