/* cg_batch.c - reads many files with one pread(2) each, without pinning each file. */
#include <errno.h>

#include "cg_cache.h"

/* Records the files' current descriptors and marks the kept files as used. */
static void see(struct cg_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct cg_file *file = batch->files[i];
        bool kept = file != NULL && file->fd >= 0 && !file->stale;
        batch->fds[i] = kept ? file->fd : -1;
        if (kept)
            file->used = true;
    }
    batch->seen = batch->cache->state;
}

static void begin(struct cg_batch *batch)
{
    struct cg_cache *cache = batch->cache;
    pthread_mutex_lock(&cache->lock);
    if (batch->seen != cache->state)
        see(batch);
    batch->phase = cache->phase;
    cache->phases[batch->phase % 2].readers++;
    pthread_mutex_unlock(&cache->lock);
}

static void end(struct cg_batch *batch)
{
    struct cg_cache *cache = batch->cache;
    pthread_mutex_lock(&cache->lock);
    cache->phases[batch->phase % 2].readers--;
    cg_cache_tidy(cache);
    pthread_mutex_unlock(&cache->lock);
}

/* Leaves the batch meanwhile: cg_cache_give_back may close its descriptors. */
static bool give_back(struct cg_batch *batch)
{
    end(batch);
    bool done = cg_cache_give_back(batch->cache);
    begin(batch);
    return done;
}

/* Reads a file that is not kept, or whose cgroup is gone. */
static void read_otherwise(struct cg_batch *batch, size_t i, char *text, size_t capacity, cg_got got, void *context)
{
    size_t length = 0;
    int error = 0;
    if (batch->fds[i] >= 0)
        cg_file_close(batch->files[i]);
    int status = cg_file_read_text(batch->files[i], text, capacity, &length, &error);
    for (int tries = 0; cg_no_descriptor(status, error) && tries < CG_TRIES && give_back(batch); tries++)
        status = cg_file_read_text(batch->files[i], text, capacity, &length, &error);
    got(context, i, status, status == CG_OS ? error : 0, text, length);
}

static void read_range(struct cg_batch *batch, size_t from, size_t to, char *text, size_t capacity, cg_got got,
                       void *context)
{
    begin(batch);
    for (size_t i = from; i < to; i++) {
        int64_t length = batch->fds[i] >= 0 ? cg_pread(batch->fds[i], text, capacity) : -ENODEV;
        if (length >= 0 && (size_t)length < capacity)
            got(context, i, CG_OK, 0, text, (size_t)length);
        else if (batch->files[i] == NULL)
            got(context, i, CG_EMPTY, 0, text, 0);
        else if (length == -ENODEV)
            read_otherwise(batch, i, text, capacity, got, context);
        else
            got(context, i, length < 0 ? CG_OS : CG_SPACE, length < 0 ? (int)-length : 0, text, 0);
    }
    end(batch);
}

void cg_batch_read(struct cg_batch *batch, char *text, size_t capacity, cg_got got, void *context)
{
    read_range(batch, 0, batch->count, text, capacity, got, context);
}

void cg_batch_read_one(struct cg_batch *batch, size_t i, char *text, size_t capacity, cg_got got, void *context)
{
    read_range(batch, i, i + 1, text, capacity, got, context);
}
