/* cg_spawn.c - a program started inside its cgroups.
 *
 * Between clone and exec there are system calls alone: the memory is the
 * caller's, and any lock in it may be held by another of its threads. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cg.h"

/* From <linux/sched.h> of 5.7, which older build hosts lack. */
struct clone_args_v2 {
    uint64_t flags;
    uint64_t pidfd;
    uint64_t child_tid;
    uint64_t parent_tid;
    uint64_t exit_signal;
    uint64_t stack;
    uint64_t stack_size;
    uint64_t tls;
    uint64_t set_tid;
    uint64_t set_tid_size;
    uint64_t cgroup;
};
#define CLEAR_SIGHAND UINT64_C(0x100000000)
#define INTO_CGROUP UINT64_C(0x200000000)
#ifndef SYS_clone3
#define SYS_clone3 435
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

/* A caller's thread may have 32 KiB of stack in all, which the child's is a part of. */
enum { STACK = 16 << 10, LISTING = 1 << 10, SIGNALS = 64 };

/* What the kernel calls a set of signals: with those that the C library keeps for itself. */
typedef uint64_t mask;

struct child {
    const struct cg_spawn *spawn;
    const int *places; /* of each the descriptor that is open */
    int born;          /* the one of v2 that it is made in, or -1 */
    struct cg_spawned *said;
    mask before; /* the caller's signals */
    bool handlers_cleared;
};

/* ---- in the child -------------------------------------------------------------- */

/* The sanitizers know a thread on its own stack alone. */
#define IN_CHILD __attribute__((no_sanitize_address, no_sanitize_thread))

IN_CHILD static _Noreturn void leave(const struct child *child, int step, int at, int error)
{
    child->said->step = step;
    child->said->at = at;
    child->said->error = error;
    for (;;)
        syscall(SYS_exit_group, 127);
}

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

IN_CHILD static void join(const struct child *child)
{
    for (int i = 0; i < (int)child->spawn->place_count; i++)
        if (i != child->born && write(child->places[i], "0", 1) != 1)
            leave(child, CG_SPAWN_JOIN, i, errno);
    child->said->began = now();
}

/* A handler of the caller's would run in the caller's memory. */
static void clear_handlers(void)
{
    struct sigaction action;
    for (int number = 1; number <= SIGNALS; number++)
        if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_IGN && action.sa_handler != SIG_DFL) {
            action = (struct sigaction){.sa_handler = SIG_DFL};
            sigaction(number, &action, NULL);
        }
}

static int set_inherited(int fd)
{
    int flags = fcntl(fd, F_GETFD);
    return flags < 0 ? -1 : fcntl(fd, F_SETFD, flags & ~FD_CLOEXEC);
}

/* Makes three descriptors 0, 1 and 2, of which each may be any of these now. */
static int place_files(const int files[3])
{
    int from[3] = {files[0], files[1], files[2]};
    for (int i = 1; i < 3; i++)
        if (from[i] >= 0 && from[i] < i && (from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, 3)) < 0)
            return -1;
    for (int i = 0; i < 3; i++) {
        if (from[i] < 0)
            continue;
        if (from[i] == i ? set_inherited(i) < 0 : dup2(from[i], i) < 0)
            return -1;
    }
    return 0;
}

static bool is_kept(const struct cg_spawn *spawn, int fd)
{
    for (size_t i = 0; i < spawn->keep_count; i++)
        if (spawn->keep[i] == fd)
            return true;
    return fd < 3;
}

/* From <dirent.h>'s system call, whose structure no header has. */
struct entry {
    uint64_t inode;
    int64_t next;
    uint16_t length;
    uint8_t type;
    char name[];
};

/* Before Linux 5.9 there is no close_range: what /proc lists; without that, every number that may be. */
static void close_listed(const struct cg_spawn *spawn)
{
    _Alignas(struct entry) char listing[LISTING];
    int directory = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct rlimit limit;
    if (directory < 0) {
        int end = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < INT_MAX ? (int)limit.rlim_cur : INT_MAX;
        for (int fd = 3; fd < end; fd++)
            if (!is_kept(spawn, fd))
                close(fd);
        return;
    }
    for (long got; (got = syscall(SYS_getdents64, directory, listing, sizeof listing)) > 0;)
        for (long at = 0; at < got;) {
            struct entry *entry = (struct entry *)(void *)(listing + at);
            int fd = 0;
            for (const char *digit = entry->name; *digit >= '0' && *digit <= '9'; digit++)
                fd = 10 * fd + (*digit - '0');
            if (fd != directory && !is_kept(spawn, fd))
                close(fd);
            at += entry->length;
        }
    close(directory);
}

