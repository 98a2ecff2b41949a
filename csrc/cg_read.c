/* cg_read.c - system calls: open beneath a directory, read, and check the mount
 * table.  Nothing here keeps a descriptor. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cg.h"

/* From <linux/openat2.h>, which older build hosts lack. */
struct open_how_v0 {
    uint64_t flags;
    uint64_t mode;
    uint64_t resolve;
};
enum { NO_MAGICLINKS = 0x02, NO_SYMLINKS = 0x04, BENEATH = 0x08 };
#ifndef SYS_openat2
#define SYS_openat2 437
#endif

/* From <linux/stat.h> of 5.8: musl before 1.2.5 and glibc before 2.28 lack struct statx. */
struct statx_v1 {
    uint32_t mask;
    uint32_t block_size;
    uint64_t attributes;
    uint32_t links;
    uint32_t uid;
    uint32_t gid;
    uint16_t mode;
    uint16_t padding;
    uint64_t inode;
    uint64_t size;
    uint64_t blocks;
    uint64_t attributes_mask;
    uint64_t times[8];
    uint32_t special_major;
    uint32_t special_minor;
    uint32_t device_major;
    uint32_t device_minor;
    uint64_t mount;
    uint64_t spare[13];
};
_Static_assert(offsetof(struct statx_v1, mount) == 0x90 && sizeof(struct statx_v1) == 0x100,
               "the kernel's struct statx");
enum { INODE = 0x100, MOUNT_ID = 0x1000, DONT_SYNC = 0x4000 };
#ifndef SYS_statx
#define SYS_statx (-1) /* kernel headers before 4.11: ENOSYS */
#endif

void cg_close_descriptor(const int *fd)
{
    int saved = errno;
    if (*fd >= 0)
        close(*fd);
    errno = saved;
}

int cg_open_directory(const char *path, int flags, int *error_ret)
{
    for (;;) {
        int fd = open(path, flags | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0)
            return fd;
        if (errno != EINTR) {
            *error_ret = errno;
            return -1;
        }
    }
}

/* Returns the length of the component at path; the next one starts at *next_ret. */
static size_t component(const char *path, const char **next_ret)
{
    const char *slash = strchrnul(path, '/');
    *next_ret = *slash ? slash + 1 : slash;
    return (size_t)(slash - path);
}

/* Whether a path is relative and without `..`: openat2 would allow `a/../b`. */
static bool is_below(const char *path)
{
    if (*path == '/')
        return false;
    for (const char *next; *path; path = next) {
        size_t length = component(path, &next);
        if (length == 2 && memcmp(path, "..", 2) == 0)
            return false;
    }
    return true;
}

