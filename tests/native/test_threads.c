/* test_threads.c - many threads on few descriptors, and fork in their midst. */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "check.h"

#ifndef ROUNDS
#define ROUNDS 4000
#endif

enum { FILES = 64, THREADS = 8, TEXT = 256 };

static struct cg_cache *cache;
static struct cg_file *directory, *files[FILES];
static const uint32_t ENDS[] = {4, 5};
static const struct cg_layout LAYOUT = {.literals = "key \n", .ends = ENDS, .count = 1};
static atomic_bool done;

static int64_t content(size_t i)
{
    return 1000003 * (int64_t)(i + 1);
}

static void create(void)
{
    char path[4096], name[16], text[32];
    CHECK(getcwd(path, sizeof path) != NULL);
    cache = cg_cache_shared(4);
    CHECK(cg_cache_shared(7) == cache);
    cg_cache_destroy(cache);
    CHECK_EQUAL(cg_cache_budget(cache), 4);
    directory = cg_file_create(cache, NULL, path, CG_FILE_DIRECTORY);
    CHECK(cache && directory);
    for (size_t i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "f%zu", i);
        snprintf(text, sizeof text, "%s%lld\n", i % 2 ? "key " : "", (long long)content(i));
        write_file(name, text);
        files[i] = cg_file_create(cache, directory, name, i % 16 == 14 ? CG_FILE_LIST : 0);
        CHECK(files[i] != NULL);
    }
}

static void destroy(void)
{
    cg_file_destroy(directory);
    for (size_t i = 0; i < FILES; i++)
        cg_file_destroy(files[i]);
    CHECK_EQUAL(cg_cache_kept(cache), 0);
    cg_cache_destroy(cache);
}

static size_t next(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(*state >> 33);
}

static void read_one(size_t i, bool short_way)
{
    char text[TEXT];
    uint64_t value;
    uint8_t kind;
    uint32_t key, key_end, start;
    struct cg_arena arena = {
        .text = text,
        .text_capacity = TEXT,
        .cells = {.capacity = 1, .value = &value, .kind = &kind, .key = &key, .key_end = &key_end, .start = &start},
    };
    if (i % 2 == 0 && short_way) {
        CHECK_EQUAL(cg_file_read_int(files[i]), content(i));
        return;
    }
    if (i % 2 && short_way)
        CHECK_EQUAL(cg_file_read_layout(files[i], &LAYOUT, &arena), CG_OK);
    else
        CHECK_EQUAL(cg_file_read(files[i], i % 2 ? CG_KEYED : CG_VALUE, &arena), CG_OK);
    CHECK_EQUAL(value, content(i));
}

/* A sampler of one row, which has all of the files: every second is a number, the others have one key. */
struct table {
    struct cg_sampler *sampler;
    struct cg_target targets[FILES];
    struct program programs[FILES];
    char names[FILES][16];
};

static void table_create(struct table *table)
{
    const struct program *programs[FILES];
    const char *names[FILES];
    for (size_t i = 0; i < FILES; i++) {
        table->targets[i] =
            (struct cg_target){.row = "", .key = i % 2 ? "key" : "", .column = (int32_t)i, .scale = 1};
        table->programs[i] = (struct program){i % 2 ? CG_KEYED : CG_VALUE, 1, &table->targets[i]};
        snprintf(table->names[i], sizeof table->names[i], "f%zu", i);
        programs[i] = &table->programs[i];
        names[i] = table->names[i];
    }
    table->sampler = cg_sampler_create(cache, FILES);
    CHECK(table->sampler != NULL);
    row_add(table->sampler, directory, "", names, programs, FILES);
}

static void read_all(struct table *table)
{
    int64_t values[FILES];
    uint8_t statuses[FILES];
    int32_t errors[FILES];
    uint64_t inode;
    struct cg_frame frame = {.capacity = 1, .values = values, .statuses = statuses, .errors = errors, .inodes = &inode};
    CHECK_EQUAL(cg_sampler_sample(table->sampler, &frame), CG_OK);
    for (size_t i = 0; i < FILES; i++) {
        CHECK_EQUAL(errors[i], 0);
        CHECK_EQUAL(statuses[i], CG_CELL_OK);
        CHECK_EQUAL(values[i], content(i));
    }
}

