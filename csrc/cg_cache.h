/* cg_cache.h - internals of the cache of kept-open files, for its three files:
 * cg_cache.c (the cache), cg_file.c (one file) and cg_batch.c (many files).
 *
 * Invariant: a descriptor is used only while its file is pinned or within a
 * batch, and closed only while no one can be using it.  Callers run without the
 * interpreter's lock: without the invariant, a thread could read through a
 * descriptor that another thread has closed and the kernel has reused. */
#ifndef CG_CACHE_H
#define CG_CACHE_H

#include <stdatomic.h>

#include "cg.h"

enum { CG_TRIES = 8 /* retries of an open while no descriptor is left */ };

/* Descriptors that left the cache during some batches, to be closed at the end of
 * the last of them.  The next phase starts when the previous one has no readers,
 * so two phases are enough. */
struct phase {
    size_t readers;
    int *leaving; /* with the capacity of cache->kept */
    size_t count;
};

struct cg_cache {
    atomic_size_t references;
    pthread_mutex_t lock;
    pthread_cond_t closing; /* signalled when leaving descriptors are closed */
    uint64_t closed;        /* number of such signals */
    struct cg_file **kept;  /* the files that hold a descriptor */
    size_t count;
    size_t capacity;        /* for all open descriptors: kept or leaving */
    size_t budget;          /* for the same */
    size_t hand;            /* of the clock algorithm that finds the next victim */
    uint64_t state;         /* counts changes of the set of kept files */
    unsigned phase;         /* of new batches, and of descriptors that leave */
    struct phase phases[2]; /* the current and the previous one */
    pthread_mutex_t guards_lock;
    struct cg_guard *guards; /* of the objects on this cache that must be consistent at a fork */
};

struct cg_file {
    struct cg_cache *cache;
    struct cg_file *directory; /* NULL for a directory */
    int flags;
    uint64_t inode; /* the expected inode, or 0 for any */
    /* All fields below are under cache->lock. */
    unsigned references; /* from the caller, each file beneath and each row of a sampler */
    unsigned pins;
    size_t slot; /* in cache->kept, while fd >= 0 */
    int fd;
    bool used;  /* since the clock's hand last passed it */
    bool stale; /* dead or closed by the caller: to be closed when unpinned */
    char path[];
};

/* The functions below are called with cache->lock held. */

/* Removes the file's descriptor from the cache.  Returns the descriptor, which the
 * caller closes, or -1 if a batch may be using it. */
int cg_cache_detach(struct cg_cache *cache, struct cg_file *file);

/* Adds a new descriptor to the cache, if there is room or one can be evicted;
 * *victim_ret is then the descriptor to close, or -1.  During a batch nothing can
 * be evicted, since the victim would stay open. */
bool cg_cache_attach(struct cg_cache *cache, struct cg_file *file, int fd, int *victim_ret);

/* Closes the leaving descriptors that no batch can be using. */
void cg_cache_tidy(struct cg_cache *cache);

/* The functions below take the lock. */

/* Reads the text of a file; if the cgroup of its kept descriptor is gone, reopens
 * the file once.  Does not call cg_cache_give_back, so a batch may call it. */
int cg_file_read_text(struct cg_file *file, char *text, size_t capacity, size_t *length_ret, int *error_ret);

#endif
