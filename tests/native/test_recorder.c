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
    struct cg_program program;
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
    subject->cache = cg_cache_create(0);
    subject->directory = cg_file_create(subject->cache, NULL, path, CG_FILE_DIRECTORY);
    subject->sampler = cg_sampler_create(subject->cache, COLUMNS);
    CHECK(subject->cache && subject->directory && subject->sampler);
    subject->targets[0] = FIRST;
    subject->targets[1] = SECOND;
    subject->program = (struct cg_program){CG_VALUES, COLUMNS, subject->targets};
    const struct cg_program *programs[] = {&subject->program};
    CHECK_EQUAL(cg_sampler_add(subject->sampler, subject->directory, "a", NAMES, programs, 1), 0);
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
    struct cg_block block = {1, &timestamp, values, statuses, &inode};
    while (state_of(recorder).running)
        cg_recorder_take(recorder, &block);
}

static void take_all(struct subject *subject, size_t capacity)
{
    struct cg_recorder *recorder;
    int64_t timestamps[7], values[7 * COLUMNS], last = 0;
    uint8_t statuses[7 * COLUMNS];
    uint64_t inodes[7];
    struct cg_block block = {7, timestamps, values, statuses, inodes};
    uint64_t taken = 0;
    CHECK_EQUAL(cg_recorder_start(subject->sampler, TICK, capacity, &recorder), 0);
    while (taken < FRAMES) {
        size_t frames = cg_recorder_take(recorder, &block);
        CHECK(frames <= 7);
        taken += frames;
        for (size_t i = 0; i < frames; i++) {
            CHECK(timestamps[i] > last);
            last = timestamps[i];
            CHECK(inodes[i] != 0);
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
    struct cg_block block = {1, &timestamp, values, statuses, &inode};
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
    CHECK_EQUAL(cg_recorder_start(subject.sampler, TICK, 16, &of_parent), 0);
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
    CHECK_EQUAL(cg_recorder_start(subject.sampler, TICK, SIZE_MAX, &recorder), -ENOMEM);
    CHECK_EQUAL(cg_recorder_start(subject.sampler, TICK, 16, &recorder), 0);
    CHECK(unlink("a/pair") == 0 && rmdir("a") == 0);
    take_until_end(recorder);
    CHECK(state_of(recorder).taken + state_of(recorder).overrun > 0);
    cg_recorder_destroy(recorder);
    /* A sampler that has grown since is not recorded past the ring's room. */
    CHECK(mkdir("a", 0755) == 0);
    const struct cg_program *programs[] = {&subject.program};
    static const char *const NAMES[] = {"pair"};
    CHECK_EQUAL(cg_recorder_start(subject.sampler, TICK, 16, &recorder), 0);
    CHECK_EQUAL(cg_sampler_add(subject.sampler, subject.directory, "a", NAMES, programs, 1), 0);
    take_until_end(recorder);
    cg_recorder_destroy(recorder);
    subject_destroy(&subject);
}