static void *reader(void *argument)
{
    uint64_t state = (uint64_t)(uintptr_t)argument;
    struct table *table = malloc(sizeof *table);
    CHECK(table != NULL);
    table_create(table);
    for (int round = 0; round < ROUNDS; round++) {
        if (round % 64 == 0)
            read_all(table);
        read_one(next(&state) % FILES, next(&state) % 2);
    }
    cg_sampler_destroy(table->sampler);
    free(table);
    return NULL;
}

static void *disturber(void *argument)
{
    static const size_t BUDGETS[] = {4, 0, 1, 8, 4, 2, 64, 4};
    uint64_t state = (uint64_t)(uintptr_t)argument;
    while (!atomic_load(&done)) {
        cg_cache_set_budget(cache, BUDGETS[next(&state) % COUNT(BUDGETS)]);
        for (int i = 0; i < 8; i++)
            cg_file_close(files[next(&state) % FILES]);
        cg_file_close(directory);
        /* Also one that comes and goes. */
        struct cg_file *passing = cg_file_create(cache, directory, "f0", 0);
        CHECK_EQUAL(cg_file_read_int(passing), content(0));
        cg_file_destroy(passing);
    }
    return NULL;
}

static void start(pthread_t *threads, void *(*function)(void *), size_t count)
{
    for (size_t i = 0; i < count; i++)
        CHECK(pthread_create(&threads[i], NULL, function, (void *)(uintptr_t)(i + 1)) == 0);
}

static void join(pthread_t *threads, size_t count)
{
    for (size_t i = 0; i < count; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

void test_threads(void)
{
    pthread_t readers[THREADS], other;
    size_t before = open_descriptors();
    create();
    start(&other, disturber, 1);
    start(readers, reader, THREADS);
    join(readers, THREADS);
    atomic_store(&done, true);
    join(&other, 1);
    cg_cache_set_budget(cache, 4);
    CHECK(cg_cache_kept(cache) <= 4);
    CHECK_EQUAL(open_descriptors(), before + cg_cache_kept(cache));
    /* The same under a budget that stays. */
    start(readers, reader, THREADS);
    join(readers, THREADS);
    CHECK(cg_cache_kept(cache) <= 4);
    CHECK_EQUAL(open_descriptors(), before + cg_cache_kept(cache));
    destroy();
    CHECK_EQUAL(open_descriptors(), before);
}

static struct table shared;

/* The child lacks the other threads.  It allocates nothing: another
 * thread may have been inside of the sanitizer's allocator. */
static void child(void)
{
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < FILES; i += 2)
            CHECK_EQUAL(cg_file_read_int(files[i]), content(i));
    }
    CHECK(cg_cache_kept(cache) <= cg_cache_budget(cache));
    cg_cache_set_budget(cache, 0);
    CHECK_EQUAL(cg_cache_kept(cache), 0);
    for (size_t i = 0; i < FILES; i += 2)
        CHECK_EQUAL(cg_file_read_int(files[i]), content(i));
    read_all(&shared);
    _exit(0);
}

static void *sampling(void *argument)
{
    (void)argument;
    while (!atomic_load(&done))
        read_all(&shared);
    return NULL;
}

static void *forker(void *argument)
{
    (void)argument;
    for (int round = 0; round < 60; round++) {
        int status;
        pid_t pid = fork();
        if (pid == 0)
            child();
        CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    atomic_store(&done, true);
    return NULL;
}

static void *closer(void *argument)
{
    uint64_t state = (uint64_t)(uintptr_t)argument;
    while (!atomic_load(&done)) {
        size_t i = next(&state) % FILES;
        read_one(i, true);
        cg_file_close(files[next(&state) % FILES]);
    }
    return NULL;
}

void test_fork(void)
{
    pthread_t others[3], one, frames;
    create();
    table_create(&shared);
    read_all(&shared);
    start(others, closer, 3);
    start(&frames, sampling, 1);
    start(&one, forker, 1);
    join(&one, 1);
    join(&frames, 1);
    join(others, 3);
    read_all(&shared);
    cg_sampler_destroy(shared.sampler);
    destroy();
}
