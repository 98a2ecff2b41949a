/* main.c - runs one test by its name; without one, prints the names. */
#include <dirent.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "check.h"

#define TEST(name) {#name, test_##name}

static const struct {
    const char *name;
    void (*function)(void);
} TESTS[] = {
    TEST(shapes),        TEST(shape_space),  TEST(layout),        TEST(mountinfo),  TEST(own_mountinfo), TEST(read_all),
    TEST(mounts_check),  TEST(mounts_check_enosys), TEST(mounts_check_eperm),
    TEST(beneath),      TEST(beneath_enosys), TEST(beneath_eperm), TEST(budget),
    TEST(destroy_order), TEST(read),         TEST(not_kept),      TEST(sampler),    TEST(sampler_texts), TEST(sampler_rows),
    TEST(sampler_errors), TEST(budget_batch), TEST(no_descriptor), TEST(cut_reads), TEST(programs),      TEST(recorder),     TEST(recorder_fork), TEST(recorder_end), TEST(recorder_takers), TEST(references),
    TEST(spawn),         TEST(spawn_files),  TEST(spawn_closes),  TEST(spawn_fails), TEST(spawn_signals),
    TEST(spawn_threads), TEST(spawn_identity), TEST(spawn_memory),
    TEST(spawn_no_identity), TEST(spawn_timeout), TEST(spawn_interrupted), TEST(spawn_paused), TEST(spawn_killed), TEST(spawn_no_robust_list), TEST(spawn_beside_forks),
    TEST(threads),       TEST(fork),
};

/* The linker sends the calls of csrc here: --wrap. */
atomic_size_t allocations;
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);

void *__wrap_malloc(size_t size)
{
    allocations++;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    allocations++;
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    allocations++;
    return __real_realloc(memory, size);
}

/* How many reads from now on give two bytes less than there are. */
unsigned cut_reads;
ssize_t __real_pread(int fd, void *text, size_t size, off_t at);
ssize_t __wrap_pread(int fd, void *text, size_t size, off_t at);

ssize_t __wrap_pread(int fd, void *text, size_t size, off_t at)
{
    ssize_t got = __real_pread(fd, text, size, at);
    if (cut_reads == 0 || got <= 2)
        return got;
    cut_reads--;
    return got - 2;
}

void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

size_t open_descriptors(void)
{
    size_t count = 0;
    DIR *directory = opendir("/proc/self/fd");
    CHECK(directory != NULL);
    while (readdir(directory) != NULL)
        count++;
    CHECK(closedir(directory) == 0);
    return count;
}

static int taken[4096];
static size_t taken_count;

size_t no_descriptors(void)
{
    struct rlimit limit;
    size_t before = taken_count;
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max < 1024 ? limit.rlim_max : 1024;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    while ((taken[taken_count] = open("/dev/null", O_RDONLY)) >= 0)
        taken_count++;
    CHECK(errno == EMFILE);
    return taken_count - before;
}

void one_descriptor(void)
{
    CHECK(taken_count > 0 && close(taken[--taken_count]) == 0);
}

void some_descriptors(void)
{
    while (taken_count > 0)
        one_descriptor();
}

void in_child(void (*function)(void))
{
    int status;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        function();
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(int argc, char **argv)
{
    for (size_t i = 0; i < COUNT(TESTS); i++) {
        if (argc < 3) {
            puts(TESTS[i].name);
        } else if (strcmp(argv[1], TESTS[i].name) == 0) {
            CHECK(chdir(argv[2]) == 0);
            TESTS[i].function();
            return 0;
        }
    }
    return argc < 3 ? 0 : 2;
}
