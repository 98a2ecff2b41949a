/* cg_cache.h - the cache of kept-open files, as its own three files see it:
 * cg_cache.c (what is kept), cg_file.c (one file) and cg_batch.c (many).
 *
 * The rule that everything there serves: a descriptor is used while its file
 * is pinned, or within a batch, and closed only while nobody can be using it.
 * Callers run without the interpreter's lock, so without this rule a number
 * that one thread has just closed may be another thread's file. */
#ifndef CG_CACHE_H
#define CG_CACHE_H

#include <stdatomic.h>

#include "cg.h"

enum { CG_TRIES = 8 /* to open, where no descriptor is left */ };

/* Descriptors that left the cache while batches were read, to be closed when
 * none of these batches is read any more.  The next phase begins when the one
 * before has no readers any more, so that two are enough. */
struct phase {
    size_t readers;
    int *leaving; /* as many as there is room for in cache->kept */
    size_t count;
};

struct cg_cache {
    atomic_size_t references;
    pthread_mutex_t lock;
    pthread_cond_t closing; /* descriptors that had left were closed */
    uint64_t closed;        /* how often */
    struct cg_file **kept;  /* the files that hold a descriptor */
    size_t count;
    size_t capacity; /* of all descriptors that are open: kept, or leaving */
    size_t budget;   /* of the same */
    size_t hand; /* of the clock that finds the next file to close */
    uint64_t state; /* counts what came into the cache and went */
    unsigned phase;    /* who begins to read many belongs to it, and what leaves */
    struct phase phases[2]; /* this one, and the one before */
    pthread_mutex_t guards_lock;
    struct cg_guard *guards; /* of what lives on this cache, and has to be whole at a fork */
};

struct cg_file {
    struct cg_cache *cache;
    struct cg_file *directory; /* NULL for a directory itself */
    int flags;
    uint64_t inode; /* that it has to have, or 0 */
    /* All below under cache->lock. */
    unsigned references; /* the caller's, one for each file beneath, one for each row of a sampler */
    unsigned pins;
    size_t slot; /* in cache->kept, while fd >= 0 */
    int fd;
    bool used;  /* since the clock's hand last came by */
    bool stale; /* found dead, or given back: to be closed when unpinned */
    char path[];
};

/* The functions below are called with cache->lock held. */

/* Takes the file's descriptor out of the cache: the descriptor for the caller
 * to close, or -1 where a batch may be using it. */
int cg_cache_detach(struct cg_cache *cache, struct cg_file *file);

/* Puts a fresh descriptor into the cache, if there is room or can be made;
 * *victim_ret is then one to close, or -1.  While a batch is read, what would
 * leave stays open, so no room can be made. */
bool cg_cache_attach(struct cg_cache *cache, struct cg_file *file, int fd, int *victim_ret);

/* Closes what no batch can be using any more. */
void cg_cache_tidy(struct cg_cache *cache);

/* The functions below take the lock themselves. */

/* The text of a file.  Once more where its kept descriptor was of a cgroup
 * that is gone.  Does not call cg_cache_give_back, so a batch may call it. */
int cg_file_read_text(struct cg_file *file, char *text, size_t capacity, size_t *length_ret, int *error_ret);

#endif
