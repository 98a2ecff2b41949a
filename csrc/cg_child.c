/* cg_child.c - the child of a start, between clone and exec.
 *
 * Its memory is the caller's or a copy of it.  Another thread of the caller may
 * hold any lock in it, and in a copy forever; glibc 2.41, for example, takes one
 * in sigaction(SIGABRT).  The child therefore makes system calls by syscall(2)
 * and calls no other function of the C library that could lock, allocate or be
 * cancelled.  A test compares the functions that this file needs with a list.
 *
 * Every function here is IN_CHILD: the sanitizers expect a thread on its own
 * stack, and their marks for a function that never returns would stay in the
 * caller's memory. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

#include "cg_child.h"

#ifdef __clang__ /* no_sanitize_thread still instruments atomics and function entries */
#define IN_CHILD __attribute__((no_sanitize_address, no_sanitize_thread, disable_sanitizer_instrumentation))
#else
#define IN_CHILD __attribute__((no_sanitize_address, no_sanitize_thread))
#endif

#ifndef SYS_close_range
#define SYS_close_range 436
#endif
/* If an architecture has two variants, the other one has 32-bit offsets or 16-bit ids. */
#ifdef SYS_fcntl64
enum { CONTROL = SYS_fcntl64 };
#else
enum { CONTROL = SYS_fcntl };
#endif
#ifdef SYS_setgroups32
enum { SET_GROUPS = SYS_setgroups32, SET_GIDS = SYS_setregid32, SET_UIDS = SYS_setreuid32 };
#else
enum { SET_GROUPS = SYS_setgroups, SET_GIDS = SYS_setregid, SET_UIDS = SYS_setreuid };
#endif

enum { LISTING = 1 << 10, SIGNALS = 64 };

IN_CHILD static _Noreturn void leave(const struct cg_child *child, int step, int at, int error)
{
    child->progress->step = step;
    child->progress->at = at;
    child->progress->error = error;
    for (;;)
        syscall(SYS_exit_group, 127);
}

/* Lets the maker detect when the child executes or exits: cg_child.h.  Otherwise the maker would mistake the program
 * for a child that never executes, and kill it. */
IN_CHILD static void announce(const struct cg_child *child)
{
    struct cg_progress *progress = child->progress;
    progress->entry.next = &progress->robust.list;
    progress->robust.list.next = &progress->entry;
    progress->robust.offset = (long)offsetof(struct cg_progress, running) - (long)offsetof(struct cg_progress, entry);
    progress->robust.pending = NULL;
    if (syscall(SYS_set_robust_list, &progress->robust, sizeof progress->robust) < 0)
        leave(child, CG_SPAWN_PREPARE, 0, errno);
    uint32_t word = (uint32_t)syscall(SYS_gettid) | (uint32_t)CG_FUTEX_WAITERS;
    __atomic_store_n(&progress->running, word, __ATOMIC_RELEASE);
}

/* Waits until the maker resumes the child or exits. */
IN_CHILD static void wait_to_go(const struct cg_child *child)
{
    uint32_t *go = &child->progress->go;
    while (__atomic_load_n(go, __ATOMIC_ACQUIRE) == 0) {
        long most[2] = {0, 100000000};
        int parent = (int)syscall(SYS_getppid); /* 0 if the maker is outside this pid namespace */
        if (parent != 0 && parent != child->maker)
            leave(child, CG_SPAWN_JOIN, 0, ECANCELED);
        syscall(SYS_futex, go, 0 /* FUTEX_WAIT, between processes */, 0, most);
    }
}

IN_CHILD static int64_t now(void)
{
    long time[2] = {0, 0}; /* the kernel's struct timespec; the C library's may differ */
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, time);
    return (int64_t)time[0] * 1000000000 + time[1];
}

IN_CHILD static void join(const struct cg_child *child)
{
    for (int i = 0; i < (int)child->spawn->place_count; i++)
        if (i != child->born && syscall(SYS_write, child->doors[i], "0", (size_t)1) != 1)
            leave(child, CG_SPAWN_JOIN, i, errno);
    child->progress->began = now();
}

/* Room for the kernel's struct sigaction; the first word is the handler. */
struct action {
    unsigned long words[20];
};

/* All zero bits are SIG_DFL without flags. */
IN_CHILD static void set_default(int number)
{
    struct action action;
    for (size_t i = 0; i < sizeof action.words / sizeof *action.words; i++)
        action.words[i] = 0;
    syscall(SYS_rt_sigaction, number, &action, NULL, sizeof(cg_mask));
}

/* A handler of the caller would run in the caller's memory. */
IN_CHILD static void clear_handlers(void)
{
    struct action action;
    for (int number = 1; number <= SIGNALS; number++)
        if (syscall(SYS_rt_sigaction, number, NULL, &action, sizeof(cg_mask)) == 0 &&
            action.words[0] != (unsigned long)SIG_IGN && action.words[0] != (unsigned long)SIG_DFL)
            set_default(number);
}

IN_CHILD static int set_inherited(int fd)
{
    long flags = syscall(CONTROL, fd, F_GETFD);
    return flags < 0 ? -1 : (int)syscall(CONTROL, fd, F_SETFD, flags & ~FD_CLOEXEC);
}

/* Moves three descriptors to 0, 1 and 2; each may have any of these numbers now. */
IN_CHILD static int place_files(const int files[3])
{
    int from[3] = {files[0], files[1], files[2]};
    for (int i = 1; i < 3; i++)
        if (from[i] >= 0 && from[i] < i && (from[i] = (int)syscall(CONTROL, from[i], F_DUPFD_CLOEXEC, 3)) < 0)
            return -1;
    for (int i = 0; i < 3; i++) {
        if (from[i] < 0)
            continue;
        if (from[i] == i ? set_inherited(i) < 0 : syscall(SYS_dup3, from[i], i, 0) < 0)
            return -1;
    }
    return 0;
}

