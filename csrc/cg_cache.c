/* cg_cache.c - the cache of open descriptors: budget, eviction and fork(2).
 *
 * The cache owns every kept descriptor.  A batch does not pin each of its
 * files: a descriptor evicted during a batch is closed at its end, and counts
 * as kept until then. */
#include <stdlib.h>
#include <unistd.h>

#include "cg_cache.h"

enum { GIVE_BACK = 16 /* descriptors at a time */ };

struct cg_cache *cg_cache_create(size_t budget)
{
    struct cg_cache *cache = calloc(1, sizeof *cache);
    if (cache != NULL) {
        atomic_init(&cache->references, 1);
        pthread_mutex_init(&cache->lock, NULL);
        pthread_mutex_init(&cache->guards_lock, NULL);
        pthread_cond_init(&cache->closing, NULL);
        cache->budget = budget;
        cache->state = 1; /* no batch has seen state 0 */
    }
    return cache;
}

struct cg_cache *cg_cache_retain(struct cg_cache *cache)
{
    atomic_fetch_add_explicit(&cache->references, 1, memory_order_relaxed);
    return cache;
}

void cg_cache_destroy(struct cg_cache *cache)
{
    if (atomic_fetch_sub_explicit(&cache->references, 1, memory_order_acq_rel) > 1)
        return;
    pthread_mutex_destroy(&cache->lock);
    pthread_mutex_destroy(&cache->guards_lock);
    pthread_cond_destroy(&cache->closing);
    free(cache->kept);
    free(cache->phases[0].leaving);
    free(cache->phases[1].leaving);
    free(cache);
}

/* All functions below, up to cg_cache_set_budget, run under the lock. */

static bool is_read(const struct cg_cache *cache)
{
    return cache->phases[0].readers + cache->phases[1].readers > 0;
}

static size_t leaving(const struct cg_cache *cache)
{
    return cache->phases[0].count + cache->phases[1].count;
}

/* Returns the descriptor, which the caller closes, or -1 if a batch may be using it. */
static int leave(struct cg_cache *cache, int fd)
{
    struct phase *phase = &cache->phases[cache->phase % 2];
    if (!is_read(cache))
        return fd;
    phase->leaving[phase->count++] = fd;
    return -1;
}

static void close_leaving(struct cg_cache *cache, struct phase *phase)
{
    if (phase->readers > 0 || phase->count == 0)
        return;
    while (phase->count > 0)
        close(phase->leaving[--phase->count]);
    cache->closed++;
    pthread_cond_broadcast(&cache->closing);
}

void cg_cache_tidy(struct cg_cache *cache)
{
    struct phase *now = &cache->phases[cache->phase % 2], *before = &cache->phases[(cache->phase + 1) % 2];
    if (before->readers > 0)
        return; /* its readers may still use descriptors that left since */
    close_leaving(cache, before);
    close_leaving(cache, now);
    if (now->count > 0)
        cache->phase++;
}

int cg_cache_detach(struct cg_cache *cache, struct cg_file *file)
{
    int fd = file->fd;
    struct cg_file *last = cache->kept[--cache->count];
    cache->kept[file->slot] = last;
    last->slot = file->slot;
    file->fd = -1;
    file->stale = false;
    cache->state++;
    return leave(cache, fd);
}

/* Returns an unpinned file that was not used since the hand last passed it; NULL
 * if all are pinned.  Two rounds: the first may only clear the marks. */
static struct cg_file *find_victim(struct cg_cache *cache)
{
    for (size_t step = 0; step < 2 * cache->count; step++) {
        struct cg_file *file = cache->kept[cache->hand++ % cache->count];
        if (file->pins == 0 && !file->used)
            return file;
        file->used = false;
    }
    return NULL;
}

/* Makes room for one more descriptor, kept or leaving. */
static bool reserve(struct cg_cache *cache)
{
    size_t capacity = cache->capacity ? 2 * cache->capacity : 64;
    if (cache->count + leaving(cache) < cache->capacity)
        return true;
    for (int i = 0; i < 2; i++) {
        int *grown = realloc(cache->phases[i].leaving, capacity * sizeof *grown);
        if (grown == NULL)
            return false;
        cache->phases[i].leaving = grown;
    }
    struct cg_file **kept = realloc(cache->kept, capacity * sizeof(struct cg_file *));
    if (kept == NULL)
        return false;
    cache->kept = kept;
    cache->capacity = capacity;
    return true;
}

bool cg_cache_attach(struct cg_cache *cache, struct cg_file *file, int fd, int *victim_ret)
{
    *victim_ret = -1;
    if (file->fd >= 0 || file->flags & CG_FILE_LIST || cache->budget == 0)
        return false;
    if (cache->count + leaving(cache) >= cache->budget) {
        bool full = file->flags & CG_FILE_NO_EVICT || is_read(cache);
        struct cg_file *victim = full ? NULL : find_victim(cache);
        if (victim == NULL)
            return false;
        *victim_ret = cg_cache_detach(cache, victim);
    }
    if (!reserve(cache))
        return false;
    file->fd = fd;
    file->used = true;
    file->slot = cache->count;
    cache->kept[cache->count++] = file;
    cache->state++;
    return true;
}

