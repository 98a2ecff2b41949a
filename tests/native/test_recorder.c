/* test_recorder.c - a thread that reads, and this one that takes: no frame lost,
 * torn or taken twice, whatever the ring's size; and how it ends. */
#include <sys/stat.h>
#include <time.h>

#include "check.h"

enum { COLUMNS = 2, TICK = 50000 /* ns */, FRAMES = 300 };

static const struct cg_target FIRST = {"", "", 0, 0, 0, 1, 0}, SECOND = {"", "", 1, 1, 0, 1, 0};

/* A sampler of one file, "a/pair", of two numbers that are always the same. */
struct subject {
    struct cg_cache *cache;
    struct cg_file *directory;
    struct cg_sampler *sampler;
    struct cg_target targets[COLUMNS];
    struct program program;
};

static void write_pair(unsigned number)
{
    char text[32];
    snprintf(text, sizeof text, "%u %u\n", number, number);
    write_file("a/new", text);
    CHECK(rename("a/new", "a/pair") == 0);
}

static void subject_create(struct subject *subject)
{
    static const char *const NAMES[] = {"pair"};
    char path[4096];
    CHECK(getcwd(path, sizeof path) != NULL && mkdir("a", 0755) == 0);
    write_pair(0);
    /* Nothing is kept, so that each frame reads the file that has the name. */
    subject->cache = cg_cache_shared(0);
    subject->directory = cg_file_create(subject->cache, NULL, path, CG_FILE_DIRECTORY);
    subject->sampler = cg_sampler_create(subject->cache, COLUMNS);
    CHECK(subject->cache && subject->directory && subject->sampler);
    subject->targets[0] = FIRST;
    subject->targets[1] = SECOND;
    subject->program = (struct program){CG_VALUES, COLUMNS, subject->targets};
    const struct program *programs[] = {&subject->program};
    row_add(subject->sampler, subject->directory, "a", NAMES, programs, 1);
}

static void subject_destroy(struct subject *subject)
{
    cg_sampler_destroy(subject->sampler);
    cg_file_destroy(subject->directory);
    cg_cache_destroy(subject->cache);
}

static struct cg_recording state_of(struct cg_recorder *recorder)
{
    struct cg_recording state;
    cg_recorder_state(recorder, &state);
    return state;
}

/* Takes what is recorded until the recorder ends: one whose ring is full reads nothing, and so sees no end. */
static void take_until_end(struct cg_recorder *recorder)
{
    int64_t timestamp, values[COLUMNS];
    uint8_t statuses[COLUMNS];
    uint64_t inode;
    struct cg_block block = {1, &timestamp, values, statuses, &inode, NULL};
    while (state_of(recorder).running)
        cg_recorder_take(recorder, &block);
}

static void take_all(struct subject *subject, size_t capacity)
{
    struct cg_recorder *recorder;
    int64_t timestamps[7], values[7 * COLUMNS], last = 0;
    uint8_t statuses[7 * COLUMNS];
    uint64_t inodes[7];
    int64_t times[7];
    struct cg_block block = {7, timestamps, values, statuses, inodes, times};
    uint64_t taken = 0;
    CHECK_EQUAL(cg_recorder_start(subject->sampler, TICK, capacity, 0, &recorder), 0);
    while (taken < FRAMES) {
        size_t frames = cg_recorder_take(recorder, &block);
        CHECK(frames <= 7);
        taken += frames;
        for (size_t i = 0; i < frames; i++) {
            CHECK(timestamps[i] > last);
            last = timestamps[i];
            CHECK(inodes[i] != 0);
            CHECK(times[i] >= timestamps[i]);
            CHECK(i == 0 || times[i - 1] <= timestamps[i]);
            if (statuses[COLUMNS * i] == CG_CELL_OK)
                CHECK_EQUAL(values[COLUMNS * i], values[COLUMNS * i + 1]);
        }
    }
    cg_recorder_stop(recorder);
    struct cg_recording state = state_of(recorder);
    CHECK(!state.running);
    CHECK_EQUAL(cg_recorder_waiting(recorder), state.taken - taken);
    CHECK(cg_recorder_waiting(recorder) <= capacity);
    cg_recorder_destroy(recorder);
}

void test_recorder(void)
{
    static const size_t CAPACITIES[] = {1, 2, 7, 64};
    struct subject subject;
    subject_create(&subject);
    for (size_t i = 0; i < COUNT(CAPACITIES); i++)
        take_all(&subject, CAPACITIES[i]);
    subject_destroy(&subject);
}

static struct cg_recorder *of_parent;

static void use_in_child(void)
{
    int64_t timestamp, values[COLUMNS];
    uint8_t statuses[COLUMNS];
    uint64_t inode;
    struct cg_block block = {1, &timestamp, values, statuses, &inode, NULL};
    CHECK(!state_of(of_parent).running);
    while (cg_recorder_take(of_parent, &block) > 0)
        ;
    cg_recorder_stop(of_parent);
    cg_recorder_destroy(of_parent);
}

void test_recorder_fork(void)
{
    struct subject subject;
    subject_create(&subject);
    CHECK_EQUAL(cg_recorder_start(subject.sampler, TICK, 16, 0, &of_parent), 0);
    for (size_t i = 0; i < 20; i++)
        in_child(use_in_child);
    CHECK(state_of(of_parent).running);
    cg_recorder_destroy(of_parent);
    subject_destroy(&subject);
}