static void close_others(const struct cg_spawn *spawn)
{
    unsigned first = 3;
    for (size_t i = 0; i <= spawn->keep_count; i++) {
        unsigned end = i < spawn->keep_count ? (unsigned)spawn->keep[i] : UINT_MAX;
        if (end < first)
            continue;
        if (end > first && syscall(SYS_close_range, first, end - (i < spawn->keep_count), 0) < 0) {
            close_listed(spawn);
            return;
        }
        first = end + 1;
    }
}

/* By the system calls themselves: the C library's would have all threads of the caller follow.
 * Where there are two of each, the other is of numbers of 16 bits. */
#ifdef SYS_setgroups32
enum { SET_GROUPS = SYS_setgroups32, SET_GIDS = SYS_setregid32, SET_UIDS = SYS_setreuid32 };
#else
enum { SET_GROUPS = SYS_setgroups, SET_GIDS = SYS_setregid, SET_UIDS = SYS_setreuid };
#endif

static int set_identity(const struct cg_spawn *spawn)
{
    if (spawn->group_count >= 0 && syscall(SET_GROUPS, (size_t)spawn->group_count, spawn->groups) < 0)
        return -1;
    if (spawn->gid >= 0 && syscall(SET_GIDS, (gid_t)spawn->gid, (gid_t)spawn->gid) < 0)
        return -1;
    return spawn->uid >= 0 ? (int)syscall(SET_UIDS, (uid_t)spawn->uid, (uid_t)spawn->uid) : 0;
}

IN_CHILD static void prepare(const struct child *child)
{
    const struct cg_spawn *spawn = child->spawn;
    for (size_t i = 0; i < spawn->keep_count; i++)
        if (set_inherited(spawn->keep[i]) < 0)
            leave(child, CG_SPAWN_PREPARE, 0, errno);
    if (place_files(spawn->files) < 0)
        leave(child, CG_SPAWN_PREPARE, 0, errno);
    if (spawn->cwd != NULL && chdir(spawn->cwd) < 0)
        leave(child, CG_SPAWN_CWD, 0, errno);
    if (spawn->umask >= 0)
        umask((mode_t)spawn->umask);
    if (!child->handlers_cleared)
        clear_handlers();
    if (spawn->restore_signals) {
        signal(SIGPIPE, SIG_DFL);
        signal(SIGXFSZ, SIG_DFL);
    }
    if ((spawn->new_session && setsid() < 0) || (spawn->process_group >= 0 && setpgid(0, spawn->process_group) < 0) ||
        set_identity(spawn) < 0)
        leave(child, CG_SPAWN_PREPARE, 0, errno);
    if (spawn->close_files)
        close_others(spawn);
}

static int execute_at(const struct cg_spawn *spawn, const char *path)
{
    execve(path, spawn->argv, spawn->envp != NULL ? spawn->envp : environ);
    return errno;
}

/* Tries each directory, as execvp(3) does, and gives the errno. */
static int execute(const struct cg_spawn *spawn)
{
    char path[PATH_MAX];
    size_t length = strlen(spawn->program) + 1;
    int error = 0;
    if (spawn->path == NULL)
        return execute_at(spawn, spawn->program);
    for (const char *at = spawn->path, *end;; at = end + 1) {
        end = strchrnul(at, ':');
        size_t directory = (size_t)(end - at);
        int said = ENAMETOOLONG;
        if (directory + 1 + length <= sizeof path) {
            memcpy(path, at, directory);
            /* An empty one is the directory that the child is in. */
            if (directory > 0 && path[directory - 1] != '/')
                path[directory++] = '/';
            memcpy(path + directory, spawn->program, length);
            said = execute_at(spawn, path);
        }
        /* A file that is there and cannot be run tells more than the next directory, where it is not. */
        if (error == 0 || error == ENOENT || error == ENOTDIR)
            error = said;
        if (*end == '\0')
            return error;
    }
}

IN_CHILD static int run_child(void *argument)
{
    const struct child *child = argument;
    const struct cg_spawn *spawn = child->spawn;
    join(child);
    prepare(child);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &child->before, NULL, sizeof child->before);
    leave(child, CG_SPAWN_EXECUTE, 0, execute(spawn));
}

/* ---- making it --------------------------------------------------------------------- */