void cg_cache_set_budget(struct cg_cache *cache, size_t budget)
{
    pthread_mutex_lock(&cache->lock);
    cache->budget = budget;
    for (struct cg_file *victim; cache->count > budget && (victim = find_victim(cache)) != NULL;) {
        int fd CG_CLOSE = cg_cache_detach(cache, victim);
    }
    pthread_mutex_unlock(&cache->lock);
}

size_t cg_cache_budget(struct cg_cache *cache)
{
    pthread_mutex_lock(&cache->lock);
    size_t budget = cache->budget;
    pthread_mutex_unlock(&cache->lock);
    return budget;
}

size_t cg_cache_kept(struct cg_cache *cache)
{
    pthread_mutex_lock(&cache->lock);
    size_t count = cache->count + leaving(cache);
    pthread_mutex_unlock(&cache->lock);
    return count;
}

bool cg_cache_give_back(struct cg_cache *cache)
{
    int fds[GIVE_BACK];
    size_t taken = 0, count = 0;
    pthread_mutex_lock(&cache->lock);
    uint64_t closed = cache->closed;
    for (struct cg_file *victim; taken < GIVE_BACK && (victim = find_victim(cache)) != NULL; taken++) {
        int fd = cg_cache_detach(cache, victim);
        if (fd >= 0)
            fds[count++] = fd;
    }
    while (count == 0 && leaving(cache) > 0 && cache->closed == closed)
        pthread_cond_wait(&cache->closing, &cache->lock);
    bool done = count > 0 || cache->closed != closed;
    pthread_mutex_unlock(&cache->lock);
    while (count > 0)
        close(fds[--count]);
    return done;
}

int cg_cache_open_beneath(struct cg_cache *cache, int directory, const char *path, int flags, int *fd_ret,
                          int *error_ret)
{
    int status, tries = 0;
    do
        status = cg_open_beneath(directory, path, flags, fd_ret, error_ret);
    while (cg_no_descriptor(status, *error_ret) && tries++ < CG_TRIES && cg_cache_give_back(cache));
    return status;
}

/* ---- fork(2) -------------------------------------------------------------- */

/* Global, since the handlers of pthread_atfork(3) take no argument. */
static struct cg_cache *shared;
static pthread_mutex_t shared_lock = PTHREAD_MUTEX_INITIALIZER;

void cg_guard_create(struct cg_cache *cache, struct cg_guard *guard)
{
    pthread_mutex_init(&guard->lock, NULL);
    guard->forked = false;
    pthread_mutex_lock(&cache->guards_lock);
    guard->next = cache->guards;
    guard->link = &cache->guards;
    if (guard->next != NULL)
        guard->next->link = &guard->next;
    cache->guards = guard;
    pthread_mutex_unlock(&cache->guards_lock);
}

void cg_guard_destroy(struct cg_cache *cache, struct cg_guard *guard)
{
    pthread_mutex_lock(&cache->guards_lock);
    *guard->link = guard->next;
    if (guard->next != NULL)
        guard->next->link = guard->link;
    pthread_mutex_unlock(&cache->guards_lock);
    pthread_mutex_destroy(&guard->lock);
}

static void before_fork(void)
{
    pthread_mutex_lock(&shared_lock);
    pthread_mutex_lock(&shared->guards_lock);
    for (struct cg_guard *guard = shared->guards; guard != NULL; guard = guard->next)
        pthread_mutex_lock(&guard->lock);
    pthread_mutex_lock(&shared->lock);
}

/* Also called in the child, whose only thread took the locks. */
static void unlock_all(void)
{
    pthread_mutex_unlock(&shared->lock);
    for (struct cg_guard *guard = shared->guards; guard != NULL; guard = guard->next)
        pthread_mutex_unlock(&guard->lock);
    pthread_mutex_unlock(&shared->guards_lock);
    pthread_mutex_unlock(&shared_lock);
}

static void after_fork_in_child(void)
{
    struct cg_cache *cache = shared;
    for (struct cg_guard *guard = cache->guards; guard != NULL; guard = guard->next)
        guard->forked = true;
    pthread_cond_init(&cache->closing, NULL); /* the waiting threads do not exist here */
    cache->phases[0].readers = cache->phases[1].readers = 0;
    cg_cache_tidy(cache);
    for (size_t i = cache->count; i-- > 0;) {
        struct cg_file *file = cache->kept[i];
        file->pins = 0;
        if (file->stale) {
            int fd CG_CLOSE = cg_cache_detach(cache, file);
        }
    }
    unlock_all();
}

struct cg_cache *cg_cache_shared(size_t budget)
{
    pthread_mutex_lock(&shared_lock);
    if (shared == NULL && (shared = cg_cache_create(budget)) != NULL &&
        pthread_atfork(before_fork, unlock_all, after_fork_in_child) != 0) {
        cg_cache_destroy(shared);
        shared = NULL;
    }
    struct cg_cache *cache = shared == NULL ? NULL : cg_cache_retain(shared);
    pthread_mutex_unlock(&shared_lock);
    return cache;
}