void test_recorder_end(void)
{
    struct subject subject;
    struct cg_recorder *recorder;
    subject_create(&subject);
    CHECK_EQUAL(cg_recorder_start(subject.sampler, TICK, SIZE_MAX, 0, &recorder), -ENOMEM);
    CHECK_EQUAL(cg_recorder_start(subject.sampler, TICK, 16, 0, &recorder), 0);
    CHECK(unlink("a/pair") == 0 && rmdir("a") == 0);
    take_until_end(recorder);
    CHECK(state_of(recorder).taken + state_of(recorder).overrun > 0);
    cg_recorder_destroy(recorder);
    /* A sampler that has grown since is not recorded past the ring's room. */
    CHECK(mkdir("a", 0755) == 0);
    const struct program *programs[] = {&subject.program};
    static const char *const NAMES[] = {"pair"};
    CHECK_EQUAL(cg_recorder_start(subject.sampler, TICK, 16, 0, &recorder), 0);
    row_add(subject.sampler, subject.directory, "a", NAMES, programs, 1);
    take_until_end(recorder);
    cg_recorder_destroy(recorder);
    subject_destroy(&subject);
}

/* ---- two threads that take ------------------------------------------------------- */

enum { TAKERS = 3 };

struct taker {
    pthread_t thread;
    struct cg_recorder *recorder;
    uint64_t taken;
};

static void *take_frames(void *argument)
{
    struct taker *taker = argument;
    int64_t timestamps[7], values[7 * COLUMNS], last = 0;
    uint8_t statuses[7 * COLUMNS];
    uint64_t inodes[7];
    struct cg_block block = {7, timestamps, values, statuses, inodes, NULL};
    while (state_of(taker->recorder).taken < FRAMES || cg_recorder_waiting(taker->recorder) > 0) {
        size_t frames = cg_recorder_take(taker->recorder, &block);
        CHECK(frames <= 7 && cg_recorder_waiting(taker->recorder) <= 16);
        taker->taken += frames;
        for (size_t i = 0; i < frames; i++) {
            CHECK(timestamps[i] > last); /* in order, and none twice */
            last = timestamps[i];
            if (statuses[COLUMNS * i] == CG_CELL_OK)
                CHECK_EQUAL(values[COLUMNS * i], values[COLUMNS * i + 1]);
        }
    }
    return NULL;
}

void test_recorder_takers(void)
{
    struct subject subject;
    struct taker takers[TAKERS];
    struct cg_recorder *recorder;
    uint64_t taken = 0;
    subject_create(&subject);
    CHECK_EQUAL(cg_recorder_start(subject.sampler, TICK, 16, 0, &recorder), 0);
    for (size_t i = 0; i < TAKERS; i++) {
        takers[i] = (struct taker){.recorder = recorder};
        CHECK(pthread_create(&takers[i].thread, NULL, take_frames, &takers[i]) == 0);
    }
    for (size_t i = 0; i < TAKERS; i++) {
        CHECK(pthread_join(takers[i].thread, NULL) == 0);
        taken += takers[i].taken;
    }
    cg_recorder_stop(recorder);
    CHECK_EQUAL(taken + cg_recorder_waiting(recorder), state_of(recorder).taken);
    cg_recorder_destroy(recorder);
    subject_destroy(&subject);
}

/* ---- who is destroyed first ------------------------------------------------------- */

enum { OBJECTS = 5 };

static void destroy_one(struct subject *subject, struct cg_recorder **recorders, int object)
{
    switch (object) {
    case 0: cg_cache_destroy(subject->cache); break;
    case 1: cg_file_destroy(subject->directory); break;
    case 2: cg_sampler_destroy(subject->sampler); break;
    case 3: cg_recorder_destroy(recorders[0]); break;
    default: cg_recorder_destroy(recorders[1]); break;
    }
}

/* All orders, by Heap's algorithm; the recorders run until they are destroyed. */
static void permute(int *order, int count, void (*visit)(const int *order))
{
    if (count == 1)
        visit(order);
    for (int i = 0; count > 1 && i < count; i++) {
        permute(order, count - 1, visit);
        int other = count % 2 ? 0 : i, swap = order[other];
        order[other] = order[count - 1];
        order[count - 1] = swap;
    }
}

static void destroy_in_order(const int *order)
{
    struct subject subject;
    struct cg_recorder *recorders[2];
    size_t before = open_descriptors();
    subject_create(&subject);
    for (int i = 0; i < 2; i++)
        CHECK_EQUAL(cg_recorder_start(subject.sampler, TICK, 64, 0, &recorders[i]), 0);
    while (state_of(recorders[1]).taken < 2)
        usleep(10);
    for (int i = 0; i < OBJECTS; i++)
        destroy_one(&subject, recorders, order[i]);
    CHECK_EQUAL(open_descriptors(), before);
    CHECK(unlink("a/pair") == 0 && rmdir("a") == 0);
}

static void destroy_one_in_child(void)
{
    for (int object = 0; object < OBJECTS; object++) {
        int order[OBJECTS];
        for (int i = 0; i < OBJECTS; i++)
            order[i] = (object + i) % OBJECTS;
        destroy_in_order(order);
    }
}

void test_references(void)
{
    int order[OBJECTS] = {0, 1, 2, 3, 4};
    permute(order, OBJECTS, destroy_in_order);
    in_child(destroy_one_in_child);
}