#if defined __x86_64__ && defined __LP64__
/* The C library has no function for it, and the child may not return from one: its stack is another. */
static long clone3_running(struct clone_args_v2 *args, int (*run)(void *), void *argument)
{
    register int (*r8)(void *) __asm__("r8") = run;
    register void *r9 __asm__("r9") = argument;
    long result;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "mov %%r9, %%rdi\n\t"
                     "call *%%r8\n\t"
                     "ud2\n"
                     "1:"
                     : "=a"(result)
                     : "a"((long)SYS_clone3), "D"(args), "S"(sizeof *args), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory", "cc");
    return result;
}
#elif defined __aarch64__ && defined __LP64__
static long clone3_running(struct clone_args_v2 *args, int (*run)(void *), void *argument)
{
    register long x8 __asm__("x8") = SYS_clone3;
    register long x0 __asm__("x0") = (long)args;
    register long x1 __asm__("x1") = sizeof *args;
    register int (*x10)(void *) __asm__("x10") = run;
    register void *x11 __asm__("x11") = argument;
    __asm__ volatile("svc 0\n\t"
                     "cbnz x0, 1f\n\t"
                     "mov x29, 0\n\t"
                     "mov x30, 0\n\t"
                     "mov x0, x11\n\t"
                     "blr x10\n\t"
                     "brk 1\n"
                     "1:"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x10), "r"(x11)
                     : "memory", "cc");
    return x0;
}
#else
static long clone3_running(struct clone_args_v2 *args, int (*run)(void *), void *argument)
{
    (void)args, (void)run, (void)argument;
    return -ENOSYS;
}
#endif

/* In the cgroup: the pid, or -errno.  A kernel or a filter without it is ENOSYS, whatever it said. */
static long clone_into(struct child *child, char *stack, int flags)
{
    struct clone_args_v2 args = {
        .flags = (uint64_t)(unsigned)flags | INTO_CGROUP | CLEAR_SIGHAND,
        .exit_signal = SIGCHLD,
        .stack = (uintptr_t)stack,
        .stack_size = STACK,
        .cgroup = (uint64_t)child->places[child->born],
    };
    child->handlers_cleared = true;
    long pid = clone3_running(&args, run_child, child);
    return pid == -E2BIG || pid == -EINVAL || pid == -EPERM ? -ENOSYS : pid;
}

static long clone_beside(struct child *child, char *stack, int flags)
{
    long pid = clone(run_child, stack + STACK, flags | SIGCHLD, child);
    return pid < 0 ? -errno : pid;
}

static void reap(pid_t pid)
{
    long got;
    do
        got = syscall(SYS_wait4, pid, NULL, 0, NULL);
    while (got < 0 && errno == EINTR);
}

static bool changes_identity(const struct cg_spawn *spawn)
{
    return spawn->uid >= 0 || spawn->gid >= 0 || spawn->group_count >= 0;
}

static long start(struct child *child, int flags)
{
    _Alignas(16) char stack[STACK];
    const mask all = ~(mask)0;
    int saved;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &saved);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &child->before, sizeof all);
    long pid = child->born >= 0 ? clone_into(child, stack, flags) : clone_beside(child, stack, flags);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &child->before, NULL, sizeof all);
    pthread_setcancelstate(saved, &saved);
    return pid;
}

/* Whether a cgroup, or one above it, is frozen; of v1 only the freezer's cgroups have the file. */
static bool is_frozen(int directory, int version)
{
    char text[128];
    int fd CG_CLOSE = openat(directory, version == 1 ? "freezer.state" : "cgroup.events", O_RDONLY | O_CLOEXEC);
    int64_t got = fd < 0 ? 0 : cg_pread(fd, text, sizeof text - 1);
    if (got <= 0)
        return false;
    text[got] = '\0';
    return version == 1 ? strncmp(text, "THAWED", 6) != 0 : strstr(text, "frozen 1") != NULL;
}

