/* cg_recorder.c - a thread that reads a sampler into a ring on an absolute timer.
 *
 * One thread writes, and one at a time takes.  They share only the two counts
 * `written` and `read`, and neither waits for the other.  If the ring is full, the
 * newest frame is dropped, never one that is being taken. */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "cg.h"

enum { STACK = 256 << 10, SECOND = 1000000000, LATE = 10 /* a tenth of an interval */ };

struct cg_recorder {
    struct cg_sampler *sampler; /* a reference */
    struct cg_guard guard;      /* one taker at a time; tells whether this process has the thread */
    int64_t interval;
    size_t rows;
    size_t cells; /* in a frame */
    size_t capacity;
    struct cg_frame frame; /* points to the next slot */
    int64_t *timestamps;   /* these arrays hold all frames of the ring */
    int64_t *values;
    uint64_t *inodes;
    int64_t *times;
    uint8_t *statuses;
    int32_t *errors; /* of one frame only, since they are not taken */

    atomic_uint_fast64_t written; /* frames since the start */
    atomic_uint_fast64_t read;
    atomic_uint_fast64_t late, missed, overrun, unknown;
    atomic_int running;
    int64_t first;
    uint64_t ticks; /* maximum number of ticks */

    pthread_t thread;
    atomic_bool started;
    pthread_mutex_t lock; /* protects stopping, with the condition */
    pthread_cond_t stop;
    bool stopping;
    int64_t stopped; /* time of the request to stop */
};

static int64_t nanoseconds(const struct timespec *time)
{
    return (int64_t)time->tv_sec * SECOND + time->tv_nsec;
}

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return nanoseconds(&time);
}

/* Sleeps until a tick is due; returns whether the recorder was stopped before. */
static bool sleep_until(struct cg_recorder *recorder, int64_t due)
{
    struct timespec time = {.tv_sec = due / SECOND, .tv_nsec = due % SECOND};
    pthread_mutex_lock(&recorder->lock);
    while (!recorder->stopping && pthread_cond_timedwait(&recorder->stop, &recorder->lock, &time) != ETIMEDOUT)
        ;
    bool stopped = recorder->stopping;
    pthread_mutex_unlock(&recorder->lock);
    return stopped;
}

static void count(atomic_uint_fast64_t *counter, uint64_t more)
{
    atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

/* Records one frame; returns whether a cgroup is left to read.  `late` counts only frames that were written, and is
 * incremented after `written`. */
static bool record_one(struct cg_recorder *recorder, bool late)
{
    uint64_t written = atomic_load_explicit(&recorder->written, memory_order_relaxed);
    uint64_t read = atomic_load_explicit(&recorder->read, memory_order_acquire);
    if (written - read == recorder->capacity) {
        count(&recorder->overrun, 1);
        return true;
    }
    size_t slot = (size_t)(written % recorder->capacity);
    struct cg_frame *frame = &recorder->frame;
    frame->values = recorder->values + slot * recorder->cells;
    frame->statuses = recorder->statuses + slot * recorder->cells;
    frame->inodes = recorder->inodes + slot * recorder->rows;
    frame->times = recorder->times + slot * recorder->rows;
    if (cg_sampler_sample(recorder->sampler, frame) != CG_OK) {
        count(&recorder->missed, 1);
        return false; /* its rows are not those of the ring */
    }
    recorder->timestamps[slot] = frame->timestamp;
    atomic_store_explicit(&recorder->unknown, frame->unknown, memory_order_relaxed);
    atomic_store_explicit(&recorder->written, written + 1, memory_order_release);
    atomic_fetch_add(&recorder->late, late);
    return frame->gone < frame->rows;
}

static int64_t due_at(const struct cg_recorder *recorder, uint64_t tick)
{
    return recorder->first + (int64_t)tick * recorder->interval;
}

/* Returns the number of ticks due by a time. */
static uint64_t due_by(const struct cg_recorder *recorder, int64_t time)
{
    uint64_t due = time < recorder->first ? 0 : (uint64_t)((time - recorder->first) / recorder->interval) + 1;
    return due < recorder->ticks ? due : recorder->ticks;
}

/* Whether a frame that starts now would end within the interval of the last tick, if it takes as long as the last
 * frame. */
static bool is_time_left(const struct cg_recorder *recorder, int64_t time)
{
    return recorder->ticks == UINT64_MAX || time + recorder->frame.duration <= due_at(recorder, recorder->ticks);
}

static void *record(void *argument)
{
    struct cg_recorder *recorder = argument;
    uint64_t tick = 0; /* the next one; all before are taken, missed or overrun */
    bool more = true;
    /* By default a timer may fire 50 us late, to be coalesced with others. */
    prctl(PR_SET_TIMERSLACK, 1);
    while (more && tick < recorder->ticks && !sleep_until(recorder, due_at(recorder, tick))) {
        int64_t time = now();
        if (is_time_left(recorder, time))
            more = record_one(recorder, time - due_at(recorder, tick) > recorder->interval / LATE);
        else
            count(&recorder->missed, 1);
        tick++;
        /* The last due tick can still be taken, late. */
        uint64_t due = due_by(recorder, now());
        if (more && due > tick + 1) {
            count(&recorder->missed, due - 1 - tick);
            tick = due - 1;
        }
    }
    pthread_mutex_lock(&recorder->lock);
    int64_t end = recorder->stopping ? recorder->stopped : now();
    pthread_mutex_unlock(&recorder->lock);
    uint64_t due = due_by(recorder, end);
    if (due > tick)
        count(&recorder->missed, due - tick);
    atomic_store(&recorder->running, 0);
    return NULL;
}

/* ---- creation ------------------------------------------------------------------ */

/* Allocates memory and touches it, so that the thread takes no page faults: one
 * costs as much as a hundred numbers. */
static void *reserve(size_t frames, size_t each, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(frames, each, &bytes) || __builtin_mul_overflow(bytes, size, &bytes))
        return NULL;
    void *memory = malloc(bytes + 1);
    return memory == NULL ? NULL : memset(memory, 0, bytes + 1);
}

