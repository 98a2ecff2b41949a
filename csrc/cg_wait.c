/* cg_wait.c - waits for the exit of a child, and reads the clock at once.
 *
 * In Python the clock would be read only after the interpreter's lock is taken
 * again, and other threads may hold the lock for any time. */
#include "cg.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

enum { SECOND = 1000000000, LOOK = 1000000 };

static int64_t now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * (int64_t)SECOND + at.tv_nsec;
}

/* Returns 1 if the child has exited, 0 if it runs, or -errno. */
static int look(int pid, int options)
{
    siginfo_t info = {0};
    if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT | options) == 0)
        return info.si_pid != 0;
    /* With SIGCHLD ignored the kernel reaps the child, and waitid waits for that. */
    return errno == ECHILD ? 1 : -errno;
}

/* Like look, but waits on a pidfd until the deadline. */
static int look_until(int fd, int64_t deadline)
{
    struct pollfd poll = {.fd = fd, .events = POLLIN};
    int64_t left = deadline - now();
    left = left < 0 ? 0 : left;
    struct timespec timeout = {(time_t)(left / SECOND), (long)(left % SECOND)};
    int ready = ppoll(&poll, 1, &timeout, NULL);
    return ready < 0 ? -errno : ready;
}

/* Like look_until, but without a pidfd: before Linux 5.3, or under a filter. */
static int look_often(int pid, int64_t deadline)
{
    for (;;) {
        int found = look(pid, WNOHANG);
        if (found != 0 || now() >= deadline)
            return found;
        if (nanosleep(&(struct timespec){0, LOOK}, NULL) != 0)
            return -errno;
    }
}

static int wait_until(int pid, int64_t deadline)
{
    int CG_CLOSE fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd >= 0)
        return look_until(fd, deadline);
    static atomic_flag said = ATOMIC_FLAG_INIT;
    if (errno == ENOSYS || errno == EPERM)
        cg_fallback(&said, "no pidfd_open(2): the exit of a child is polled");
    return look_often(pid, deadline);
}

int cg_wait_child(int pid, int64_t deadline, int64_t *ended_ret, int *error_ret)
{
    int found = deadline < 0 ? look(pid, 0) : wait_until(pid, deadline);
    *ended_ret = found > 0 ? now() : 0;
    *error_ret = found < 0 ? -found : 0;
    return found >= 0 ? CG_OK : found == -EINTR ? CG_INTERRUPTED : CG_OS;
}

/* ---- a thread that waits -------------------------------------------------------------- */

enum { STACK = 64 * 1024 };

/* Reference-counted: by its creator, and by its thread while it runs. */
struct cg_watch {
    int64_t ended;
    int pid;
    int count;
};

int cg_watch_create(struct cg_watch **watch_ret)
{
    *watch_ret = calloc(1, sizeof **watch_ret);
    if (*watch_ret == NULL)
        return CG_OS;
    (*watch_ret)->count = 1;
    return CG_OK;
}

void cg_watch_destroy(struct cg_watch *watch)
{
    if (watch != NULL && __atomic_sub_fetch(&watch->count, 1, __ATOMIC_ACQ_REL) == 0)
        free(watch);
}

int64_t cg_watch_ended(struct cg_watch *watch)
{
    return __atomic_load_n(&watch->ended, __ATOMIC_ACQUIRE);
}

static void *watch_end(void *context)
{
    struct cg_watch *watch = context;
    int found = look(watch->pid, 0);
    if (found > 0)
        __atomic_store_n(&watch->ended, now(), __ATOMIC_RELEASE);
    cg_watch_destroy(watch);
    return NULL;
}

/* The thread is detached: it exits with the child, which may never happen.  All
 * signals are blocked, so that other threads receive them. */
void cg_watch_begin(struct cg_watch *watch, int pid)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    watch->pid = pid;
    __atomic_add_fetch(&watch->count, 1, __ATOMIC_ACQ_REL);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&thread, &attributes, watch_end, watch) != 0)
        cg_watch_destroy(watch); /* drops the thread's reference */
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
}
