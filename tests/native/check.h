/* check.h - what the native tests share: checks that end the program, and the
 * list of tests.  A program runs one test, named as its argument, in the
 * directory that is its second argument: empty, and the test's own. */
#ifndef CHECK_H
#define CHECK_H

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cg.h"

/* _exit, since the check may be in a thread or in a forked child. */
#define CHECK(condition)                                                                        \
    do {                                                                                        \
        if (!(condition)) {                                                                     \
            fprintf(stderr, "%s:%d: %s (errno %d)\n", __FILE__, __LINE__, #condition, errno);   \
            _exit(1);                                                                           \
        }                                                                                       \
    } while (0)

#define CHECK_EQUAL(got, expected)                                                              \
    do {                                                                                        \
        long long got_ = (long long)(got), expected_ = (long long)(expected);                   \
        if (got_ != expected_) {                                                                \
            fprintf(stderr, "%s:%d: %s is %lld, not %lld\n", __FILE__, __LINE__, #got, got_, expected_); \
            _exit(1);                                                                           \
        }                                                                                       \
    } while (0)

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* A copy of exactly this length, so that a read beyond it is found out. */
static inline char *exact(const char *text, size_t length)
{
    char *copy = malloc(length ? length : 1);
    CHECK(copy != NULL);
    memcpy(copy, text, length);
    return copy;
}

/* Cells with exactly this many elements in each column. */
static inline struct cg_cells cells_create(size_t capacity)
{
    size_t n = capacity ? capacity : 1;
    struct cg_cells cells = {.capacity = capacity};
    cells.value = malloc(n * sizeof *cells.value);
    cells.kind = malloc(n);
    cells.key = malloc(n * sizeof *cells.key);
    cells.key_end = malloc(n * sizeof *cells.key_end);
    cells.start = malloc(n * sizeof *cells.start);
    CHECK(cells.value && cells.kind && cells.key && cells.key_end && cells.start);
    return cells;
}

static inline void cells_destroy(struct cg_cells *cells)
{
    free(cells->value);
    free(cells->kind);
    free(cells->key);
    free(cells->key_end);
    free(cells->start);
}

/* What stands between count numbers, each literal copied to exactly its length:
 * `key ` before each of the keys, which are joined by newlines, and a newline. */
static inline struct cg_layout layout_create(const char *keys, size_t length, size_t count)
{
    char *literals = malloc(length + 2 * count + 1), *to = literals;
    uint32_t *ends = malloc((count + 1) * sizeof *ends);
    const char *key = keys;
    CHECK(literals && ends);
    for (size_t i = 0; i < count; i++) {
        const char *end = memchr(key, '\n', (size_t)(keys + length - key));
        size_t size = end ? (size_t)(end - key) : (size_t)(keys + length - key);
        if (i > 0)
            *to++ = '\n';
        memcpy(to, key, size);
        to += size;
        *to++ = ' ';
        ends[i] = (uint32_t)(to - literals);
        key = end ? end + 1 : keys + length;
    }
    if (count > 0)
        *to++ = '\n';
    ends[count] = (uint32_t)(to - literals);
    return (struct cg_layout){literals, ends, count, CG_KEYED};
}

static inline void layout_destroy(struct cg_layout *layout)
{
    free((void *)(uintptr_t)layout->literals);
    free((void *)(uintptr_t)layout->ends);
}

/* Which numbers of one control file a row has. */
struct program {
    int shape;
    size_t count;
    const struct cg_target *targets;
};

/* Adds a program from memory that is freed when the call returns. */
static inline uint32_t program_add(struct cg_sampler *sampler, const char *name, const struct program *program)
{
    uint32_t number;
    char *own_name = exact(name, strlen(name) + 1);
    struct cg_target *targets = (struct cg_target *)(void *)exact((const char *)program->targets, program->count * sizeof *targets);
    for (size_t i = 0; i < program->count; i++) {
        targets[i].row = exact(targets[i].row, strlen(targets[i].row) + 1);
        targets[i].key = exact(targets[i].key, strlen(targets[i].key) + 1);
    }
    CHECK_EQUAL(cg_sampler_program(sampler, own_name, program->shape, targets, program->count, &number), 0);
    for (size_t i = 0; i < program->count; i++) {
        free((void *)(uintptr_t)targets[i].row);
        free((void *)(uintptr_t)targets[i].key);
    }
    free(targets);
    free(own_name);
    return number;
}

/* Adds a row, each of whose files has a program of its own. */
static inline void row_add(struct cg_sampler *sampler, struct cg_file *directory, const char *path,
                           const char *const *names, const struct program *const *programs, size_t count)
{
    uint32_t *numbers = malloc((count ? count : 1) * sizeof *numbers);
    CHECK(numbers != NULL);
    for (size_t i = 0; i < count; i++)
        numbers[i] = program_add(sampler, names[i], programs[i]);
    CHECK_EQUAL(cg_sampler_add(sampler, directory, path, numbers, count), 0);
    free(numbers);
}

/* How often memory was asked for, by the tests or what they test. */
extern atomic_size_t allocations;
extern unsigned cut_reads;

void write_file(const char *path, const char *text);
/* Takes all descriptors that this process may have: how many; then there is
 * one, or some, again. */
size_t no_descriptors(void);
void one_descriptor(void);
void some_descriptors(void);
size_t open_descriptors(void);
/* Runs the function in a child, and checks that the child ended well. */
void in_child(void (*function)(void));

void test_shapes(void);
void test_shape_space(void);
void test_layout(void);
void test_mountinfo(void);
void test_own_mountinfo(void);
void test_read_all(void);
void test_mounts_check(void);
void test_mounts_check_enosys(void);
void test_mounts_check_eperm(void);
void test_beneath(void);
void test_beneath_enosys(void);
void test_beneath_eperm(void);
void test_budget(void);
void test_destroy_order(void);
void test_read(void);
void test_sampler(void);
void test_sampler_texts(void);
void test_sampler_rows(void);
void test_sampler_errors(void);
void test_budget_batch(void);
void test_no_descriptor(void);
void test_cut_reads(void);
void test_not_kept(void);
void test_recorder(void);
void test_recorder_fork(void);
void test_recorder_end(void);
void test_recorder_takers(void);
void test_references(void);
void test_programs(void);
void test_spawn(void);
void test_spawn_files(void);
void test_spawn_closes(void);
void test_spawn_fails(void);
void test_spawn_signals(void);
void test_spawn_threads(void);
void test_spawn_identity(void);
void test_spawn_memory(void);
void test_spawn_no_identity(void);
void test_spawn_timeout(void);
void test_spawn_interrupted(void);
void test_spawn_paused(void);
void test_spawn_killed(void);
void test_spawn_no_robust_list(void);
void test_spawn_beside_forks(void);
void test_threads(void);
void test_fork(void);

#endif
