/* cg_child.h - data shared by the child of a start and its maker. */
#ifndef CG_CHILD_H
#define CG_CHILD_H

#include "cg.h"

/* The kernel's signal set, including the signals that the C library reserves. */
typedef uint64_t cg_mask;

/* A list of robust futexes for set_robust_list(2).  When the thread's memory is
 * released, by an exec or any exit, the kernel marks each word that has the
 * thread's id and wakes its waiters. */
struct cg_robust {
    struct cg_robust *next;
};
struct cg_robust_head {
    struct cg_robust list;
    long offset; /* from an entry to its futex word */
    struct cg_robust *pending;
};
enum { CG_FUTEX_WAITERS = INT_MIN, CG_FUTEX_OWNER_DIED = 0x40000000 };

/* The progress of the child; a copied child shares this memory with its maker. */
struct cg_progress {
    int64_t began;
    int step; /* the current step; the failed step if error is set */
    int at;
    int error;
    uint32_t running; /* a robust futex: 0 until the child has announced itself */
    uint32_t go;      /* a futex: not 0 once a paused child may continue */
    struct cg_robust entry;
    struct cg_robust_head robust;
};

struct cg_child {
    const struct cg_spawn *spawn;
    char *const *environment;
    const int *doors; /* cgroup.procs of each place, open for writing, except for `born` */
    int born;         /* the v2 place in which the child is created, or -1 */
    struct cg_progress *progress;
    cg_mask before; /* the caller's signal mask */
    int maker;      /* the pid of the maker, if the child waits */
    bool shares;    /* it shares the caller's memory */
    bool waits;     /* it waits for progress->go */
    bool handlers_cleared;
};

/* The child's function; the argument is its struct cg_child.  Never returns. */
int cg_child_run(void *argument);

/* Whether a start would change the user or groups. */
static inline bool cg_changes_identity(const struct cg_spawn *spawn)
{
    return spawn->uid >= 0 || spawn->gid >= 0 || spawn->group_count >= 0;
}

#endif
