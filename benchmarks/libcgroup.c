/* libcgroup.c - read the same files with libcgroup: a value, a keyed file or
 * lines, each with its own function. */
#include <libcgroup.h>
#include <stddef.h>
#include <stdlib.h>

enum { VALUE, KEYED, LINES };

int peer_init(void)
{
    return cgroup_init();
}

static int read_value(const char *controller, const char *path, char *file, int lines, unsigned long *sum)
{
    char buffer[4096];
    void *handle = NULL;
    int status = cgroup_read_value_begin(controller, path, file, &handle, buffer, sizeof buffer);
    while (status == 0) {
        *sum += strtoul(buffer, NULL, 10);
        if (!lines)
            break;
        status = cgroup_read_value_next(&handle, buffer, sizeof buffer);
    }
    cgroup_read_value_end(&handle);
    return status == ECGEOF ? 0 : status;
}

static int read_keyed(const char *controller, const char *path, unsigned long *sum)
{
    struct cgroup_stat stat;
    void *handle = NULL;
    int status = cgroup_read_stats_begin(controller, path, &handle, &stat);
    for (; status == 0; status = cgroup_read_stats_next(&handle, &stat))
        *sum += strtoul(stat.value, NULL, 10);
    cgroup_read_stats_end(&handle);
    return status == ECGEOF ? 0 : status;
}

/* Make a pass over all files; return -1 if a file cannot be read. */
long peer_pass(const char *const *controllers, const char *const *paths, char **files, const int *kinds, size_t count)
{
    unsigned long sum = 0;
    for (size_t i = 0; i < count; i++) {
        int status = kinds[i] == KEYED ? read_keyed(controllers[i], paths[i], &sum)
                                       : read_value(controllers[i], paths[i], files[i], kinds[i] == LINES, &sum);
        if (status != 0)
            return -1;
    }
    return (long)(sum & 0x7fffffff);
}
