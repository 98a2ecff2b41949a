/* cg_spawn.c - starts a program inside its cgroups: the maker's side.
 *
 * cg_places.c opens the cgroups and decides whether the child may share the
 * caller's memory; cg_child.c is the child's side. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cg_clone.h"
#include "cg_places.h"

/* The child's stack is part of the calling thread's, which may have only 32 KiB. */
enum { STACK = 16 << 10 };

static const int64_t MILLISECOND = 1000000, SECOND = 1000000000;

/* ns that the caller waits before it checks for a signal whose C handler ran before the wait. */
static const int64_t UNSEEN = 50000000;

/* One start, from its places to its child's exec.  It is in shared memory if the child is copied. */
struct cg_start {
    struct cg_child child;
    struct cg_progress progress;
    struct cg_places places;
    int64_t deadline; /* CLOCK_MONOTONIC in ns */
    int pid;
    bool to_copy; /* must start again with a copied child */
};

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * SECOND + time.tv_nsec;
}

/* ---- killing a child ---------------------------------------------------------------- */

/* Whether the child has exited and was reaped, here or elsewhere; does not wait. */
static bool is_reaped(int pid)
{
    int got;
    do
        got = waitpid(pid, NULL, WNOHANG);
    while (got < 0 && errno == EINTR);
    return got != 0;
}

/* Whether the child has exited, without reaping it.  ECHILD: it was reaped elsewhere. */
static bool is_ended(int pid)
{
    siginfo_t found = {.si_pid = 0};
    return waitid(P_PID, (id_t)pid, &found, WEXITED | WNOHANG | WNOWAIT) < 0 ? errno == ECHILD : found.si_pid == pid;
}

/* Waits for the exit of a killed child: it takes a while in a throttled cgroup, and forever in one frozen on v1. */
static bool is_reaped_within(int pid, int64_t timeout)
{
    int64_t end = now() + timeout;
    for (long pause = 50000; !is_reaped(pid); pause = pause < 5 * MILLISECOND ? 2 * pause : pause) {
        if (now() >= end)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = pause}, NULL);
    }
    return true;
}

/* Kills a child; returns its pid if it could not be reaped, else 0.  Checks first, since the pid of a child that was
 * reaped elsewhere may be another process's. */
static int kill_child(int pid)
{
    if (pid <= 0 || is_reaped(pid))
        return 0;
    kill(pid, SIGKILL);
    return is_reaped_within(pid, SECOND) ? 0 : pid;
}

/* ---- creating a child ---------------------------------------------------------------- */

/* Creates the child in its cgroup; returns the pid, or -errno.  ENOSYS if the kernel or a filter does not support it,
 * whichever errno it gave. */
static long clone_into(struct cg_start *start, char *stack, int flags)
{
    struct clone_args_v2 args = {
        .flags = (uint64_t)(unsigned)flags | INTO_CGROUP | CLEAR_SIGHAND,
        .exit_signal = SIGCHLD,
        .stack = (uintptr_t)stack,
        .stack_size = STACK,
        .cgroup = (uint64_t)start->places.fds[start->child.born],
    };
    long pid = clone3_running(&args, cg_child_run, &start->child);
    return pid == -E2BIG || pid == -EINVAL || pid == -EPERM ? -ENOSYS : pid;
}

static long clone_beside(struct cg_start *start, char *stack, int flags)
{
    long pid = clone(cg_child_run, stack + STACK, flags | SIGCHLD, &start->child);
    return pid < 0 ? -errno : pid;
}

static long clone_child(struct cg_start *start)
{
    _Alignas(16) char stack[STACK];
    const cg_mask all = ~(cg_mask)0;
    struct cg_child *child = &start->child;
    int saved, flags = child->shares ? CLONE_VFORK | CLONE_VM : 0;
    start->progress = (struct cg_progress){.step = CG_SPAWN_JOIN};
    child->handlers_cleared = child->born >= 0;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &saved);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &child->before, sizeof all);
    long pid = child->born >= 0 ? clone_into(start, stack, flags) : clone_beside(start, stack, flags);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &child->before, NULL, sizeof all);
    pthread_setcancelstate(saved, &saved);
    return pid;
}

static void fail(struct cg_start *start, int step, int at, int error)
{
    start->progress.step = step;
    start->progress.at = at;
    start->progress.error = error;
}

