/* cg_places.c - the cgroups of a start.  Each is opened once, and checked and used
 * through the same descriptor: a cgroup that is removed and created again in
 * between gives ENODEV and is never confused with the new one. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "cg_places.h"

static int refuse(struct cg_progress *progress, int step, size_t at, int error)
{
    progress->step = step;
    progress->at = (int)at;
    progress->error = error;
    return CG_OS;
}

/* ---- facts about a file beneath a descriptor ---------------------------------------- */

/* Whether a user other than the caller and root may write to a file or directory, or make it writable.  Only root
 * and the owner can change the answer.  Descriptors that were opened before are not detected. */
static bool is_others_status(const struct stat *found)
{
    return (found->st_uid != 0 && found->st_uid != geteuid()) || found->st_mode & (S_IWGRP | S_IWOTH);
}

static bool is_others(int directory, const char *file)
{
    struct stat found;
    if (fstatat(directory, file, &found, AT_SYMLINK_NOFOLLOW) < 0)
        return errno != ENOENT;
    return is_others_status(&found);
}

/* Whether a file reads 1, or another user may set it to 1. */
static bool may_be_set(int directory, const char *file)
{
    char digit = '0';
    struct stat found;
    int fd CG_CLOSE = openat(directory, file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno != ENOENT;
    return fstat(fd, &found) < 0 || is_others_status(&found) || (cg_pread(fd, &digit, 1) == 1 && digit == '1');
}

/* Whether processes there can be frozen: on v1 only by the freezer's hierarchy. */
static bool has_brake(const struct cg_place *place)
{
    return place->version == 2 || place->controllers & CG_PLACE_FREEZER;
}

/* Whether a cgroup or an ancestor is frozen; the root of a hierarchy lacks the file. */
static bool is_frozen(int directory, const struct cg_place *place)
{
    bool is_v1 = place->version == 1;
    char text[128];
    if (!has_brake(place))
        return false;
    int fd CG_CLOSE = openat(directory, is_v1 ? "freezer.state" : "cgroup.events", O_RDONLY | O_CLOEXEC);
    int64_t got = fd < 0 ? 0 : cg_pread(fd, text, sizeof text - 1);
    if (got <= 0)
        return false;
    text[got] = '\0';
    return is_v1 ? strncmp(text, "THAWED", 6) != 0 : strstr(text, "frozen 1") != NULL;
}

bool cg_has_one_node(void)
{
    char text[8];
    int fd CG_CLOSE = open("/sys/devices/system/node/online", O_RDONLY | O_CLOEXEC);
    return fd >= 0 && cg_pread(fd, text, sizeof text) == 2 && memcmp(text, "0\n", 2) == 0;
}

/* ---- whether a child may share the caller's memory ----------------------------------- */

/* LEVELS times "../" and a name fit into PATH_MAX, the kernel's limit for a path. */
enum { LEVELS = (PATH_MAX - 64) / 3, ROOT_INODE = 1 };

static size_t depth_of(const char *path)
{
    size_t depth = 0;
    for (const char *at = path; *at != '\0'; at++)
        depth += at[0] != '/' && (at[1] == '/' || at[1] == '\0');
    return depth;
}

/* A cgroup and its visible ancestors.  The parent of a cgroup never changes, so `..` from its descriptor leads to
 * its ancestors. */
struct line {
    int directory;
    size_t levels;
    size_t brakes; /* levels with files that can stop processes: the root of a hierarchy has no such file */
    char file[PATH_MAX];
};

/* Whether `ask` is true for the file at one of the first levels. */
static bool any_of(struct line *line, size_t levels, const char *name, bool (*ask)(int, const char *))
{
    for (size_t level = 0; level < levels; level++) {
        memcpy(line->file + 3 * level, name, strlen(name) + 1);
        if (ask(line->directory, line->file))
            return true;
        memcpy(line->file + 3 * level, "../", 3);
    }
    return false;
}

/* Whether another user may write to one of the directories; a directory is given to a user with all its files. */
static bool is_any_directory_others(struct line *line, size_t depth)
{
    struct stat found;
    if (fstatat(line->directory, "", &found, AT_EMPTY_PATH) < 0 || is_others_status(&found))
        return true;
    for (size_t level = 1; level <= depth; level++) {
        memcpy(line->file + 3 * level - 3, "../", 4);
        if (fstatat(line->directory, line->file, &found, 0) < 0 || is_others_status(&found))
            return true;
    }
    line->levels = depth + 1;
    line->brakes = depth + (found.st_ino != ROOT_INODE);
    return false;
}

/* Whether a child in this cgroup may share the caller's memory.
 *
 * No if another user may stop the child or get it killed.  The user may do so through a directory, a file of the
 * freezer or memory.oom.group, or on v2 through a move, which needs cgroup.procs of the common ancestor.  Files that
 * can only slow a process down, such as cpu.max, are not checked if only the file was given to a user: checking each
 * of them would take too long for a start.
 *
 * No if the kernel's treatment of the child would also affect the processes that share its memory.  v1 would bind the
 * memory to the cpuset's nodes.  On v2 an OOM kill of the whole cgroup, or of an ancestor, would kill them.
 *
 * No if the cgroup is deeper than a path can reach. */
static bool is_shareable(int directory, const struct cg_place *place)
{
    struct line line;
    size_t depth = depth_of(place->path);
    line.directory = directory;
    if (depth > LEVELS || is_any_directory_others(&line, depth))
        return false;
    const char *brake = place->version == 1 ? "freezer.state" : "cgroup.freeze";
    if (has_brake(place) && any_of(&line, line.brakes, brake, is_others))
        return false;
    if (place->version == 1) /* a cpuset binds the memory of a process that joins to its nodes */
        return !(place->controllers & CG_PLACE_CPUSET) || cg_has_one_node();
    return !any_of(&line, line.levels, "cgroup.procs", is_others) &&
           !any_of(&line, line.brakes, "memory.oom.group", may_be_set);
}

/* ---- opening ---------------------------------------------------------------------- */

int cg_place_open_door(int *place)
{
    int door = openat(*place, "cgroup.procs", O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    if (door < 0)
        return -1;
    close(*place);
    *place = door;
    return 0;
}

int cg_places_open(const struct cg_spawn *spawn, struct cg_places *places, struct cg_progress *progress)
{
    int error = 0;
    *places = (struct cg_places){.born = -1, .shareable = true};
    for (size_t i = 0; i < spawn->place_count; i++) {
        const struct cg_place *place = &spawn->places[i];
        int status = cg_file_open(place->hierarchy, place->path, O_PATH | O_DIRECTORY, &places->fds[i], &error);
        if (status != CG_OK) /* CG_FOREIGN: the hierarchy was unmounted */
            return refuse(progress, CG_SPAWN_JOIN, i, status == CG_FOREIGN ? ENODEV : error);
        places->count = i + 1;
        if (is_frozen(places->fds[i], place))
            return refuse(progress, CG_SPAWN_FROZEN, i, EBUSY);
        places->shareable = places->shareable && is_shareable(places->fds[i], place);
        if (place->version == 2)
            places->born = (int)i;
        else if (cg_place_open_door(&places->fds[i]) < 0)
            return refuse(progress, CG_SPAWN_JOIN, i, errno);
    }
    return CG_OK;
}

void cg_places_close(const struct cg_places *places)
{
    for (size_t i = 0; i < places->count; i++)
        cg_close_descriptor(&places->fds[i]);
}