static void free_recorder(struct cg_recorder *recorder)
{
    cg_guard_destroy(cg_sampler_cache(recorder->sampler), &recorder->guard);
    cg_sampler_destroy(recorder->sampler);
    free(recorder->timestamps);
    free(recorder->values);
    free(recorder->inodes);
    free(recorder->times);
    free(recorder->statuses);
    free(recorder->errors);
    free(recorder);
}

static bool make_ring(struct cg_recorder *recorder)
{
    size_t capacity = recorder->capacity;
    recorder->timestamps = reserve(capacity, 1, sizeof *recorder->timestamps);
    recorder->values = reserve(capacity, recorder->cells, sizeof *recorder->values);
    recorder->inodes = reserve(capacity, recorder->rows, sizeof *recorder->inodes);
    recorder->times = reserve(capacity, recorder->rows, sizeof *recorder->times);
    recorder->statuses = reserve(capacity, recorder->cells, sizeof *recorder->statuses);
    recorder->errors = reserve(1, recorder->cells, sizeof *recorder->errors);
    recorder->frame.capacity = recorder->rows;
    recorder->frame.errors = recorder->errors;
    return recorder->timestamps != NULL && recorder->values != NULL && recorder->inodes != NULL &&
           recorder->times != NULL && recorder->statuses != NULL && recorder->errors != NULL;
}

/* Starts the thread with all signals blocked, so that other threads receive them. */
static int start_thread(struct cg_recorder *recorder)
{
    pthread_attr_t attributes;
    pthread_condattr_t clock;
    sigset_t all, before;
    pthread_mutex_init(&recorder->lock, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&recorder->stop, &clock);
    pthread_condattr_destroy(&clock);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&recorder->thread, &attributes, record, recorder);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return error;
}

int cg_recorder_start(struct cg_sampler *sampler, int64_t interval, size_t capacity, uint64_t ticks,
                      struct cg_recorder **recorder_ret)
{
    struct cg_recorder *recorder = calloc(1, sizeof *recorder);
    size_t columns;
    if (recorder == NULL)
        return -ENOMEM;
    cg_sampler_size(sampler, &recorder->rows, &columns);
    recorder->sampler = cg_sampler_retain(sampler);
    cg_guard_create(cg_sampler_cache(sampler), &recorder->guard);
    recorder->interval = interval;
    recorder->capacity = capacity;
    recorder->ticks = ticks != 0 ? ticks : UINT64_MAX;
    int error = __builtin_mul_overflow(recorder->rows, columns, &recorder->cells) || !make_ring(recorder) ? ENOMEM : 0;
    if (!error) {
        recorder->first = now() + interval;
        recorder->running = 1;
        error = start_thread(recorder);
    }
    if (error) {
        free_recorder(recorder);
        return -error;
    }
    recorder->started = true;
    *recorder_ret = recorder;
    return 0;
}