IN_CHILD static bool is_kept(const struct cg_spawn *spawn, int fd)
{
    for (size_t i = 0; i < spawn->keep_count; i++)
        if (spawn->keep[i] == fd)
            return true;
    return fd < 3;
}

/* The structure of getdents64(2), which no header declares. */
struct entry {
    uint64_t inode;
    int64_t next;
    uint16_t length;
    uint8_t type;
    char name[];
};

IN_CHILD static int descriptor_limit(void)
{
    uint64_t limit[2]; /* the kernel's struct rlimit64 */
    if (syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, limit) < 0 || limit[0] > INT_MAX)
        return INT_MAX;
    return (int)limit[0];
}

/* For Linux before 5.9, without close_range(2): closes the descriptors that /proc lists; without /proc, every number
 * that may be open. */
IN_CHILD static void close_listed(const struct cg_spawn *spawn)
{
    _Alignas(struct entry) char listing[LISTING];
    int directory = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (directory < 0) {
        int end = descriptor_limit();
        for (int fd = 3; fd < end; fd++)
            if (!is_kept(spawn, fd))
                syscall(SYS_close, fd);
        return;
    }
    for (long got; (got = syscall(SYS_getdents64, directory, listing, sizeof listing)) > 0;)
        for (long at = 0; at < got;) {
            struct entry *entry = (struct entry *)(void *)(listing + at);
            int fd = 0;
            for (const char *digit = entry->name; *digit >= '0' && *digit <= '9'; digit++)
                fd = 10 * fd + (*digit - '0');
            if (fd != directory && !is_kept(spawn, fd))
                syscall(SYS_close, fd);
            at += entry->length;
        }
    syscall(SYS_close, directory);
}

IN_CHILD static void close_others(const struct cg_spawn *spawn)
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

/* Uses raw system calls: the C library's functions would change all threads of the caller.
 * When an effective id changes, the kernel clears the memory's dumpable flag before the new user could trace the
 * child.  So the new user cannot read a copy of root's memory (unless fs.suid_dumpable is 1, which lets users read
 * the memory of all programs that they start). */
IN_CHILD static int set_identity(const struct cg_spawn *spawn)
{
    if (spawn->group_count >= 0 && syscall(SET_GROUPS, (size_t)spawn->group_count, spawn->groups) < 0)
        return -1;
    if (spawn->gid >= 0 && syscall(SET_GIDS, (gid_t)spawn->gid, (gid_t)spawn->gid) < 0)
        return -1;
    return spawn->uid >= 0 ? (int)syscall(SET_UIDS, (uid_t)spawn->uid, (uid_t)spawn->uid) : 0;
}

IN_CHILD static void prepare(const struct cg_child *child)
{
    const struct cg_spawn *spawn = child->spawn;
    child->progress->step = CG_SPAWN_PREPARE;
    for (size_t i = 0; i < spawn->keep_count; i++)
        if (set_inherited(spawn->keep[i]) < 0)
            leave(child, CG_SPAWN_PREPARE, 0, errno);
    if (place_files(spawn->files) < 0)
        leave(child, CG_SPAWN_PREPARE, 0, errno);
    if (spawn->cwd != NULL && syscall(SYS_chdir, spawn->cwd) < 0)
        leave(child, CG_SPAWN_CWD, 0, errno);
    if (spawn->umask >= 0)
        syscall(SYS_umask, (mode_t)spawn->umask);
    if (!child->handlers_cleared)
        clear_handlers();
    if (spawn->restore_signals) {
        set_default(SIGPIPE);
        set_default(SIGXFSZ);
    }
    if ((spawn->new_session && syscall(SYS_setsid) < 0) ||
        (spawn->process_group >= 0 && syscall(SYS_setpgid, 0, spawn->process_group) < 0) || set_identity(spawn) < 0)
        leave(child, CG_SPAWN_PREPARE, 0, errno);
    if (spawn->close_files)
        close_others(spawn);
}

IN_CHILD static int execute_at(const struct cg_child *child, const char *path)
{
    syscall(SYS_execve, path, child->spawn->argv, child->environment);
    return errno;
}

/* Tries each directory like execvp(3); returns the errno. */
IN_CHILD static int execute(const struct cg_child *child)
{
    const struct cg_spawn *spawn = child->spawn;
    char path[PATH_MAX];
    size_t length = strlen(spawn->program) + 1;
    int error = 0;
    if (spawn->path == NULL)
        return execute_at(child, spawn->program);
    for (const char *at = spawn->path, *end;; at = end + 1) {
        for (end = at; *end != ':' && *end != '\0';)
            end++;
        size_t directory = (size_t)(end - at);
        int said = ENAMETOOLONG;
        if (directory + 1 + length <= sizeof path) {
            memcpy(path, at, directory);
            /* An empty entry is the current directory. */
            if (directory > 0 && path[directory - 1] != '/')
                path[directory++] = '/';
            memcpy(path + directory, spawn->program, length);
            said = execute_at(child, path);
        }
        /* The errno of an existing file that cannot be executed is more useful than a later ENOENT. */
        if (error == 0 || error == ENOENT || error == ENOTDIR)
            error = said;
        if (*end == '\0')
            return error;
    }
}

IN_CHILD int cg_child_run(void *argument)
{
    const struct cg_child *child = argument;
    if (!child->shares)
        announce(child);
    if (child->waits)
        wait_to_go(child);
    join(child);
    prepare(child);
    child->progress->step = CG_SPAWN_EXECUTE;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &child->before, NULL, sizeof child->before);
    leave(child, CG_SPAWN_EXECUTE, 0, execute(child));
}
