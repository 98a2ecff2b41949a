/* cg_handles.c - the one cache of kept-open files; it owns every kept fd.
 *
 * The rule that everything here serves: a descriptor is used between pin()
 * and unpin() only, and closed only while nobody has it pinned.  Callers run
 * without the interpreter's lock, so without this rule a number that one
 * thread has just closed may be another thread's file.
 *
 * Who reads many at once does not pin each: while such a read goes on, what
 * leaves the cache is closed at its end.
 *
 * A file that does not fit the budget, or must not be kept, is opened for one
 * read alone: its descriptor is private to the call and never in the cache. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "cg_scan.h"

enum { CGROUP1_MAGIC = 0x27e0eb, CGROUP2_MAGIC = 0x63677270 };

/* Descriptors that left the cache while many were read, to be closed when none
 * of those that read then still does.  The next phase begins when the one
 * before has no readers any more, so that two are enough. */
struct phase {
    size_t readers;
    int *leaving;
    size_t count;
    size_t capacity;
};

struct cg_cache {
    pthread_mutex_t lock;
    struct cg_file **kept; /* the files that hold a descriptor */
    size_t count;
    size_t capacity;
    size_t budget;
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
    unsigned references; /* the owner's, and one for each file beneath */
    unsigned pins;
    size_t slot; /* in cache->kept, while fd >= 0 */
    int fd;
    bool used;  /* since the clock's hand last came by */
    bool stale; /* found dead, or given back: to be closed when unpinned */
    char path[];
};

/* A descriptor for the time of one call. */
struct pinned {
    int fd;
    bool kept;  /* else private to the call */
    bool fresh; /* opened by this call */
};

struct cg_cache *cg_cache_create(size_t budget)
{
    struct cg_cache *cache = calloc(1, sizeof *cache);
    if (cache != NULL) {
        pthread_mutex_init(&cache->lock, NULL);
        pthread_mutex_init(&cache->guards_lock, NULL);
        cache->budget = budget;
        cache->state = 1; /* 0 is a state that no batch has seen */
    }
    return cache;
}

void cg_cache_destroy(struct cg_cache *cache)
{
    pthread_mutex_destroy(&cache->lock);
    pthread_mutex_destroy(&cache->guards_lock);
    free(cache->kept);
    free(cache->phases[0].leaving);
    free(cache->phases[1].leaving);
    free(cache);
}

/* Under the lock: the descriptor for the caller to close, or -1 where it may
 * be in use by who reads many. */
static int leave(struct cg_cache *cache, int fd)
{
    struct phase *phase = &cache->phases[cache->phase % 2];
    if (cache->phases[0].readers + cache->phases[1].readers == 0)
        return fd;
    if (phase->count == phase->capacity) {
        size_t capacity = phase->capacity ? 2 * phase->capacity : 64;
        int *leaving = realloc(phase->leaving, capacity * sizeof *leaving);
        if (leaving == NULL)
            return -1; /* open for good, rather than closed under a reader */
        phase->leaving = leaving;
        phase->capacity = capacity;
    }
    phase->leaving[phase->count++] = fd;
    return -1;
}

/* Under the lock. */
static void close_leaving(struct phase *phase)
{
    while (phase->readers == 0 && phase->count > 0)
        close(phase->leaving[--phase->count]);
}

static void tidy(struct cg_cache *cache)
{
    struct phase *now = &cache->phases[cache->phase % 2], *before = &cache->phases[(cache->phase + 1) % 2];
    if (before->readers > 0)
        return; /* who may still have what has left since */
    close_leaving(before);
    close_leaving(now);
    if (now->count > 0)
        cache->phase++;
}

/* Takes the descriptor out of the cache, for the caller to close. */
static int detach(struct cg_cache *cache, struct cg_file *file)
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

/* An unpinned file that was not used since the hand last passed it; NULL when
 * every one is pinned.  Two rounds: the first may only clear the marks. */
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

static bool reserve(struct cg_cache *cache)
{
    size_t capacity = cache->capacity ? 2 * cache->capacity : 64;
    if (cache->count < cache->capacity)
        return true;
    struct cg_file **kept = realloc(cache->kept, capacity * sizeof(struct cg_file *));
    if (kept == NULL)
        return false;
    cache->kept = kept;
    cache->capacity = capacity;
    return true;
}