/* Whether this process has the thread; a forked child does not. */
static bool has_thread(const struct cg_recorder *recorder)
{
    return recorder->started && !recorder->guard.forked;
}

void cg_recorder_stop(struct cg_recorder *recorder)
{
    /* If two threads stop it at the same time, one of them joins the thread. */
    if (!has_thread(recorder) || !atomic_exchange(&recorder->started, false))
        return;
    pthread_mutex_lock(&recorder->lock);
    recorder->stopped = now();
    recorder->stopping = true;
    pthread_cond_signal(&recorder->stop);
    pthread_mutex_unlock(&recorder->lock);
    pthread_join(recorder->thread, NULL);
}

void cg_recorder_destroy(struct cg_recorder *recorder)
{
    cg_recorder_stop(recorder);
    free_recorder(recorder);
}

void cg_recorder_size(const struct cg_recorder *recorder, size_t *rows_ret, size_t *cells_ret)
{
    *rows_ret = recorder->rows;
    *cells_ret = recorder->cells;
}

/* ---- taking ---------------------------------------------------------------------- */

/* Returns the number of waiting frames, under the guard. */
static size_t waiting(struct cg_recorder *recorder)
{
    uint64_t written = atomic_load_explicit(&recorder->written, memory_order_acquire);
    return (size_t)(written - atomic_load_explicit(&recorder->read, memory_order_relaxed));
}

size_t cg_recorder_waiting(struct cg_recorder *recorder)
{
    pthread_mutex_lock(&recorder->guard.lock);
    size_t frames = waiting(recorder);
    pthread_mutex_unlock(&recorder->guard.lock);
    return frames;
}

/* Copies frames that are contiguous in the ring. */
static void copy(const struct cg_recorder *recorder, struct cg_block *block, size_t slot, size_t at, size_t frames)
{
    size_t cells = recorder->cells, rows = recorder->rows;
    memcpy(block->timestamps + at, recorder->timestamps + slot, frames * sizeof *block->timestamps);
    memcpy(block->values + at * cells, recorder->values + slot * cells, frames * cells * sizeof *block->values);
    memcpy(block->statuses + at * cells, recorder->statuses + slot * cells, frames * cells);
    memcpy(block->inodes + at * rows, recorder->inodes + slot * rows, frames * rows * sizeof *block->inodes);
    if (block->times != NULL)
        memcpy(block->times + at * rows, recorder->times + slot * rows, frames * rows * sizeof *block->times);
}

size_t cg_recorder_take(struct cg_recorder *recorder, struct cg_block *block)
{
    pthread_mutex_lock(&recorder->guard.lock);
    uint64_t read = atomic_load_explicit(&recorder->read, memory_order_relaxed);
    size_t frames = waiting(recorder), slot = (size_t)(read % recorder->capacity);
    if (frames > block->capacity)
        frames = block->capacity;
    size_t first = recorder->capacity - slot < frames ? recorder->capacity - slot : frames;
    copy(recorder, block, slot, 0, first);
    copy(recorder, block, 0, first, frames - first);
    atomic_store_explicit(&recorder->read, read + frames, memory_order_release);
    pthread_mutex_unlock(&recorder->guard.lock);
    return frames;
}

void cg_recorder_state(struct cg_recorder *recorder, struct cg_recording *recording_ret)
{
    uint64_t late = atomic_load(&recorder->late); /* read first, so that it does not exceed taken */
    *recording_ret = (struct cg_recording){
        .taken = atomic_load(&recorder->written),
        .late = late,
        .missed = atomic_load(&recorder->missed),
        .overrun = atomic_load(&recorder->overrun),
        .unknown = atomic_load(&recorder->unknown),
        .first = recorder->first,
        .running = atomic_load(&recorder->running) && has_thread(recorder),
    };
}
