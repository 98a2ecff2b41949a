/* cg.h - what the .c files include: the interface, guarded, and what C needs. */
#ifndef CG_H
#define CG_H

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include "cg_abi.h"

_Static_assert(sizeof(size_t) == 8 || sizeof(size_t) == 4, "offsets are 32 bits");
_Static_assert(sizeof(int) == 4, "errno and descriptors cross as 32 bits");
_Static_assert(CHAR_BIT == 8, "control files are bytes");

/* Closes the descriptor of the variable when it leaves its scope. */
#define CG_CLOSE __attribute__((cleanup(cg_close_descriptor), unused))
void cg_close_descriptor(const int *fd);

/* One pread(2) at offset 0, EINTR retried: the bytes read, or -errno.  Inline:
 * after a system call the processor has forgotten where functions return to. */
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

/* Many files of one cache that are read again and again.  A NULL among them
 * is not read: it is got as CG_EMPTY, in its turn.  Whoever changes files sets seen to 0. */
struct cg_batch {
    struct cg_cache *cache;
    struct cg_file **files;
    int *fds; /* those kept when the cache was in the state that was seen */
    size_t count;
    uint64_t seen;
    unsigned phase; /* of the cache, while it is read */
};

/* What a text is to whoever reads many: status and errno are those of the
 * read, and the text is there on CG_OK alone. */
typedef void (*cg_got)(void *context, size_t i, int status, int error, const char *text, size_t length);

/* Reads them in order, by one pread(2) each where they are kept. */
void cg_batch_read(struct cg_batch *batch, char *text, size_t capacity, cg_got got, void *context);

/* The same for one of them that did not fit, with more room. */
void cg_batch_read_one(struct cg_batch *batch, size_t i, char *text, size_t capacity, cg_got got, void *context);

/* Gives a file a descriptor just opened, and the inode that it has to have
 * whenever it is opened again: another is ESTALE.  Closed when the budget has
 * no room: other files are not pushed out. */
void cg_file_adopt(struct cg_file *file, int fd, uint64_t inode);

/* A lock that no other thread holds at a fork(2): what it guards is whole in
 * the child.  Taken before the cache's own lock, never after. */
struct cg_guard {
    pthread_mutex_t lock;
    bool forked; /* this process is a child of the one that made it, and has none of its threads */
    struct cg_guard *next;
    struct cg_guard **link;
};
void cg_guard_create(struct cg_cache *cache, struct cg_guard *guard);
void cg_guard_destroy(struct cg_cache *cache, struct cg_guard *guard);

/* Whether a text of a shape ends as the kernel ends one: with a newline, or,
 * of CG_NESTED, a blank, since some kernels leave the newline out after a
 * device without counters.  One that does not was cut, and so may be its last
 * number: it is read once more, and refused if it stays so. */
static inline bool cg_is_whole(int shape, const char *text, size_t length)
{
    char last = length > 0 ? text[length - 1] : '\n';
    return last == '\n' || (shape == CG_NESTED && last == ' ') || shape == CG_TEXT;
}

/* Whether a failure is that no descriptor was left, of this process or of the
 * machine. */
static inline bool cg_no_descriptor(int status, int error)
{
    return status == CG_OS && (error == EMFILE || error == ENFILE);
}

/* Closes some of the descriptors that are kept, for an open that found none
 * left to be tried again.  Waits for the batches that may be using them, so it
 * must not be called within one.  False where nothing could be closed. */
bool cg_cache_give_back(struct cg_cache *cache);

/* cg_open_beneath, which gives descriptors of the cache back when none is left. */
int cg_cache_open_beneath(struct cg_cache *cache, int directory, const char *path, int flags, int *fd_ret,
                          int *error_ret);

/* One more count of an object, for what uses it; *_destroy gives it back. */
struct cg_cache *cg_cache_retain(struct cg_cache *cache);
struct cg_file *cg_file_retain(struct cg_file *file);
struct cg_sampler *cg_sampler_retain(struct cg_sampler *sampler);

/* Begins to watch a child of this process. */
void cg_watch_begin(struct cg_watch *watch, int pid);

struct cg_cache *cg_sampler_cache(struct cg_sampler *sampler);

#endif