/* Creates a child that moves itself into every place.  On v2 the move would migrate shared memory to the cpuset's
 * nodes, so the child is then copied unless there is only one node. */
static void make_moving(struct cg_start *start)
{
    int born = start->child.born;
    start->child.born = -1;
    start->pid = 0;
    if (born >= 0 && cg_place_open_door(&start->places.fds[born]) < 0) {
        fail(start, CG_SPAWN_JOIN, born, errno);
        return;
    }
    start->to_copy = born >= 0 && start->child.shares && !cg_has_one_node();
    if (start->to_copy)
        return;
    long pid = clone_child(start);
    if (pid < 0)
        fail(start, CG_SPAWN_CLONE, 0, (int)-pid);
    else
        start->pid = (int)pid;
}

static void make(struct cg_start *start)
{
    int born = start->child.born;
    long pid = born >= 0 && !start->child.waits ? clone_child(start) : -ENOSYS;
    if (pid == -ENOSYS) {
        static atomic_flag said = ATOMIC_FLAG_INIT;
        if (born >= 0 && !start->child.waits)
            cg_fallback(&said, "no clone3(2) with CLONE_INTO_CGROUP: a child moves itself into its cgroup");
        make_moving(start);
    } else if (pid < 0) /* the kernel refuses to create a process in this cgroup */
        fail(start, CG_SPAWN_JOIN, born, (int)-pid);
    else
        start->pid = (int)pid;
}

/* Whether the child died before its first instruction.  Linux 6.18, unlike 6.12, kills a child created in a cgroup
 * whose cgroup.kill was not written exactly as often as that of the caller's cgroup. */
static bool is_stillborn(const struct cg_start *start)
{
    return start->pid > 0 && start->child.born >= 0 && start->progress.began == 0 && start->progress.error == 0;
}

/* ---- waiting for a child ------------------------------------------------------------- */

/* Waits until a copied child executes or exits: CG_OK, CG_INTERRUPTED, or CG_OS after the deadline. */
static int await(struct cg_start *start)
{
    uint32_t *word = &start->progress.running;
    int64_t began = now();
    for (int64_t pause = MILLISECOND;; pause *= 2) {
        uint32_t seen = __atomic_load_n(word, __ATOMIC_ACQUIRE);
        /* The kernel wakes the futex when the child executes or exits, but not if it exits before announce(). */
        if (seen & CG_FUTEX_OWNER_DIED || is_ended(start->pid))
            return CG_OK;
        int64_t time = now(), left = start->deadline - time;
        if (left <= 0)
            return CG_OS;
        if (time - began >= UNSEEN)
            return CG_INTERRUPTED;
        left = left < pause ? left : pause;
        long most[2] = {0, (long)left};
        if (syscall(SYS_futex, word, 0 /* FUTEX_WAIT, between processes */, seen, most) < 0 && errno == EINTR)
            return CG_INTERRUPTED;
    }
}

/* Returns the result once the child has executed, exited or missed the deadline.  Reads the progress once, since a
 * late child may still write to it. */
static struct cg_spawned told(const struct cg_start *start, bool is_late)
{
    const struct cg_progress *progress = &start->progress;
    struct cg_spawned said = {
        .began = progress->began,
        .step = progress->step,
        .at = progress->at,
        .error = progress->error,
    };
    bool is_copied = !start->child.shares && start->pid > 0;
    if (is_late)
        said.step = CG_SPAWN_TIMEOUT, said.at = 0, said.error = ETIMEDOUT;
    else if (is_copied && !said.error && said.step != CG_SPAWN_EXECUTE)
        said.step = CG_SPAWN_KILLED, said.at = 0, said.error = ECANCELED;
    said.pid = said.error ? kill_child(start->pid) : start->pid;
    return said;
}

/* Waits until a start is complete, or interrupted. */
static int finish(struct cg_start *start, struct cg_spawned *spawned_ret)
{
    int status;
    for (;;) {
        status = start->child.shares || start->pid == 0 ? CG_OK : await(start);
        if (status == CG_INTERRUPTED)
            return status;
        /* A stillborn child that cannot be reaped within a second is killed below. */
        if (!is_stillborn(start) || status == CG_OS || !is_reaped_within(start->pid, SECOND))
            break;
        make_moving(start);
    }
    *spawned_ret = told(start, status == CG_OS);
    return spawned_ret->error ? CG_OS : CG_OK;
}

