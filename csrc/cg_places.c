/* cg_places.c - the cgroups of a start: opened once, and checked through the
 * descriptors by which they are then used, so that a cgroup that is removed and made
 * again in between is ENODEV and never another one. */
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

/* ---- facts of a file beneath a descriptor ------------------------------------------ */

static bool is_others_status(const struct stat *found)
{
    return (found->st_uid != 0 && found->st_uid != geteuid()) || found->st_mode & (S_IWGRP | S_IWOTH);
}

/* Whether a user who is neither the caller nor root may write to a file or directory, or make it writable.  Only root
 * and the owner can change the answer.  A descriptor that somebody opened before is not seen. */
static bool is_others(int directory, const char *file)
{
    struct stat found;
    if (fstatat(directory, file, &found, *file ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH) < 0)
        return errno != ENOENT;
    return is_others_status(&found);
}

static bool is_there(int directory, const char *file)
{
    struct stat found;
    return fstatat(directory, file, &found, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool is_set(int directory, const char *file)
{
    char digit = '0';
    int fd CG_CLOSE = openat(directory, file, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && cg_pread(fd, &digit, 1) == 1 && digit == '1';
}

/* The same, or whether another user may set it. */
static bool may_be_set(int directory, const char *file)
{
    char digit = '0';
    struct stat found;
    int fd CG_CLOSE = openat(directory, file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno != ENOENT;
    return fstat(fd, &found) < 0 || is_others_status(&found) || (cg_pread(fd, &digit, 1) == 1 && digit == '1');
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

/* ---- whether a child may share the caller's memory ----------------------------------- */

/* Room for "../" as often as a path of PATH_MAX has components, and a name, is more than the kernel takes. */
enum { LEVELS = (PATH_MAX - 64) / 3 };

static size_t depth_of(const char *path)
{
    size_t depth = 0;
    for (const char *at = path; *at != '\0'; at++)
        depth += at[0] != '/' && (at[1] == '/' || at[1] == '\0');
    return depth;
}

/* Asks about a file of a cgroup and of each above it, from the given level up, until an answer is yes.  The parent of a
 * cgroup never changes, so `..` of its descriptor leads to what it is under.  Deeper than a path can go the answer is yes. */
static bool any_above(int directory, const char *path, size_t level, const char *name, bool (*ask)(int, const char *))
{
    char file[PATH_MAX];
    size_t depth = depth_of(path);
    if (depth > LEVELS)
        return true;
    for (size_t at = 0; at < level; at++)
        memcpy(file + 3 * at, "../", 3);
    for (; level <= depth; memcpy(file + 3 * level, "../", 3), level++) {
        memcpy(file + 3 * level, name, strlen(name) + 1);
        if (ask(directory, file))
            return true;
    }
    return false;
}

/* Whether another user may stop a process there: may write to the directory of the cgroup or of one above, which comes
 * with all its files, or was given the file of the freezer.  A file that can only slow a process down, such as
 * cpu.max, is not looked for where it was given without its directory: to ask for each of them takes longer than a start. */
static bool is_stoppable_by_others(int directory, const struct cg_place *place)
{
    const char *brake = place->version == 1 ? "freezer.state" : "cgroup.freeze";
    return is_others(directory, "") || any_above(directory, place->path, 1, ".", is_others) ||
           (is_there(directory, brake) && any_above(directory, place->path, 0, brake, is_others));
}

/* Whether the kernel, of a process there, would also do to those that share its memory what they are not to suffer:
 * v1 would move the memory to the cpuset's nodes; on v2 an OOM that ends all of the cgroup, or of one above, ends them. */
static bool reaches_sharers(int directory, const struct cg_place *place)
{
    if (place->version == 1)
        return is_set(directory, "cpuset.memory_migrate");
    return any_above(directory, place->path, 0, "memory.oom.group", may_be_set);
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
        if (status != CG_OK) /* foreign: its hierarchy was unmounted */
            return refuse(progress, CG_SPAWN_JOIN, i, status == CG_FOREIGN ? ENODEV : error);
        places->count = i + 1;
        if (is_frozen(places->fds[i], place->version))
            return refuse(progress, CG_SPAWN_FROZEN, i, EBUSY);
        if (reaches_sharers(places->fds[i], place) || is_stoppable_by_others(places->fds[i], place))
            places->shareable = false;
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
