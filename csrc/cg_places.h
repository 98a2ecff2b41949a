/* cg_places.h - the open cgroups of a start. */
#ifndef CG_PLACES_H
#define CG_PLACES_H

#include "cg_child.h"

struct cg_places {
    size_t count;             /* number of fds to close */
    int born;                 /* the v2 place, in which a child can be created, or -1 */
    bool shareable;           /* whether a child there may share the caller's memory: cg_abi.h, "spawning" */
    int fds[CG_SPAWN_PLACES]; /* cgroup.procs of each place, open for writing; for `born` the directory */
};

/* Opens all places; on CG_OS progress has the error.  Call cg_places_close in either case. */
int cg_places_open(const struct cg_spawn *spawn, struct cg_places *places, struct cg_progress *progress);
void cg_places_close(const struct cg_places *places);

/* Whether the machine has only one memory node, so that joining a cpuset moves no memory. */
bool cg_has_one_node(void);

/* Replaces the descriptor of a place's directory by one of its cgroup.procs, for a process to move itself. */
int cg_place_open_door(int *place);

#endif