static void destroy(struct cg_start *start)
{
    cg_places_close(&start->places);
    if (!start->child.shares)
        munmap(start, sizeof *start);
}

static int go_on(struct cg_start *start, struct cg_spawned *spawned_ret)
{
    int status = finish(start, spawned_ret);
    if (start->to_copy)
        return status;
    if (status == CG_INTERRUPTED) {
        *spawned_ret = (struct cg_spawned){.pending = start};
        return status;
    }
    if (status == CG_OK && start->child.spawn->watch != NULL)
        cg_watch_begin(start->child.spawn->watch, spawned_ret->pid);
    destroy(start);
    return status;
}

static int begin(struct cg_start *start, struct cg_spawned *spawned_ret)
{
    start->child.doors = start->places.fds;
    start->child.progress = &start->progress;
    make(start);
    if (start->child.waits && start->pid > 0) {
        *spawned_ret = (struct cg_spawned){.pid = start->pid, .pending = start};
        return CG_PAUSED;
    }
    return go_on(start, spawned_ret);
}

static int start_copied(const struct cg_start *given, struct cg_spawned *spawned_ret)
{
    struct cg_start *start = mmap(NULL, sizeof *start, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) {
        spawned_ret->error = errno;
        cg_places_close(&given->places);
        return CG_OS;
    }
    *start = *given;
    start->to_copy = start->child.shares = false;
    return begin(start, spawned_ret);
}

/* Refuses 2^32-1, which the kernel treats as "no change". */
static bool is_identity(const struct cg_spawn *spawn)
{
    for (int64_t i = 0; i < spawn->group_count; i++)
        if (spawn->groups[i] == UINT32_MAX)
            return false;
    return spawn->uid < UINT32_MAX && spawn->gid < UINT32_MAX;
}

int cg_spawn(const struct cg_spawn *spawn, struct cg_spawned *spawned_ret)
{
    struct cg_start start = {.child = {.spawn = spawn, .environment = spawn->envp ? spawn->envp : environ}};
    *spawned_ret = (struct cg_spawned){.step = CG_SPAWN_CLONE};
    if (spawn->place_count > CG_SPAWN_PLACES || !is_identity(spawn)) {
        spawned_ret->error = EINVAL;
        return CG_OS;
    }
    int64_t timeout = spawn->timeout ? spawn->timeout : 10 * SECOND;
    start.deadline = timeout < INT64_MAX - now() ? now() + timeout : INT64_MAX;
    if (cg_places_open(spawn, &start.places, &start.progress) != CG_OK) {
        cg_places_close(&start.places);
        spawned_ret->step = start.progress.step;
        spawned_ret->at = start.progress.at;
        spawned_ret->error = start.progress.error;
        return CG_OS;
    }
    start.child.born = start.places.born;
    /* Not shared with a child of another user: the kernel would attribute the memory to that user, who could also stop
     * the child. */
    start.child.shares = start.places.shareable && !cg_changes_identity(spawn) && !spawn->paused;
    start.child.waits = spawn->paused;
    start.child.maker = spawn->paused ? getpid() : 0;
    if (start.child.shares) {
        int status = begin(&start, spawned_ret);
        if (!start.to_copy)
            return status;
    }
    return start_copied(&start, spawned_ret);
}

int cg_spawn_resume(struct cg_spawned *spawned)
{
    struct cg_start *start = spawned->pending;
    if (start->child.waits) {
        start->child.waits = false;
        __atomic_store_n(&start->progress.go, 1, __ATOMIC_RELEASE);
        syscall(SYS_futex, &start->progress.go, 1 /* FUTEX_WAKE */, 1);
    }
    return go_on(start, spawned);
}

void cg_spawn_cancel(struct cg_spawned *spawned)
{
    struct cg_start *start = spawned->pending;
    int pid = start != NULL ? start->pid : spawned->pid;
    /* A failed start has already killed its child. */
    bool is_killed = start == NULL && spawned->error != 0;
    *spawned = (struct cg_spawned){.pid = is_killed ? pid : kill_child(pid)};
    if (start != NULL)
        destroy(start);
}
