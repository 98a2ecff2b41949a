/* cg.h - included by the .c files: the interface with a guard, and C-only declarations. */
#ifndef CG_H
#define CG_H

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include "cg_abi.h"

_Static_assert(sizeof(size_t) == 8 || sizeof(size_t) == 4, "offsets are 32 bits");
_Static_assert(sizeof(int) == 4, "errno and descriptors cross as 32 bits");
_Static_assert(CHAR_BIT == 8, "control files are bytes");

/* Closes the variable's descriptor at the end of its scope. */
#define CG_CLOSE __attribute__((cleanup(cg_close_descriptor), unused))
void cg_close_descriptor(const int *fd);

/* One pread(2) at offset 0, EINTR retried: the bytes read, or -errno.  Inline:
 * a system call loses the processor's return predictions. */
static inline int64_t cg_pread(int fd, char *text, size_t capacity)
{
    for (;;) {
        ssize_t got = pread(fd, text, capacity, 0);
        if (got >= 0)
            return got;
        if (errno != EINTR)
            return -errno;
    }
}

/* One open(2) of an absolute path as a directory, or -errno. */
int cg_open_directory(const char *path, int flags, int *error_ret);

/* Many files of one cache that are read repeatedly.  A NULL file is not read, but
 * reported in order as CG_EMPTY.  To change files, also set seen to 0. */
struct cg_batch {
    struct cg_cache *cache;
    struct cg_file **files;
    int *fds; /* the kept descriptors in cache state `seen` */
    size_t count;
    uint64_t seen;
    unsigned phase; /* of the cache, during a read */
};

/* Receives one text of a batch: status and errno are the read's, and the text
 * is valid only on CG_OK. */
typedef void (*cg_got)(void *context, size_t i, int status, int error, const char *text, size_t length);

/* Reads the files in order; a kept file takes one pread(2). */
void cg_batch_read(struct cg_batch *batch, char *text, size_t capacity, cg_got got, void *context);

/* Reads one file again, with more room, if its text did not fit. */
void cg_batch_read_one(struct cg_batch *batch, size_t i, char *text, size_t capacity, cg_got got, void *context);

/* Gives a file a newly opened descriptor and its inode; opening the file later
 * with another inode is ESTALE.  If the budget is full, the descriptor is closed
 * and no other file is evicted. */
void cg_file_adopt(struct cg_file *file, int fd, uint64_t inode);

/* A lock that no other thread holds during fork(2), so the guarded data is
 * consistent in the child.  Lock order: before the cache's lock. */
struct cg_guard {
    pthread_mutex_t lock;
    bool forked; /* created in a parent process, whose threads do not exist here */
    struct cg_guard *next;
    struct cg_guard **link;
};
void cg_guard_create(struct cg_cache *cache, struct cg_guard *guard);
void cg_guard_destroy(struct cg_cache *cache, struct cg_guard *guard);

/* Whether a text has the kernel's ending: a newline, or for CG_NESTED also a
 * blank, since some kernels omit the newline after a device without counters.
 * A text without it was cut, perhaps within its last number: it is read once
 * more, and refused if it is still cut. */
static inline bool cg_is_whole(int shape, const char *text, size_t length)
{
    char last = length > 0 ? text[length - 1] : '\n';
    return last == '\n' || (shape == CG_NESTED && last == ' ') || shape == CG_TEXT;
}

/* Whether a failure means that the process or the machine has no descriptor
 * left. */
static inline bool cg_no_descriptor(int status, int error)
{
    return status == CG_OS && (error == EMFILE || error == ENFILE);
}

/* Closes some kept descriptors, so that an open that failed for lack of one can
 * be retried.  Waits for the batches that may use them, so it must not be called
 * within a batch.  False if nothing could be closed. */
bool cg_cache_give_back(struct cg_cache *cache);

/* Like cg_open_beneath, but closes kept descriptors if none is left. */
int cg_cache_open_beneath(struct cg_cache *cache, int directory, const char *path, int flags, int *fd_ret,
                          int *error_ret);

/* Take another reference to an object; *_destroy drops it. */
struct cg_cache *cg_cache_retain(struct cg_cache *cache);
struct cg_file *cg_file_retain(struct cg_file *file);
struct cg_sampler *cg_sampler_retain(struct cg_sampler *sampler);

/* Reports a fallback once for each flag if CGROUPS_DEBUG is 1; preserves errno. */
void cg_fallback(atomic_flag *said, const char *taken);

/* Starts to watch a child of this process. */
void cg_watch_begin(struct cg_watch *watch, int pid);

struct cg_cache *cg_sampler_cache(struct cg_sampler *sampler);

#endif