static bool is_set(int directory, const char *file)
{
    char digit = '0';
    int fd CG_CLOSE = openat(directory, file, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && cg_pread(fd, &digit, 1) == 1 && digit == '1';
}

/* Whether the kernel, of a process there, would also do to those that share its memory what they are not to suffer:
 * v1 would move the memory to the cpuset's nodes; on v2 an OOM that ends all of the cgroup, or of one above, ends them. */
static bool reaches_sharers(int directory, const struct cg_place *place)
{
    static const char name[] = "memory.oom.group", above[] = "../";
    char file[PATH_MAX];
    size_t start = sizeof file - sizeof name;
    if (place->version == 1)
        return is_set(directory, "cpuset.memory_migrate");
    memcpy(file + start, name, sizeof name);
    for (const char *at = place->path;; start -= sizeof above - 1, memcpy(file + start, above, sizeof above - 1)) {
        if (is_set(directory, file + start))
            return true;
        if (*at == '\0' || start < sizeof above)
            return false;
        at = strchrnul(at, '/');
        at += *at == '/';
    }
}

static int refuse(struct cg_spawned *spawned, int step, size_t at, int error)
{
    spawned->step = step;
    spawned->at = (int)at;
    spawned->error = error;
    return -2;
}

/* By what a process moves itself there, in the place of the directory. */
static int open_door(int *place)
{
    int door = openat(*place, "cgroup.procs", O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    if (door < 0)
        return -1;
    close(*place);
    *place = door;
    return 0;
}

/* Opens each place; which of them it is to be born in, -1 for none, and -2 when one cannot be used.
 * Without CLONE_VM where one of them forbids that. */
static int open_places(const struct cg_spawn *spawn, int *places, int *flags, struct cg_spawned *spawned)
{
    int born = -1, error = 0;
    for (size_t i = 0; i < spawn->place_count; i++) {
        const struct cg_place *place = &spawn->places[i];
        int status = cg_file_open(place->hierarchy, place->path, O_PATH | O_DIRECTORY, &places[i], &error);
        if (status != CG_OK) /* foreign: its hierarchy was unmounted */
            return refuse(spawned, CG_SPAWN_JOIN, i, status == CG_FOREIGN ? ENODEV : error);
        if (is_frozen(places[i], place->version))
            return refuse(spawned, CG_SPAWN_FROZEN, i, EBUSY);
        if (reaches_sharers(places[i], place))
            *flags &= ~CLONE_VM;
        if (place->version == 2)
            born = (int)i;
        else if (open_door(&places[i]) < 0)
            return refuse(spawned, CG_SPAWN_JOIN, i, errno);
    }
    return born;
}

static void close_places(const int *places, size_t count)
{
    for (size_t i = 0; i < count; i++)
        cg_close_descriptor(&places[i]);
}

/* Whether it ended before its first instruction.  Linux 6.18, unlike 6.12, ends what is born in a cgroup whose
 * cgroup.kill was written to more often, or less, than that of the caller's own cgroup. */
static bool is_stillborn(const struct child *child, long pid)
{
    return pid > 0 && child->born >= 0 && child->said->began == 0 && child->said->error == 0;
}

static long make_child(struct child *child, int *places, int flags)
{
    int born = child->born;
    long pid = start(child, flags);
    if (is_stillborn(child, pid)) {
        reap((pid_t)pid);
        pid = -ENOSYS;
    }
    /* Of a child that is to be born in a cgroup, the kernel asks the cgroup whether it may be. */
    int step = born >= 0 ? CG_SPAWN_JOIN : CG_SPAWN_CLONE;
    if (born >= 0 && pid == -ENOSYS) {
        child->born = -1;
        child->handlers_cleared = false;
        if (open_door(&places[born]) < 0) {
            pid = -errno;
        } else {
            step = CG_SPAWN_CLONE;
            pid = start(child, flags);
        }
    }
    if (pid < 0) {
        child->said->step = step;
        child->said->at = born;
        child->said->error = (int)-pid;
    }
    return pid;
}

static int spawn_in(const struct cg_spawn *spawn, int *places, struct cg_spawned *spawned)
{
    int flags = CLONE_VFORK | (changes_identity(spawn) ? 0 : CLONE_VM);
    int born = open_places(spawn, places, &flags, spawned);
    struct child child = {.spawn = spawn, .said = spawned, .places = places, .born = born};
    struct cg_spawned *shared = NULL;
    if (born < -1)
        return CG_OS;
    if (!(flags & CLONE_VM)) {
        shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (shared == MAP_FAILED) {
            spawned->error = errno;
            return CG_OS;
        }
        child.said = shared;
    }
    long pid = make_child(&child, places, flags);
    if (shared != NULL) {
        *spawned = *shared;
        munmap(shared, sizeof *shared);
    }
    if (!spawned->error) {
        spawned->pid = (int)pid;
        return CG_OK;
    }
    if (pid > 0)
        reap((pid_t)pid);
    return CG_OS;
}

int cg_spawn(const struct cg_spawn *spawn, struct cg_spawned *spawned_ret)
{
    int places[CG_SPAWN_PLACES];
    *spawned_ret = (struct cg_spawned){.step = CG_SPAWN_CLONE};
    if (spawn->place_count > CG_SPAWN_PLACES) {
        spawned_ret->error = EINVAL;
        return CG_OS;
    }
    for (size_t i = 0; i < spawn->place_count; i++)
        places[i] = -1;
    int status = spawn_in(spawn, places, spawned_ret);
    close_places(places, spawn->place_count);
    return status;
}
