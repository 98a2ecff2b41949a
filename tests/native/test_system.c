/* test_system.c - the system calls: reading, the checks of the mount table,
 * and opening beneath a directory, also if openat2 is not available. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "check.h"

/* ---- system calls that a filter denies ----------------------------------------- */

#ifndef SYS_openat2
#define SYS_openat2 437
#endif

/* From here on a system call gives this errno, in this process. */
static void deny(unsigned call, int error)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = COUNT(filter), .filter = filter};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
    CHECK(syscall(call, AT_FDCWD, ".", NULL, 0, NULL) < 0 && errno == error);
}

/* ---- reading -------------------------------------------------------------- */

void test_read_all(void)
{
    enum { SIZE = 10000 };
    static char written[SIZE + 1];
    for (size_t i = 0; i < SIZE; i++)
        written[i] = (char)('a' + i % 26);
    write_file("long", written);
    int fd = open("long", O_RDONLY), error = 0;
    CHECK(fd >= 0);
    for (size_t i = 0; i < 4; i++) {
        size_t capacity = (size_t[]){0, 1, SIZE - 1, SIZE + 1}[i], length = 77;
        char *text = malloc(capacity ? capacity : 1);
        int status = cg_read_all(fd, text, capacity, &length, &error);
        CHECK_EQUAL(status, capacity > SIZE ? CG_OK : CG_SPACE);
        if (status == CG_OK) {
            CHECK_EQUAL(length, SIZE);
            CHECK(memcmp(text, written, SIZE) == 0);
        }
        free(text);
    }
    close(fd);
    size_t length;
    char text[8];
    CHECK_EQUAL(cg_read_all(-1, text, sizeof text, &length, &error), CG_OS);
    CHECK_EQUAL(error, EBADF);
    fd = open(".", O_RDONLY | O_DIRECTORY);
    CHECK_EQUAL(cg_read_all(fd, text, sizeof text, &length, &error), CG_OS);
    CHECK_EQUAL(error, EISDIR);
    close(fd);
}

void test_own_mountinfo(void)
{
    enum { CAPACITY = 4 << 20 };
    size_t length, plain = 0, count, offset;
    int error, fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    char *text = malloc(CAPACITY), *strings = malloc(CAPACITY);
    uint32_t *mounts = malloc(4096 * CG_MOUNT_FIELDS * sizeof *mounts);
    CHECK(fd >= 0 && text && strings && mounts);
    /* Twice: the table is read from its start, wherever the file stands. */
    for (int round = 0; round < 2; round++)
        CHECK_EQUAL(cg_read_all(fd, text, CAPACITY, &length, &error), CG_OK);
    CHECK(length > 0 && text[length - 1] == '\n');
    CHECK_EQUAL(cg_parse_mountinfo(text, length, strings, mounts, 4096, &count, &offset), CG_OK);
    text[length] = '\0';
    for (const char *at = text; (at = strstr(at, " - cgroup")) != NULL; at++)
        plain += at[9] == ' ' || (at[9] == '2' && at[10] == ' ');
    CHECK_EQUAL(count, plain);
    close(fd);
    free(mounts);
    free(strings);
    free(text);
}

/* ---- the checks of the mount table ------------------------------------------- */

static struct cg_root_identity outer;

static void in_namespace(void)
{
    struct cg_root_identity inner;
    int error, fd;
    if (unshare(CLONE_NEWNS) < 0)
        return; /* not root: nothing to be seen */
    CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    fd = open("/proc/thread-self/mountinfo", O_RDONLY | O_CLOEXEC);
    CHECK_EQUAL(cg_root_identity(&inner, &error), CG_OK);
    CHECK_EQUAL(cg_mounts_check(fd, &outer), CG_MOUNTS_FOREIGN);
    CHECK_EQUAL(cg_mounts_check(fd, &inner), CG_MOUNTS_SAME);
    CHECK(mount("none", ".", "tmpfs", 0, NULL) == 0);
    CHECK_EQUAL(cg_mounts_check(fd, &inner), CG_MOUNTS_CHANGED);
    CHECK_EQUAL(cg_mounts_check(fd, &inner), CG_MOUNTS_SAME);
}

