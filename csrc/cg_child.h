/* cg_child.h - what the child of a start and whoever made it share. */
#ifndef CG_CHILD_H
#define CG_CHILD_H

#include "cg.h"

/* A set of signals as the kernel has it: including those that the C library keeps for itself. */
typedef uint64_t cg_mask;

/* A list of robust futexes, as set_robust_list(2) takes it: the kernel marks
 * each word that has the thread's number, and wakes who waits for it, when the thread's
 * memory goes: when it executes a program, or ends, however it ends. */
struct cg_robust {
    struct cg_robust *next;
};
struct cg_robust_head {
    struct cg_robust list;
    long offset; /* from an entry to its word */
    struct cg_robust *pending;
};
enum { CG_FUTEX_WAITERS = INT_MIN, CG_FUTEX_OWNER_DIED = 0x40000000 };

/* How far the child is.  A copied child has this in memory that it shares with its maker. */
struct cg_progress {
    int64_t began;
    int step; /* what the child is at; what failed where there is an error */
    int at;
    int error;
    uint32_t running; /* a robust futex: 0 until the child is under way */
    struct cg_robust entry;
    struct cg_robust_head robust;
};

struct cg_child {
    const struct cg_spawn *spawn;
    char *const *environment;
    const int *doors; /* of each place cgroup.procs, open for writing; not of the one that it is born in */
    int born;         /* the place of v2 that it is made in, or -1 */
    struct cg_progress *progress;
    cg_mask before; /* the caller's signals */
    bool shares;    /* the caller's memory */
    bool handlers_cleared;
};

/* What the child runs, given its struct cg_child; never returns. */
int cg_child_run(void *argument);

/* Whether a start would change the user or groups. */
static inline bool cg_changes_identity(const struct cg_spawn *spawn)
{
    return spawn->uid >= 0 || spawn->gid >= 0 || spawn->group_count >= 0;
}

#endif
