/* cg_places.h - the cgroups of a start, open. */
#ifndef CG_PLACES_H
#define CG_PLACES_H

#include "cg_child.h"

struct cg_places {
    size_t count;   /* of fds, to be closed */
    int born;       /* the place of v2, in which a child can be made, or -1 */
    bool shareable; /* whether a child there may share the caller's memory: cg_abi.h, "spawning" */
    int fds[CG_SPAWN_PLACES]; /* of each its cgroup.procs, open for writing; of `born` the directory */
};

/* Opens all; on CG_OS progress has what is wrong.  To be closed in either case. */
int cg_places_open(const struct cg_spawn *spawn, struct cg_places *places, struct cg_progress *progress);
void cg_places_close(const struct cg_places *places);

/* Whether all memory is of one node, so that nothing is moved where a process joins a cpuset. */
bool cg_has_one_node(void);

/* Opens that by which a process moves itself to a place, in the place of its directory. */
int cg_place_open_door(int *place);

#endif