/* Puts a fresh descriptor into the cache, if there is room or can be made;
 * *victim_ret is then one to close, or -1. */
static bool attach(struct cg_cache *cache, struct cg_file *file, int fd, int *victim_ret)
{
    *victim_ret = -1;
    if (file->fd >= 0 || file->flags & CG_FILE_LIST || cache->budget == 0)
        return false;
    if (cache->count >= cache->budget) {
        struct cg_file *victim = file->flags & CG_FILE_MODEST ? NULL : find_victim(cache);
        if (victim == NULL)
            return false;
        *victim_ret = detach(cache, victim);
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

static int pin(struct cg_file *file, struct pinned *pinned_ret, int *error_ret);
static void unpin(struct cg_file *file, struct pinned pinned);

/* The file system gives each cgroup's files inodes of their own, so this
 * tells a file from that of a cgroup made again under the name. */
static int check_inode(const struct cg_file *file, int *fd, int *error_ret)
{
    struct stat found;
    if (file->inode == 0 || (fstat(*fd, &found) == 0 && found.st_ino == file->inode))
        return CG_OK;
    cg_close_descriptor(fd);
    *fd = -1;
    *error_ret = ESTALE;
    return CG_OS;
}

static int open_file(struct cg_file *file, int *fd_ret, int *error_ret)
{
    if (file->directory == NULL)
        return open_root(file, fd_ret, error_ret);
    int status = cg_file_open(file->directory, file->path, O_RDONLY, fd_ret, error_ret);
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

    /* Opened without the lock: an open may sleep.  Two threads may do so at
     * once; the later one's descriptor stays its own. */
    *pinned_ret = (struct pinned){.fd = -1, .fresh = true};
    int status = open_file(file, &pinned_ret->fd, error_ret);
    if (status)
        return status;
    pthread_mutex_lock(&cache->lock);
    if (attach(cache, file, pinned_ret->fd, &victim)) {
        pinned_ret->kept = true;
        file->pins++;
    }
    pthread_mutex_unlock(&cache->lock);
    return CG_OK;
}

/* Under the lock: the descriptor to close, or -1. */
static int release(struct cg_file *file)
{
    struct cg_cache *cache = file->cache;
    if (--file->pins > 0)
        return -1;
    return file->stale || cache->count > cache->budget ? detach(cache, file) : -1;
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
        fd = detach(file->cache, file);
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
        old = detach(file->cache, file);
    if (!attach(file->cache, file, fd, &victim))
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
    file->cache = cache;
    file->directory = directory;
    file->flags = flags;
    file->references = 1;
    file->fd = -1;
    if (directory != NULL) {
        pthread_mutex_lock(&cache->lock);
        directory->references++;
        pthread_mutex_unlock(&cache->lock);
    }
    return file;
}

void cg_file_destroy(struct cg_file *file)
{
    while (file != NULL) {
        struct cg_file *directory = file->directory;
        int fd CG_CLOSE = -1;
        pthread_mutex_lock(&file->cache->lock);
        bool last = --file->references == 0;
        if (last && file->fd >= 0)
            fd = detach(file->cache, file);
        pthread_mutex_unlock(&file->cache->lock);
        if (!last)
            break;
        free(file);
        file = directory;
    }
}

void cg_cache_set_budget(struct cg_cache *cache, size_t budget)
{
    pthread_mutex_lock(&cache->lock);
    cache->budget = budget;
    for (struct cg_file *victim; cache->count > budget && (victim = find_victim(cache)) != NULL;) {
        int fd CG_CLOSE = detach(cache, victim);
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
    size_t count = cache->count;
    pthread_mutex_unlock(&cache->lock);
    return count;
}

/* ---- fork(2) -------------------------------------------------------------- */

/* The handlers of pthread_atfork(3) have no argument. */
static struct cg_cache *survivor;

void cg_guard_create(struct cg_cache *cache, struct cg_guard *guard)
{
    pthread_mutex_init(&guard->lock, NULL);
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
    pthread_mutex_lock(&survivor->guards_lock);
    for (struct cg_guard *guard = survivor->guards; guard != NULL; guard = guard->next)
        pthread_mutex_lock(&guard->lock);
    pthread_mutex_lock(&survivor->lock);
}

static void after_fork_in_parent(void)
{
    pthread_mutex_unlock(&survivor->lock);
    for (struct cg_guard *guard = survivor->guards; guard != NULL; guard = guard->next)
        pthread_mutex_unlock(&guard->lock);
    pthread_mutex_unlock(&survivor->guards_lock);
}

static void after_fork_in_child(void)
{
    struct cg_cache *cache = survivor;
    pthread_mutex_init(&cache->lock, NULL);
    pthread_mutex_init(&cache->guards_lock, NULL);
    for (struct cg_guard *guard = cache->guards; guard != NULL; guard = guard->next)
        pthread_mutex_init(&guard->lock, NULL);
    cache->phases[0].readers = cache->phases[1].readers = 0;
    tidy(cache);
    for (size_t i = cache->count; i-- > 0;) {
        struct cg_file *file = cache->kept[i];
        file->pins = 0;
        if (file->stale) {
            int fd CG_CLOSE = detach(cache, file);
        }
    }
}

int cg_cache_survive_forks(struct cg_cache *cache)
{
    if (survivor != NULL)
        return EBUSY;
    survivor = cache;
    return pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

/* ---- reading ------------------------------------------------------------ */

/* Every control file but a task list is a single record, which the kernel
 * formats whole into its buffer at a read from 0 (seq_file.c, single_open):
 * one pread is all of it, in one piece, if it fits; if not, the caller comes
 * again with more room.  So no read ever sees two states of a file. */
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

static int read_text(struct cg_file *file, char *text, size_t capacity, size_t *length_ret, int *error_ret)
{
    for (;;) {
        struct pinned pinned;
        int status = pin(file, &pinned, error_ret);
        if (status)
            return status;
        status = read_once(pinned.fd, file->flags & CG_FILE_LIST, text, capacity, length_ret, error_ret);
        /* A kept descriptor outlives its cgroup, but answers no more. */
        bool dead = status == CG_OS && *error_ret == ENODEV;
        unpin(file, pinned);
        if (!dead)
            return status;
        cg_file_close(file);
        if (pinned.fresh)
            return status;
    }
}

int64_t cg_file_read_int(struct cg_file *file)
{
    char text[32];
    size_t length;
    int error;
    if (read_text(file, text, sizeof text, &length, &error) != CG_OK)
        return -2;
    return cg_one_number(text, length);
}

int cg_file_read(struct cg_file *file, int shape, struct cg_arena *arena)
{
    int status = read_text(file, arena->text, arena->text_capacity, &arena->text_length, &arena->error);
    if (status)
        return status;
    return cg_parse(shape, arena->text, arena->text_length, &arena->cells, &arena->offset);
}

int cg_file_read_layout(struct cg_file *file, const struct cg_layout *layout, struct cg_arena *arena)
{
    int status = read_text(file, arena->text, arena->text_capacity, &arena->text_length, &arena->error);
    if (status)
        return status;
    return cg_parse_layout(layout, arena->text, arena->text_length, arena->cells.value, NULL);
}

/* ---- many files in one go --------------------------------------------------- */

/* The files' descriptors as they are now; those that are read are in use. */
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
    tidy(cache);
    pthread_mutex_unlock(&cache->lock);
}

/* One that is not kept, or whose cgroup is gone. */
static void read_otherwise(struct cg_batch *batch, size_t i, char *text, size_t capacity, cg_got got, void *context)
{
    size_t length = 0;
    int error = 0;
    if (batch->fds[i] >= 0)
        cg_file_close(batch->files[i]);
    int status = read_text(batch->files[i], text, capacity, &length, &error);
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
            continue;
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

/* ---- not kept ---------------------------------------------------------------- */

int cg_file_open(struct cg_file *directory, const char *path, int flags, int *fd_ret, int *error_ret)
{
    struct pinned pinned;
    int status = pin(directory, &pinned, error_ret);
    if (status)
        return status;
    status = cg_open_beneath(pinned.fd, path, flags, fd_ret, error_ret);
    unpin(directory, pinned);
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
    /* A cgroup file system has no symbolic links to guard against, and one
     * fstatat is half of an open and a close. */
    if (*path != '\0' && directory->flags & (CG_FILE_CGROUP1 | CG_FILE_CGROUP2)) {
        struct pinned pinned;
        status = pin(directory, &pinned, &error);
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
    int status = pin(directory, &pinned, error_ret);
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
