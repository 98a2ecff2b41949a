/* cg_file.c - one kept-open file: opened on a read, pinned during use.
 *
 * A file that does not fit the budget, or must not be kept, is opened for a
 * single read: its descriptor is private to the call and never in the cache. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "cg_cache.h"
#include "cg_scan.h"

enum { CGROUP1_MAGIC = 0x27e0eb, CGROUP2_MAGIC = 0x63677270 };

/* A descriptor for the duration of one call. */
struct pinned {
    int fd;
    bool kept;  /* in the cache; else private to the call */
    bool fresh; /* opened by this call */
};

static bool try_pin(struct cg_file *file, struct pinned *pinned_ret)
{
    if (file->fd < 0 || file->stale)
        return false;
    file->pins++;
    file->used = true;
    *pinned_ret = (struct pinned){.fd = file->fd, .kept = true};
    return true;
}

static int open_root(const struct cg_file *file, int *fd_ret, int *error_ret)
{
    struct statfs system;
    int fd CG_CLOSE = cg_open_directory(file->path, O_PATH, error_ret);
    if (fd < 0)
        return CG_OS;
    if (file->flags & (CG_FILE_CGROUP1 | CG_FILE_CGROUP2)) {
        if (fstatfs(fd, &system) < 0) {
            *error_ret = errno;
            return CG_OS;
        }
        if (system.f_type != (file->flags & CG_FILE_CGROUP1 ? CGROUP1_MAGIC : CGROUP2_MAGIC))
            return CG_FOREIGN;
    }
    *fd_ret = fd;
    fd = -1;
    return CG_OK;
}

/* Each cgroup's files have their own inodes, so this distinguishes a file from
 * that of a cgroup created again under the same name. */
static int check_inode(const struct cg_file *file, int *fd, int *error_ret)
{
    struct stat found;
    if (file->inode == 0)
        return CG_OK;
    *error_ret = fstat(*fd, &found) < 0 ? errno : found.st_ino == file->inode ? 0 : ESTALE;
    if (*error_ret == 0)
        return CG_OK;
    cg_close_descriptor(fd);
    *fd = -1;
    return CG_OS;
}

static int open_once(struct cg_file *directory, const char *path, int flags, int *fd_ret, int *error_ret);

static int open_file(struct cg_file *file, int *fd_ret, int *error_ret)
{
    if (file->directory == NULL)
        return open_root(file, fd_ret, error_ret);
    int status = open_once(file->directory, file->path, O_RDONLY, fd_ret, error_ret);
    return status ? status : check_inode(file, fd_ret, error_ret);
}

static int pin(struct cg_file *file, struct pinned *pinned_ret, int *error_ret)
{
    struct cg_cache *cache = file->cache;
    int victim CG_CLOSE = -1;
    pthread_mutex_lock(&cache->lock);
    bool done = try_pin(file, pinned_ret);
    pthread_mutex_unlock(&cache->lock);
    if (done)
        return CG_OK;

    /* Open without the lock, since an open may sleep.  If two threads do so at the
     * same time, the later descriptor stays private. */
    *pinned_ret = (struct pinned){.fd = -1, .fresh = true};
    int status = open_file(file, &pinned_ret->fd, error_ret);
    if (status)
        return status;
    pthread_mutex_lock(&cache->lock);
    if (cg_cache_attach(cache, file, pinned_ret->fd, &victim)) {
        pinned_ret->kept = true;
        file->pins++;
    }
    pthread_mutex_unlock(&cache->lock);
    return CG_OK;
}

/* Whether to retry a call that failed because no descriptor was left. */
static bool again(struct cg_file *file, int status, int error, int *tries)
{
    return cg_no_descriptor(status, error) && (*tries)++ < CG_TRIES && cg_cache_give_back(file->cache);
}

static int pin_again(struct cg_file *file, struct pinned *pinned_ret, int *error_ret)
{
    int status, tries = 0;
    do
        status = pin(file, pinned_ret, error_ret);
    while (again(file, status, *error_ret, &tries));
    return status;
}

/* Drops a pin, under the lock.  Returns the descriptor to close, or -1. */
static int release(struct cg_file *file)
{
    struct cg_cache *cache = file->cache;
    if (--file->pins > 0)
        return -1;
    return file->stale || cache->count > cache->budget ? cg_cache_detach(cache, file) : -1;
}