static int open_retrying(int directory, const char *path, int flags)
{
    int fd;
    do
        fd = openat(directory, path, flags | O_NOFOLLOW | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    return fd;
}

/* O_PATH with O_NOFOLLOW opens the symbolic link itself, so check the result. */
static int refuse_link(int fd, int flags)
{
    struct stat found;
    if (fd < 0 || !(flags & O_PATH) || fstat(fd, &found) < 0 || !S_ISLNK(found.st_mode))
        return fd;
    close(fd);
    errno = ELOOP;
    return -1;
}

/* Emulates openat2: each component is opened from the previous one, and a
 * symbolic link is refused anywhere in the path. */
static int open_by_component(int directory, const char *path, int flags)
{
    int at CG_CLOSE = -1;
    char name[NAME_MAX + 1];
    for (const char *next;; path = next) {
        size_t length = component(path, &next);
        int from = at >= 0 ? at : directory;
        if (length > NAME_MAX) {
            errno = ENAMETOOLONG;
            return -1;
        }
        memcpy(name, path, length);
        name[length] = '\0';
        const char *opened = length ? name : ".";
        if (path[length] == '\0')
            return refuse_link(open_retrying(from, opened, flags), flags);
        int below = open_retrying(from, opened, O_PATH | O_DIRECTORY);
        if (below < 0)
            return -1;
        if (at >= 0)
            close(at);
        at = below;
    }
}

/* Opens a path of less than PATH_MAX bytes for which is_below is true. */
static int open_piece(int directory, const char *path, int flags)
{
    struct open_how_v0 how = {
        .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
        .resolve = BENEATH | NO_SYMLINKS | NO_MAGICLINKS,
    };
    long fd;
    do
        fd = syscall(SYS_openat2, directory, *path ? path : ".", &how, sizeof how);
    while (fd < 0 && (errno == EINTR || errno == EAGAIN));
    /* Container runtimes of 2020 deny unknown system calls with EPERM; if the file
     * itself is the reason, openat fails with it again. */
    if (fd < 0 && (errno == ENOSYS || errno == EPERM)) {
        static atomic_flag said = ATOMIC_FLAG_INIT;
        bool missing = errno == ENOSYS;
        fd = open_by_component(directory, path, flags);
        if (missing || fd >= 0)
            cg_fallback(&said, "no openat2(2): each path is opened component by component");
    }
    return (int)fd;
}

/* Opens the longest part of a long path that fits into one system call; the rest
 * starts at *rest_ret. */
static int open_first_piece(int directory, const char *path, const char **rest_ret)
{
    char piece[PATH_MAX];
    memcpy(piece, path, sizeof piece);
    char *slash = memrchr(piece, '/', sizeof piece);
    if (slash == NULL) {
        errno = ENAMETOOLONG;
        return -1;
    }
    *slash = '\0';
    *rest_ret = path + (slash - piece);
    *rest_ret += strspn(*rest_ret, "/");
    return open_piece(directory, piece, O_PATH | O_DIRECTORY);
}

/* Opens a path in pieces, each from the previous one: cgroups may be nested
 * deeper than PATH_MAX. */
static int open_in_pieces(int directory, const char *path, int flags)
{
    int at CG_CLOSE = -1;
    while (strnlen(path, PATH_MAX) == PATH_MAX) {
        int below = open_first_piece(at >= 0 ? at : directory, path, &path);
        if (below < 0)
            return -1;
        if (at >= 0)
            close(at);
        at = below;
    }
    return open_piece(at >= 0 ? at : directory, path, flags);
}

int cg_open_beneath(int directory, const char *path, int flags, int *fd_ret, int *error_ret)
{
    bool creates = flags & (O_CREAT | O_TRUNC) || (flags & O_TMPFILE) == O_TMPFILE;
    if (!is_below(path) || creates) {
        *error_ret = is_below(path) ? EINVAL : EXDEV;
        return CG_OS;
    }
    int fd = open_in_pieces(directory, path, flags);
    if (fd < 0) {
        *error_ret = errno;
        return CG_OS;
    }
    *fd_ret = fd;
    return CG_OK;
}

int cg_read_all(int fd, char *text_ret, size_t capacity, size_t *length_ret, int *error_ret)
{
    /* A sequence file returns at most its buffer, about a page, per read: only 0
     * is the end. */
    for (size_t length = 0; length < capacity;) {
        ssize_t got = pread(fd, text_ret + length, capacity - length, (off_t)length);
        if (got == 0) {
            *length_ret = length;
            return CG_OK;
        }
        if (got > 0) {
            length += (size_t)got;
        } else if (errno != EINTR) {
            *error_ret = errno;
            return CG_OS;
        }
    }
    return CG_SPACE;
}

/* Before Linux 5.8 statx has no mount id: use the inode of the mount namespace,
 * which takes three times as long. */
static int namespace_number(uint64_t *number_ret)
{
    struct stat status;
    if (stat("/proc/thread-self/ns/mnt", &status) < 0)
        return errno;
    *number_ret = status.st_ino;
    return 0;
}

/* Without statx: before Linux 4.11, or under a filter that denies it. */
static int identify_by_stat(struct cg_root_identity *identity_ret)
{
    struct stat root;
    if (stat("/", &root) < 0)
        return errno;
    identity_ret->inode = root.st_ino;
    identity_ret->device = root.st_dev;
    return namespace_number(&identity_ret->mount);
}

static int identify(struct cg_root_identity *identity_ret)
{
    struct statx_v1 root;
    if (syscall(SYS_statx, AT_FDCWD, "/", DONT_SYNC, INODE | MOUNT_ID, &root) < 0)
        return identify_by_stat(identity_ret);
    identity_ret->inode = root.inode;
    identity_ret->device = (uint64_t)root.device_major << 32 | root.device_minor;
    if (!(root.mask & MOUNT_ID))
        return namespace_number(&identity_ret->mount);
    identity_ret->mount = root.mount;
    return 0;
}

int cg_root_identity(struct cg_root_identity *identity_ret, int *error_ret)
{
    int error = identify(identity_ret);
    if (error == 0)
        return CG_OK;
    *error_ret = error;
    return CG_OS;
}

int cg_mounts_check(int fd, const struct cg_root_identity *identity)
{
    struct cg_root_identity now;
    struct pollfd table = {.fd = fd, .events = POLLPRI};
    int error;
    if (cg_root_identity(&now, &error) != CG_OK)
        return -error;
    if (now.mount != identity->mount || now.inode != identity->inode || now.device != identity->device)
        return CG_MOUNTS_FOREIGN;
    int ready;
    do
        ready = poll(&table, 1, 0);
    while (ready < 0 && errno == EINTR);
    if (ready < 0)
        return -errno;
    return ready > 0 ? CG_MOUNTS_CHANGED : CG_MOUNTS_SAME;
}