static void check_mounts_check(void)
{
    struct cg_root_identity again;
    int error, fd = open("/proc/thread-self/mountinfo", O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    CHECK_EQUAL(cg_root_identity(&outer, &error), CG_OK);
    CHECK_EQUAL(cg_root_identity(&again, &error), CG_OK);
    CHECK(outer.mount == again.mount && outer.inode == again.inode && outer.device == again.device);
    again.inode++;
    CHECK_EQUAL(cg_mounts_check(fd, &again), CG_MOUNTS_FOREIGN);
    close(fd);
    in_child(in_namespace);
}

void test_mounts_check(void)
{
    check_mounts_check();
}

static void without_statx(void)
{
    deny(SYS_statx, ENOSYS);
    check_mounts_check();
}

static void with_statx_denied(void)
{
    deny(SYS_statx, EPERM);
    check_mounts_check();
}

void test_mounts_check_enosys(void)
{
    in_child(without_statx);
}

void test_mounts_check_eperm(void)
{
    in_child(with_statx_denied);
}

/* ---- opening beneath a directory --------------------------------------------- */

static const struct {
    const char *path;
    int flags;
    bool opens;
    int error; /* 0: any */
} BENEATH[] = {
    {"a/file", O_RDONLY, true, 0},
    {"a/b/deep", O_RDONLY, true, 0},
    {"a//b///deep", O_RDONLY, true, 0},
    {"a/./file", O_RDONLY, true, 0},
    {"a", O_RDONLY | O_DIRECTORY, true, 0},
    {"a/", O_RDONLY | O_DIRECTORY, true, 0},
    {"a/b/", O_PATH | O_DIRECTORY, true, 0},
    {"", O_RDONLY | O_DIRECTORY, true, 0},
    {"", O_PATH | O_DIRECTORY, true, 0},
    {"...", O_RDONLY, true, 0},
    {"a/file", O_PATH, true, 0},
    {"a/file", O_WRONLY, true, 0},
    {"a/file/", O_RDONLY, false, ENOTDIR},
    {"a/file/x", O_RDONLY, false, ENOTDIR},
    {"a/file", O_RDONLY | O_DIRECTORY, false, ENOTDIR},
    {"none", O_RDONLY, false, ENOENT},
    {"none/x", O_RDONLY, false, ENOENT},
    {"..", O_RDONLY, false, EXDEV},
    {"a/..", O_RDONLY, false, EXDEV},
    {"a/../a/file", O_RDONLY, false, EXDEV},
    {"../secret", O_RDONLY, false, EXDEV},
    {"/", O_RDONLY, false, EXDEV},
    {"/etc/passwd", O_RDONLY, false, EXDEV},
    {"link/file", O_RDONLY, false, 0},
    {"link", O_RDONLY, false, 0},
    {"link/", O_RDONLY | O_DIRECTORY, false, 0},
    {"link", O_PATH | O_DIRECTORY, false, 0},
    {"link", O_PATH, false, 0},
    {"filelink", O_RDONLY, false, ELOOP},
    {"filelink", O_WRONLY, false, ELOOP},
    {"filelink", O_PATH, false, 0},
    {"a/out/secret", O_RDONLY, false, 0},
    {"a/new", O_WRONLY | O_CREAT, false, EINVAL},
    {"a/file", O_WRONLY | O_CREAT, false, EINVAL},
    {"a/file", O_WRONLY | O_TRUNC, false, EINVAL},
};

static int base;

/* Each path of the table behind repeated `./`, up to a number of bytes. */
static int check_paths_behind(size_t length)
{
    char path[3 * PATH_MAX];
    int failed = 0;
    for (size_t i = 0; i < length; i += 2)
        memcpy(path + i, "./", 2);
    for (size_t i = 0; i < COUNT(BENEATH); i++) {
        int fd = -77, error = 0;
        if (length > 0 && BENEATH[i].path[0] == '/')
            continue;
        strcpy(path + length, BENEATH[i].path);
        int status = cg_open_beneath(base, path, BENEATH[i].flags, &fd, &error);
        if ((status == CG_OK) != BENEATH[i].opens || (BENEATH[i].error && error != BENEATH[i].error)) {
            fprintf(stderr, "\"%s\" behind %zu bytes with flags %#o: status %d, errno %d\n", BENEATH[i].path, length,
                    (unsigned)BENEATH[i].flags, status, error);
            failed++;
        }
        if (status == CG_OK) {
            CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
            close(fd);
        } else {
            CHECK_EQUAL(status, CG_OS);
            CHECK_EQUAL(fd, -77); /* written on CG_OK only */
            CHECK(error > 0);
        }
    }
    return failed;
}

static void check_beneath(void)
{
    size_t before = open_descriptors();
    char name[300];
    int failed = check_paths_behind(0) + check_paths_behind(2 * PATH_MAX);
    for (size_t length = PATH_MAX - 20; length < PATH_MAX + 4; length += 2)
        failed += check_paths_behind(length);
    memset(name, 'x', 256);
    name[256] = '\0';
    int fd, error;
    CHECK_EQUAL(cg_open_beneath(base, name, O_RDONLY, &fd, &error), CG_OS);
    CHECK_EQUAL(error, ENAMETOOLONG);
    /* A magic link leads anywhere, without a path. */
    int own = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
    CHECK_EQUAL(cg_open_beneath(own, "cwd", O_RDONLY | O_DIRECTORY, &fd, &error), CG_OS);
    CHECK_EQUAL(cg_open_beneath(own, "root/etc", O_RDONLY | O_DIRECTORY, &fd, &error), CG_OS);
    CHECK_EQUAL(cg_open_beneath(own, "fd/0", O_RDONLY, &fd, &error), CG_OS);
    close(own);
    CHECK_EQUAL(open_descriptors(), before);
    struct stat found;
    CHECK(stat("base/a/new", &found) < 0 && errno == ENOENT);
    CHECK(stat("base/a/file", &found) == 0 && found.st_size == 4);
    CHECK_EQUAL(failed, 0);
}

static void make_tree(void)
{
    CHECK(mkdir("base", 0755) == 0 && mkdir("base/a", 0755) == 0 && mkdir("base/a/b", 0755) == 0);
    write_file("secret", "secret");
    write_file("base/...", "dots");
    write_file("base/a/file", "file");
    write_file("base/a/b/deep", "deep");
    CHECK(symlink("a", "base/link") == 0 && symlink("a/file", "base/filelink") == 0);
    CHECK(symlink("../..", "base/a/out") == 0);
    base = open("base", O_PATH | O_DIRECTORY | O_CLOEXEC);
    CHECK(base >= 0);
}

static void without_openat2(void)
{
    deny(SYS_openat2, ENOSYS);
    check_beneath();
}

static void with_openat2_denied(void)
{
    deny(SYS_openat2, EPERM);
    check_beneath();
}

void test_beneath(void)
{
    make_tree();
    check_beneath();
}

void test_beneath_enosys(void)
{
    make_tree();
    in_child(without_openat2);
}

void test_beneath_eperm(void)
{
    make_tree();
    in_child(with_openat2_denied);
}