static void unpin(struct cg_file *file, struct pinned pinned)
{
    int fd CG_CLOSE = pinned.fd;
    if (pinned.kept) {
        pthread_mutex_lock(&file->cache->lock);
        fd = release(file);
        pthread_mutex_unlock(&file->cache->lock);
    }
}

void cg_file_close(struct cg_file *file)
{
    int fd CG_CLOSE = -1;
    pthread_mutex_lock(&file->cache->lock);
    if (file->fd >= 0 && file->pins == 0)
        fd = cg_cache_detach(file->cache, file);
    else
        file->stale = file->fd >= 0;
    pthread_mutex_unlock(&file->cache->lock);
}

void cg_file_adopt(struct cg_file *file, int fd, uint64_t inode)
{
    int victim CG_CLOSE = -1, unkept CG_CLOSE = -1, old CG_CLOSE = -1;
    pthread_mutex_lock(&file->cache->lock);
    file->inode = inode;
    if (file->fd >= 0 && file->pins == 0)
        old = cg_cache_detach(file->cache, file);
    if (!cg_cache_attach(file->cache, file, fd, &victim))
        unkept = fd;
    pthread_mutex_unlock(&file->cache->lock);
}

struct cg_file *cg_file_create(struct cg_cache *cache, struct cg_file *directory, const char *path, int flags)
{
    size_t size = strlen(path) + 1;
    struct cg_file *file = calloc(1, sizeof *file + size);
    if (file == NULL)
        return NULL;
    memcpy(file->path, path, size);
    file->cache = cg_cache_retain(cache);
    file->directory = directory == NULL ? NULL : cg_file_retain(directory);
    file->flags = flags;
    file->references = 1;
    file->fd = -1;
    return file;
}

struct cg_file *cg_file_retain(struct cg_file *file)
{
    pthread_mutex_lock(&file->cache->lock);
    file->references++;
    pthread_mutex_unlock(&file->cache->lock);
    return file;
}

void cg_file_destroy(struct cg_file *file)
{
    while (file != NULL) {
        struct cg_file *directory = file->directory;
        struct cg_cache *cache = file->cache;
        int fd CG_CLOSE = -1;
        pthread_mutex_lock(&cache->lock);
        bool last = --file->references == 0;
        if (last && file->fd >= 0)
            fd = cg_cache_detach(cache, file);
        pthread_mutex_unlock(&cache->lock);
        if (!last)
            break;
        free(file);
        cg_cache_destroy(cache);
        file = directory;
    }
}

/* ---- reading ------------------------------------------------------------ */

/* Every control file except a task list is a single record, which the kernel
 * formats as a whole on a read from offset 0 (seq_file.c, single_open).  One
 * pread returns all of it if it fits; if not, the caller retries with more
 * room.  So no read sees two states of a file. */
static int read_once(int fd, bool list, char *text, size_t capacity, size_t *length_ret, int *error_ret)
{
    *length_ret = capacity;
    if (list)
        return cg_read_all(fd, text, capacity, length_ret, error_ret);
    int64_t got = cg_pread(fd, text, capacity);
    if (got < 0) {
        *error_ret = (int)-got;
        return CG_OS;
    }
    *length_ret = (size_t)got;
    return *length_ret == capacity ? CG_SPACE : CG_OK;
}

int cg_file_read_text(struct cg_file *file, char *text, size_t capacity, size_t *length_ret, int *error_ret)
{
    for (;;) {
        struct pinned pinned;
        int status = pin(file, &pinned, error_ret);
        if (status)
            return status;
        status = read_once(pinned.fd, file->flags & CG_FILE_LIST, text, capacity, length_ret, error_ret);
        /* A kept descriptor outlives its cgroup, but its reads fail with ENODEV. */
        bool dead = status == CG_OS && *error_ret == ENODEV;
        unpin(file, pinned);
        if (!dead)
            return status;
        cg_file_close(file);
        if (pinned.fresh)
            return status;
    }
}

static int read_text(struct cg_file *file, char *text, size_t capacity, size_t *length_ret, int *error_ret)
{
    int status, tries = 0;
    do
        status = cg_file_read_text(file, text, capacity, length_ret, error_ret);
    while (again(file, status, *error_ret, &tries));
    return status;
}

