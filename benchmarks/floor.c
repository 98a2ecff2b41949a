/* floor.c - the least work of any reader: only the system calls.  All other
 * subjects are compared with it, in the same run. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

/* Make one pass over open files: a bare pread each.  The number of bytes is
 * returned, so that no compiler removes the reads. */
long floor_pread(const int *fds, size_t count, char *buffer, size_t size)
{
    long total = 0;
    for (size_t i = 0; i < count; i++) {
        ssize_t got = pread(fds[i], buffer, size, 0);
        if (got < 0)
            return -1;
        total += got;
    }
    return total;
}

/* Make one pass over files that do not stay open: open, read, close. */
long floor_open_read_close(const char *const *paths, size_t count, char *buffer, size_t size)
{
    long total = 0;
    for (size_t i = 0; i < count; i++) {
        int fd = open(paths[i], O_RDONLY | O_CLOEXEC);
        ssize_t got = read(fd, buffer, size);
        if (fd < 0 || got < 0)
            return -1;
        close(fd);
        total += got;
    }
    return total;
}

/* Open a file, read all of it in the kernel's pieces, and close it. */
long floor_read_all(const char *path, char *buffer, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    long total = 0;
    for (ssize_t got; (got = pread(fd, buffer + total, size - (size_t)total, total)) != 0; total += got) {
        if (got < 0)
            return -1;
    }
    close(fd);
    return total;
}

static int64_t clock_of(clockid_t id)
{
    struct timespec time;
    clock_gettime(id, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* Make a pass at each tick of an absolute timer.  Return the CPU time of this
 * thread, and the ticks missed during a pass or a stall of the machine. */
int64_t floor_ticks(const int *fds, size_t count, char *buffer, size_t size, int64_t interval, size_t ticks,
                    size_t *missed_ret)
{
    int64_t due = clock_of(CLOCK_MONOTONIC), before = clock_of(CLOCK_THREAD_CPUTIME_ID);
    int slack = prctl(PR_GET_TIMERSLACK);
    prctl(PR_SET_TIMERSLACK, 1);
    *missed_ret = 0;
    for (size_t i = 0; i < ticks; i++) {
        int64_t behind = (clock_of(CLOCK_MONOTONIC) - due) / interval;
        *missed_ret += (size_t)behind;
        due += (behind + 1) * interval;
        struct timespec time = {.tv_sec = due / 1000000000, .tv_nsec = due % 1000000000};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
        floor_pread(fds, count, buffer, size);
    }
    prctl(PR_SET_TIMERSLACK, (unsigned long)slack);
    return clock_of(CLOCK_THREAD_CPUTIME_ID) - before;
}
