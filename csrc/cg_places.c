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

/* Whether a user who is neither the caller nor root may write to a file or directory, or make it writable.  Only root
 * and the owner can change the answer.  A descriptor that somebody opened before is not seen. */
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

/* Whether it is 1, or another user may set it. */
static bool may_be_set(int directory, const char *file)
{
    char digit = '0';
    struct stat found;
    int fd CG_CLOSE = openat(directory, file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno != ENOENT;
    return fstat(fd, &found) < 0 || is_others_status(&found) || (cg_pread(fd, &digit, 1) == 1 && digit == '1');
}

/* Whether a cgroup, or one above it, is frozen; of v1 only the freezer's cgroups have the file, of v2 all but the root. */
static bool is_frozen(int directory, int version, bool *has_brake_ret)
{
    char text[128];
    int fd CG_CLOSE = openat(directory, version == 1 ? "freezer.state" : "cgroup.events", O_RDONLY | O_CLOEXEC);
    int64_t got = fd < 0 ? 0 : cg_pread(fd, text, sizeof text - 1);
    *has_brake_ret = fd >= 0 || errno != ENOENT;
    if (got <= 0)
        return false;
    text[got] = '\0';
    return version == 1 ? strncmp(text, "THAWED", 6) != 0 : strstr(text, "frozen 1") != NULL;
}

bool cg_has_one_node(void)
{
    char text[8];
    int fd CG_CLOSE = open("/sys/devices/system/node/online", O_RDONLY | O_CLOEXEC);
    return fd >= 0 && cg_pread(fd, text, sizeof text) == 2 && memcmp(text, "0\n", 2) == 0;
}

/* ---- whether a child may share the caller's memory ----------------------------------- */

/* Room for "../" as often as a path of PATH_MAX has components, and a name, is more than the kernel takes. */
enum { LEVELS = (PATH_MAX - 64) / 3, ROOT_INODE = 1 };

static size_t depth_of(const char *path)
{
    size_t depth = 0;
    for (const char *at = path; *at != '\0'; at++)
        depth += at[0] != '/' && (at[1] == '/' || at[1] == '\0');
    return depth;
}

/* A cgroup, and those above it as far as they can be seen.  The parent of a cgroup never changes, so `..` of its
 * descriptor leads to what it is under. */
struct line {
    int directory;
    size_t levels;
    size_t brakes; /* levels that have files to stop them by: a hierarchy's root has none */
    char file[PATH_MAX];
};

/* Asks about a file of each of the first levels, until an answer is yes. */
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

/* Whether another user may write to one of the directories, which comes with all files in it. */
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

static bool is_there(int directory, const char *file)
{
    struct stat found;
    return fstatat(directory, file, &found, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

/* v1's cpuset binds the memory of who joins to its own nodes; its files may have no prefix. */
static bool binds_memory(int directory)
{
    return (is_there(directory, "cpuset.mems") || is_there(directory, "mems")) && !cg_has_one_node();
}

/* Not where another user may stop the child, or have it killed: by the directories, by a file of the freezer or a
 * memory.oom.group that the user was given, or on v2 by a move, which asks for cgroup.procs of the cgroup above both
 * places.  A file that can only slow a process down, such as cpu.max, is not looked for where it was given without its
 * directory: asking for each of them would take longer than a start may.
 *
 * And not where the kernel, of a process there, would also do to those that share its memory what they are not to suffer:
 * v1 would bind the memory to the cpuset's nodes; on v2 an OOM that ends all of the cgroup, or of one above, ends them.
 *
 * Deeper than a path can go the answer is no. */
static bool is_shareable(int directory, const struct cg_place *place, bool has_brake)
{
    struct line line;
    size_t depth = depth_of(place->path);
    line.directory = directory;
    if (depth > LEVELS || is_any_directory_others(&line, depth))
        return false;
    if (has_brake && any_of(&line, line.brakes, place->version == 1 ? "freezer.state" : "cgroup.freeze", is_others))
        return false;
    if (place->version == 1)
        return !binds_memory(directory);
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
        if (status != CG_OK) /* foreign: its hierarchy was unmounted */
            return refuse(progress, CG_SPAWN_JOIN, i, status == CG_FOREIGN ? ENODEV : error);
        places->count = i + 1;
        bool has_brake;
        if (is_frozen(places->fds[i], place->version, &has_brake))
            return refuse(progress, CG_SPAWN_FROZEN, i, EBUSY);
        places->shareable = places->shareable && is_shareable(places->fds[i], place, has_brake);
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