int64_t cg_file_read_int(struct cg_file *file)
{
    char text[32];
    size_t length;
    int error = 0;
    if (read_text(file, text, sizeof text, &length, &error) != CG_OK)
        return -2;
    return cg_one_number(text, length);
}

int cg_file_read(struct cg_file *file, int shape, struct cg_arena *arena)
{
    bool whole = false;
    for (int reads = 0; reads < 2 && !whole; reads++) {
        int status = read_text(file, arena->text, arena->text_capacity, &arena->text_length, &arena->error);
        if (status)
            return status;
        whole = cg_is_whole(shape, arena->text, arena->text_length);
    }
    int status = cg_parse(shape, arena->text, arena->text_length, &arena->cells, &arena->offset);
    if (status || whole)
        return status;
    arena->offset = arena->text_length;
    return CG_SYNTAX;
}

int cg_file_read_layout(struct cg_file *file, const struct cg_layout *layout, struct cg_arena *arena)
{
    int status = read_text(file, arena->text, arena->text_capacity, &arena->text_length, &arena->error);
    if (status)
        return status;
    return cg_parse_layout(layout, arena->text, arena->text_length, arena->cells.value, NULL);
}

/* ---- not kept ---------------------------------------------------------------- */

/* Without cg_cache_give_back, for callers within a batch. */
static int open_once(struct cg_file *directory, const char *path, int flags, int *fd_ret, int *error_ret)
{
    struct pinned pinned;
    int status = pin(directory, &pinned, error_ret);
    if (status)
        return status;
    status = cg_open_beneath(pinned.fd, path, flags, fd_ret, error_ret);
    unpin(directory, pinned);
    return status;
}

int cg_file_open(struct cg_file *directory, const char *path, int flags, int *fd_ret, int *error_ret)
{
    int status, tries = 0;
    do
        status = open_once(directory, path, flags, fd_ret, error_ret);
    while (again(directory, status, *error_ret, &tries));
    return status;
}

int cg_file_write(struct cg_file *directory, const char *path, const char *data, size_t length, int *error_ret)
{
    int fd CG_CLOSE = -1;
    int status = cg_file_open(directory, path, O_WRONLY, &fd, error_ret);
    if (status)
        return status;
    ssize_t written;
    do
        written = write(fd, data, length);
    while (written < 0 && errno == EINTR);
    if (written == (ssize_t)length)
        return CG_OK;
    *error_ret = written < 0 ? errno : EIO;
    return CG_OS;
}

int64_t cg_file_inode(struct cg_file *directory, const char *path)
{
    struct stat found;
    int error, status;
    /* A cgroup file system has no symbolic links, and one fstatat takes half the
     * time of open and close; but it does not accept a long path. */
    bool fits = *path != '\0' && strnlen(path, PATH_MAX) < PATH_MAX;
    if (fits && directory->flags & (CG_FILE_CGROUP1 | CG_FILE_CGROUP2)) {
        struct pinned pinned;
        status = pin_again(directory, &pinned, &error);
        if (status == CG_OK) {
            error = fstatat(pinned.fd, path, &found, AT_SYMLINK_NOFOLLOW) < 0 ? errno : 0;
            unpin(directory, pinned);
        }
    } else {
        int fd CG_CLOSE = -1;
        status = cg_file_open(directory, path, O_PATH | O_DIRECTORY, &fd, &error);
        if (status == CG_OK)
            error = fstat(fd, &found) < 0 ? errno : 0;
    }
    if (status == CG_FOREIGN)
        return -ENODEV;
    if (error == 0 && !S_ISDIR(found.st_mode))
        return -ENOTDIR;
    return error ? -error : (int64_t)found.st_ino;
}

int cg_file_device(struct cg_file *directory, uint64_t *device_ret, int *error_ret)
{
    struct pinned pinned;
    struct stat found;
    int status = pin_again(directory, &pinned, error_ret);
    if (status)
        return status;
    int error = fstat(pinned.fd, &found) < 0 ? errno : 0;
    unpin(directory, pinned);
    if (error) {
        *error_ret = error;
        return CG_OS;
    }
    *device_ret = (uint64_t)major(found.st_dev) << 32 | minor(found.st_dev);
    return CG_OK;
}
