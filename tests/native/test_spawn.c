/* test_spawn.c - starting programs, in no cgroup: which needs a kernel's own. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#include "check.h"

static const int64_t SECOND = 1000000000;

static struct cg_spawn plain(char *const *argv)
{
    return (struct cg_spawn){
        .program = argv[0],
        .argv = argv,
        .files = {-1, -1, -1},
        .close_files = 1,
        .restore_signals = 1,
        .process_group = -1,
        .umask = -1,
        .uid = -1,
        .gid = -1,
        .group_count = -1,
        .timeout = 60 * SECOND,
    };
}

static int status_of(const struct cg_spawned *spawned)
{
    int status;
    CHECK(waitpid(spawned->pid, &status, 0) == spawned->pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Goes on with a start to its end. */
static int go_on(int status, struct cg_spawned *spawned)
{
    while (status == CG_INTERRUPTED)
        status = cg_spawn_resume(spawned);
    return status;
}

static int run(const struct cg_spawn *spawn)
{
    struct cg_spawned spawned;
    CHECK_EQUAL(go_on(cg_spawn(spawn, &spawned), &spawned), CG_OK);
    CHECK(spawned.pid > 0 && spawned.began > 0 && spawned.error == 0);
    return status_of(&spawned);
}

/* The exit status of a script. */
static int run_script(struct cg_spawn spawn, const char *script)
{
    char *const argv[] = {(char *)"sh", (char *)"-c", (char *)(uintptr_t)script, NULL};
    spawn.argv = argv;
    spawn.program = "/bin/sh";
    return run(&spawn);
}

static struct cg_spawn of_script(void)
{
    static char *const argv[] = {(char *)"sh", NULL};
    return plain(argv);
}

static void fails(const struct cg_spawn *spawn, int step, int error)
{
    struct cg_spawned spawned;
    CHECK_EQUAL(go_on(cg_spawn(spawn, &spawned), &spawned), CG_OS);
    CHECK_EQUAL(spawned.step, step);
    CHECK_EQUAL(spawned.error, error);
    CHECK_EQUAL(spawned.pid, 0);
    /* It has been waited for. */
    CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
}

void test_spawn(void)
{
    struct cg_spawn spawn = of_script();
    size_t before = open_descriptors();
    CHECK_EQUAL(run_script(spawn, "exit 7"), 7);
    CHECK_EQUAL(run_script(spawn, "kill -USR1 $$"), -SIGUSR1);
    CHECK_EQUAL(setenv("COLOUR", "red", 1), 0);
    CHECK_EQUAL(run_script(spawn, "[ \"$COLOUR\" = red ]"), 0);
    char *const env[] = {(char *)"COLOUR=blue", NULL};
    spawn.envp = env;
    CHECK_EQUAL(run_script(spawn, "[ \"$COLOUR\" = blue ] && [ -z \"$HOME\" ]"), 0);
    spawn = of_script();
    CHECK(mkdir("inner", 0755) == 0);
    spawn.cwd = "inner";
    CHECK_EQUAL(run_script(spawn, "[ $(basename \"$PWD\") = inner ]"), 0);
    spawn = of_script();
    spawn.umask = 027;
    CHECK_EQUAL(run_script(spawn, "[ $(umask) = 0027 ]"), 0);
    spawn = of_script();
    spawn.new_session = 1;
    const char *leads = "read p n s pp g ss r < /proc/self/stat; [ $g = $p ]";
    CHECK_EQUAL(run_script(spawn, leads), 0);
    spawn = of_script();
    CHECK(run_script(spawn, leads) != 0);
    spawn.process_group = 0;
    CHECK_EQUAL(run_script(spawn, leads), 0);
    CHECK_EQUAL(open_descriptors(), before);
}

/* Whichever descriptors the three are to be made of. */
void test_spawn_files(void)
{
    enum { FILES = 4 };
    int files[FILES];
    char name[] = "file0";
    for (int i = 0; i < FILES; i++, name[4]++) {
        write_file(name, "");
        files[i] = open(name, O_RDWR | O_CLOEXEC);
        CHECK(files[i] >= 0);
    }
    int kept[3] = {dup(0), dup(1), dup(2)};
    for (int closed = 0; closed < 8; closed++)
        for (int a = -1; a < FILES; a++)
            for (int b = -1; b < FILES; b++) {
                /* 0 to 2 are the first files, unless closed; the last is another. */
                int from[FILES] = {0, 1, 2, files[3]};
                struct cg_spawn spawn = of_script();
                int want[3] = {-1, a < 0 ? -1 : from[a], b < 0 ? -1 : from[b]};
                bool usable = true;
                for (int i = 1; i < 3; i++)
                    usable &= want[i] < 0 || want[i] > 2 || !(closed & 1 << want[i]);
                if (!usable)
                    continue;
                for (int i = 0; i < 3; i++) {
                    CHECK(ftruncate(files[i], 0) == 0 && dup2(files[i], i) == i);
                    if (closed & 1 << i)
                        close(i);
                }
                CHECK(ftruncate(files[3], 0) == 0);
                spawn.files[1] = want[1];
                spawn.files[2] = want[2];
                int status = run_script(spawn, "true; (echo out) 2>/dev/null; (echo err >&2) 2>/dev/null; exit 5");
                struct stat size[FILES];
                for (int i = 0; i < FILES; i++)
                    CHECK(fstat(files[i], &size[i]) == 0);
                for (int i = 0; i < 3; i++)
                    CHECK(dup2(kept[i], i) == i);
                CHECK_EQUAL(status, 5);
                if (want[1] > 2 || want[1] >= 0)
                    CHECK(size[a].st_size > 0);
            }
}

/* Those kept are there, and no other, however they are closed. */
static void closes(void)
{
    struct cg_spawn spawn = of_script();
    int kept[2] = {fcntl(0, F_DUPFD_CLOEXEC, 20), fcntl(0, F_DUPFD_CLOEXEC, 40)}, other = fcntl(0, F_DUPFD, 30);
    CHECK(kept[0] >= 20 && kept[1] >= 40 && other >= 30);
    spawn.keep = kept;
    spawn.keep_count = 2;
    char script[256];
    const char *there = "[ -e /proc/self/fd/%d ] && [ -e /proc/self/fd/%d ] && ! [ -e /proc/self/fd/%d ]";
    snprintf(script, sizeof script, there, kept[0], kept[1], other);
    CHECK_EQUAL(run_script(spawn, script), 0);
    spawn.keep_count = 0;
    spawn.close_files = 0;
    snprintf(script, sizeof script, "! [ -e /proc/self/fd/%d ] && [ -e /proc/self/fd/%d ]", kept[0], other);
    CHECK_EQUAL(run_script(spawn, script), 0);
}

static void deny(int call, int error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = COUNT(code), .filter = code};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

static void closes_without_close_range(void)
{
    deny(436, ENOSYS); /* close_range, on every architecture */
    closes();
}

void test_spawn_closes(void)
{
    in_child(closes);
    in_child(closes_without_close_range);
}

void test_spawn_fails(void)
{
    char *const argv[] = {(char *)"no-such-program", NULL};
    struct cg_spawn spawn = plain(argv);
    size_t before = open_descriptors();
    spawn.program = "/no/such/program";
    fails(&spawn, CG_SPAWN_EXECUTE, ENOENT);
    spawn.program = "no-such-program";
    spawn.path = "/usr/bin::/no/such";
    fails(&spawn, CG_SPAWN_EXECUTE, ENOENT);
    /* What is there and cannot be run tells more; a directory too long is passed over. */
    CHECK(mkdir("one", 0755) == 0);
    write_file("one/prog", "");
    char path[PATH_MAX + 100];
    memset(path, 'x', sizeof path - 1);
    memcpy(path, "one:", 4);
    path[sizeof path - 1] = '\0';
    spawn.program = "prog";
    spawn.path = path;
    fails(&spawn, CG_SPAWN_EXECUTE, EACCES);
    spawn = plain(argv);
    spawn.cwd = "/no/such";
    fails(&spawn, CG_SPAWN_CWD, ENOENT);
    spawn.cwd = NULL;
    spawn.files[0] = 9999;
    fails(&spawn, CG_SPAWN_PREPARE, EBADF);
    spawn.files[0] = -1;
    int kept = 9999;
    spawn.keep = &kept;
    spawn.keep_count = 1;
    fails(&spawn, CG_SPAWN_PREPARE, EBADF);
    spawn.keep_count = 0;
    struct cg_cache *cache = cg_cache_create(4);
    struct cg_file *directory = cg_file_create(cache, NULL, "/", CG_FILE_DIRECTORY);
    struct cg_place places[CG_SPAWN_PLACES + 1];
    for (size_t i = 0; i < COUNT(places); i++)
        places[i] = (struct cg_place){directory, "no/such/cgroup", i % 2 ? 1 : 2, 0};
    spawn.places = places;
    spawn.place_count = 1;
    fails(&spawn, CG_SPAWN_JOIN, ENOENT);
    spawn.place_count = COUNT(places);
    fails(&spawn, CG_SPAWN_CLONE, EINVAL);
    cg_file_destroy(directory);
    cg_cache_destroy(cache);
    CHECK_EQUAL(open_descriptors(), before);
}

static volatile sig_atomic_t handled;

static void handle(int number)
{
    (void)number;
    handled++;
}

/* The caller's mask and handlers are its own, and the child's are the defaults. */
void test_spawn_signals(void)
{
    struct sigaction action = {.sa_handler = handle};
    sigset_t mask, before, after;
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0 && signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    CHECK(sigprocmask(SIG_SETMASK, &mask, NULL) == 0 && sigprocmask(SIG_BLOCK, NULL, &before) == 0);
    struct cg_spawn spawn = of_script();
    CHECK_EQUAL(run_script(spawn, "kill -USR1 $$; sleep 10"), -SIGUSR1);
    CHECK_EQUAL(run_script(spawn, "kill -PIPE $$; sleep 10"), -SIGPIPE);
    CHECK_EQUAL(run_script(spawn, "kill -USR2 $$; exit 3"), 3);
    spawn.restore_signals = 0;
    CHECK_EQUAL(run_script(spawn, "kill -PIPE $$; exit 4"), 4);
    CHECK(sigprocmask(SIG_BLOCK, NULL, &after) == 0);
    for (int number = 1; number <= SIGRTMAX; number++) /* sigset_t has more bits than there are signals */
        CHECK_EQUAL(sigismember(&before, number), sigismember(&after, number));
    CHECK_EQUAL(handled, 0);
    CHECK(raise(SIGUSR1) == 0);
    CHECK_EQUAL(handled, 1);
}

enum { THREADS = 6, STARTS = 30 };

static void *start_many(void *argument)
{
    (void)argument;
    char script[32];
    for (int i = 0; i < STARTS; i++) {
        snprintf(script, sizeof script, "exit %d", i);
        CHECK_EQUAL(run_script(of_script(), script), i);
    }
    return NULL;
}

void test_spawn_threads(void)
{
    pthread_t threads[THREADS];
    size_t before = open_descriptors();
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, start_many, NULL) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK_EQUAL(open_descriptors(), before);
}

/* As root: another user's child shares no memory with its parent, which stays what it was. */
void test_spawn_identity(void)
{
    struct cg_spawn spawn = of_script();
    uint32_t groups[] = {7, 8};
    spawn.uid = 65534;
    spawn.gid = 65533;
    spawn.groups = groups;
    spawn.group_count = 2;
    if (geteuid() != 0) {
        struct cg_spawned spawned;
        CHECK_EQUAL(go_on(cg_spawn(&spawn, &spawned), &spawned), CG_OS);
        CHECK_EQUAL(spawned.step, CG_SPAWN_PREPARE);
        return;
    }
    int dumpable = prctl(PR_GET_DUMPABLE);
    CHECK_EQUAL(run_script(spawn, "[ $(id -u) = 65534 ] && [ $(id -g) = 65533 ] && [ \"$(id -G)\" = '65533 7 8' ]"), 0);
    CHECK_EQUAL(prctl(PR_GET_DUMPABLE), dumpable);
    CHECK_EQUAL(geteuid(), 0);
    spawn.cwd = "/no/such";
    fails(&spawn, CG_SPAWN_CWD, ENOENT);
}

/* The kernel takes the highest id for "no change". */
void test_spawn_no_identity(void)
{
    struct cg_spawn spawn = of_script();
    uint32_t groups[] = {7, UINT32_MAX};
    spawn.uid = UINT32_MAX;
    fails(&spawn, CG_SPAWN_CLONE, EINVAL);
    spawn.uid = -1;
    spawn.gid = UINT32_MAX;
    fails(&spawn, CG_SPAWN_CLONE, EINVAL);
    spawn.gid = -1;
    spawn.groups = groups;
    spawn.group_count = 2;
    fails(&spawn, CG_SPAWN_CLONE, EINVAL);
}

/* Whether it shares its parent's memory, told by a filter that refuses a child that would. */
static void starts(struct cg_place place, bool shares)
{
    struct cg_spawn spawn = of_script();
    spawn.places = &place;
    spawn.place_count = 1;
    if (shares) {
        fails(&spawn, CG_SPAWN_CLONE, ESRCH);
        return;
    }
    CHECK_EQUAL(run_script(spawn, "exit 7"), 7);
    spawn.program = "/no/such";
    fails(&spawn, CG_SPAWN_EXECUTE, ENOENT);
}

/* With each of these files in turn writable by others: by its mode and, as root, by its owner. */
static void starts_in_reach(struct cg_place place, const char *const *files)
{
    starts(place, true);
    for (; *files != NULL; files++) {
        const char *file = **files ? *files : ".";
        struct stat found;
        CHECK(stat(file, &found) == 0);
        for (mode_t bit = S_IWOTH; bit <= S_IWGRP; bit <<= 3) {
            CHECK(chmod(file, found.st_mode | bit) == 0);
            starts(place, false);
        }
        CHECK(chmod(file, found.st_mode) == 0);
        starts(place, true);
        if (geteuid() == 0) {
            CHECK(chown(file, 65534, 65534) == 0);
            starts(place, false);
            CHECK(chown(file, 0, 0) == 0);
            starts(place, true);
        }
    }
}

/* From now on this process sees other nodes of memory. */
static void have_nodes(const char *text)
{
    write_file("nodes", text);
    CHECK(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    CHECK(mount("nodes", "/sys/devices/system/node/online", NULL, MS_BIND, NULL) == 0);
}

static void starts_beside_others(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_VM, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ESRCH),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = COUNT(code), .filter = code};
    struct cg_cache *cache = cg_cache_create(4);
    char root[PATH_MAX];
    CHECK(getcwd(root, sizeof root) != NULL);
    struct cg_file *directory = cg_file_create(cache, NULL, root, CG_FILE_DIRECTORY);
    for (const char *const *at = (const char *const[]){"a", "a/b", "a/b/c", NULL}; *at != NULL; at++) {
        char name[64];
        CHECK(mkdir(*at, 0755) == 0);
        snprintf(name, sizeof name, "%s/cgroup.procs", *at);
        write_file(name, "");
    }
    write_file("cgroup.procs", "");
    deny(435, ENOSYS); /* clone3, which refuses a directory that is not a cgroup */
    CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);

    starts((struct cg_place){directory, "a/b/c", 2, 0}, true);
    write_file("a/b/c/memory.oom.group", "0\n");
    starts((struct cg_place){directory, "a/b/c", 2, 0}, true);
    write_file("a/b/c/memory.oom.group", "1\n");
    starts((struct cg_place){directory, "a/b/c", 2, 0}, false);
    starts((struct cg_place){directory, "a/b", 2, 0}, true);
    starts((struct cg_place){directory, "a/b/c", 1, 0}, true);
    write_file("a/memory.oom.group", "1\n");
    write_file("a/b/c/memory.oom.group", "0\n");
    starts((struct cg_place){directory, "a/b/c", 2, 0}, false);
    starts((struct cg_place){directory, "a", 2, 0}, false);
    starts((struct cg_place){directory, "", 2, 0}, true);
    write_file("memory.oom.group", "1\n");
    write_file("a/memory.oom.group", "0\n");
    starts((struct cg_place){directory, "a/b/c", 2, 0}, false);
    starts((struct cg_place){directory, "", 2, 0}, false);

    CHECK(unlink("memory.oom.group") == 0);

    /* Another user may write to the cgroup, to one above, or to one of the files that decide. */
    static const char *const files[] = {"", "a", "a/b", "a/b/c", "a/b/c/memory.oom.group", "a/memory.oom.group",
                                        "cgroup.procs", "a/cgroup.procs", "a/b/c/cgroup.procs", NULL};
    write_file("a/memory.oom.group", "0\n");
    write_file("a/b/c/freezer.state", "THAWED\n");
    write_file("a/b/c/cgroup.events", "populated 0\nfrozen 0\n");
    write_file("a/b/c/cgroup.freeze", "0\n");
    write_file("a/freezer.state", "THAWED\n");
    write_file("a/cgroup.freeze", "0\n");
    starts_in_reach((struct cg_place){directory, "a/b/c", 2, 0}, files);
    starts_in_reach((struct cg_place){directory, "a/b/c", 2, 0},
                    (const char *const[]){"a/b/c/cgroup.freeze", "a/cgroup.freeze", NULL});
    starts_in_reach((struct cg_place){directory, "a/b/c", 1, 0}, (const char *const[]){"", "a/b/c", NULL});
    starts_in_reach((struct cg_place){directory, "a/b/c", 1, CG_PLACE_FREEZER},
                    (const char *const[]){"", "a/b/c", "a/b/c/freezer.state", "a/freezer.state", NULL});
    CHECK(chmod("a/b/c", 0777) == 0);
    starts((struct cg_place){directory, "a/b", 2, 0}, true);

    starts((struct cg_place){directory, "a", 1, CG_PLACE_CPUSET}, true);
    if (geteuid() == 0) {
        have_nodes("0-1\n");
        starts((struct cg_place){directory, "a", 1, CG_PLACE_FREEZER | CG_PLACE_CPUSET}, false);
        starts((struct cg_place){directory, "a", 1, CG_PLACE_FREEZER}, true);
        starts((struct cg_place){directory, "a", 2, 0}, false); /* it moves itself */
    }
    cg_file_destroy(directory);
    cg_cache_destroy(cache);
}

void test_spawn_memory(void)
{
    in_child(starts_beside_others);
}

/* ---- a child that somebody stops before it executes ---------------------------------- */

/* A cgroup that another user may write to, and whose cgroup.procs holds whoever writes to it: a pipe that is full. */
struct held {
    struct cg_cache *cache;
    struct cg_file *directory;
    struct cg_place place;
    int pipe;
};

static struct held hold(void)
{
    static char text[1 << 16];
    struct held held = {.cache = cg_cache_create(4)};
    char root[PATH_MAX];
    CHECK(mkdir("held", 0777) == 0 && chmod("held", 0777) == 0 && mkfifo("held/cgroup.procs", 0644) == 0);
    held.pipe = open("held/cgroup.procs", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    CHECK(held.pipe >= 0);
    while (write(held.pipe, text, sizeof text) > 0)
        continue;
    CHECK(getcwd(root, sizeof root) != NULL);
    held.directory = cg_file_create(held.cache, NULL, root, CG_FILE_DIRECTORY);
    held.place = (struct cg_place){held.directory, "held", 1, 0};
    return held;
}

static void let_go(const struct held *held)
{
    char text[1 << 12];
    CHECK(read(held->pipe, text, sizeof text) == sizeof text);
}

static void release(struct held *held)
{
    cg_file_destroy(held->directory);
    cg_cache_destroy(held->cache);
    close(held->pipe);
}

static int64_t clock_now(void)
{
    struct timespec time;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &time) == 0);
    return time.tv_sec * SECOND + time.tv_nsec;
}

void test_spawn_timeout(void)
{
    struct cg_spawn spawn = of_script();
    size_t before = open_descriptors();
    struct held held = hold();
    spawn.places = &held.place;
    spawn.place_count = 1;
    for (int64_t timeout = 1; timeout <= SECOND / 2; timeout += SECOND / 4) {
        int64_t began = clock_now();
        spawn.timeout = timeout;
        fails(&spawn, CG_SPAWN_TIMEOUT, ETIMEDOUT);
        CHECK(clock_now() - began >= timeout && clock_now() - began < 10 * SECOND);
    }
    release(&held);
    CHECK_EQUAL(open_descriptors(), before);
}

static void start_timer(long microseconds)
{
    struct sigaction action = {.sa_handler = handle};
    struct itimerval timer = {.it_value = {.tv_usec = microseconds}};
    CHECK(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

/* Goes on with a start until a signal's handler has run, which may come between two calls. */
static void interrupted(int status, struct cg_spawned *spawned)
{
    int before = handled;
    start_timer(100000);
    while (handled == before) {
        CHECK_EQUAL(status, CG_INTERRUPTED);
        CHECK(spawned->pending != NULL);
        status = cg_spawn_resume(spawned);
    }
    CHECK_EQUAL(status, CG_INTERRUPTED);
}

/* A signal ends the wait, which can be gone on with, or given up. */
void test_spawn_interrupted(void)
{
    char *const argv[] = {(char *)"sh", (char *)"-c", (char *)"exit 7", NULL};
    struct cg_spawn spawn = plain(argv);
    struct cg_spawned spawned;
    size_t before = open_descriptors();
    struct held held = hold();
    spawn.program = "/bin/sh";
    spawn.places = &held.place;
    spawn.place_count = 1;
    interrupted(cg_spawn(&spawn, &spawned), &spawned);
    interrupted(cg_spawn_resume(&spawned), &spawned);
    let_go(&held);
    CHECK_EQUAL(go_on(cg_spawn_resume(&spawned), &spawned), CG_OK);
    CHECK(spawned.pending == NULL && spawned.began > 0);
    CHECK_EQUAL(status_of(&spawned), 7);

    CHECK(write(held.pipe, (char[1 << 12]){0}, (1 << 12) - 1) > 0);
    CHECK_EQUAL(cg_spawn(&spawn, &spawned), CG_INTERRUPTED);
    cg_spawn_cancel(&spawned);
    CHECK(spawned.pid == 0 && spawned.pending == NULL);
    CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
    cg_spawn_cancel(&spawned); /* of nothing */
    release(&held);
    CHECK_EQUAL(open_descriptors(), before);
}

/* A paused child is outside of its cgroup until it is let go, and goes if it is given up or its maker ends. */
void test_spawn_paused(void)
{
    char *const argv[] = {(char *)"sh", (char *)"-c", (char *)"exit 7", NULL};
    struct cg_spawn spawn = plain(argv);
    struct cg_spawned spawned;
    struct stat found;
    char root[PATH_MAX], end;
    int pipe_ends[2];
    size_t before = open_descriptors();
    CHECK(mkdir("paused", 0755) == 0 && getcwd(root, sizeof root) != NULL);
    write_file("paused/cgroup.procs", "");
    struct cg_cache *cache = cg_cache_create(4);
    struct cg_file *directory = cg_file_create(cache, NULL, root, CG_FILE_DIRECTORY);
    struct cg_place place = {directory, "paused", 2, 0};
    spawn.program = "/bin/sh";
    spawn.places = &place;
    spawn.place_count = 1;
    spawn.paused = 1;
    CHECK_EQUAL(cg_spawn(&spawn, &spawned), CG_PAUSED);
    CHECK(spawned.pid > 0 && spawned.pending != NULL);
    CHECK(waitpid(spawned.pid, NULL, WNOHANG) == 0 && stat("paused/cgroup.procs", &found) == 0 && found.st_size == 0);
    CHECK_EQUAL(go_on(cg_spawn_resume(&spawned), &spawned), CG_OK);
    CHECK(spawned.began > 0 && stat("paused/cgroup.procs", &found) == 0 && found.st_size == 1);
    CHECK_EQUAL(status_of(&spawned), 7);

    CHECK_EQUAL(cg_spawn(&spawn, &spawned), CG_PAUSED);
    cg_spawn_cancel(&spawned);
    CHECK(spawned.pid == 0 && waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);

    CHECK(pipe(pipe_ends) == 0);
    int maker = fork();
    if (maker == 0) {
        cg_spawn(&spawn, &spawned);
        _exit(0);
    }
    close(pipe_ends[1]);
    CHECK(waitpid(maker, NULL, 0) == maker);
    CHECK_EQUAL(read(pipe_ends[0], &end, 1), 0);
    close(pipe_ends[0]);

    cg_file_destroy(directory);
    cg_cache_destroy(cache);
    CHECK_EQUAL(open_descriptors(), before);
}

static void starts_without_robust_list(void)
{
    struct cg_spawn spawn = of_script();
    struct held held = hold();
    spawn.places = &held.place;
    spawn.place_count = 1;
    deny(SYS_set_robust_list, EPERM);
    fails(&spawn, CG_SPAWN_PREPARE, EPERM);
    release(&held);
}

/* Where the maker could not know that the child executes, it is an error, and not a program that is killed. */
void test_spawn_no_robust_list(void)
{
    in_child(starts_without_robust_list);
}

/* Ended by a signal before it executed: it is not taken for a program that a signal ended. */
void test_spawn_killed(void)
{
    struct cg_spawn spawn = of_script();
    struct cg_spawned spawned;
    struct held held = hold();
    spawn.places = &held.place;
    spawn.place_count = 1;
    CHECK_EQUAL(cg_spawn(&spawn, &spawned), CG_INTERRUPTED);
    FILE *children = fopen("/proc/thread-self/children", "r");
    int pid = 0;
    CHECK(children != NULL && fscanf(children, "%d", &pid) == 1 && fclose(children) == 0);
    CHECK(kill(pid, SIGKILL) == 0);
    CHECK_EQUAL(go_on(cg_spawn_resume(&spawned), &spawned), CG_OS);
    CHECK_EQUAL(spawned.step, CG_SPAWN_KILLED);
    CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
    release(&held);
}

enum { FORKS = 20 };

static void *fork_often(void *argument)
{
    pid_t *children = argument;
    for (int i = 0; i < FORKS; i++) {
        children[i] = fork();
        CHECK(children[i] >= 0);
        if (children[i] == 0) {
            sleep(60); /* with a copy of every descriptor of the start */
            _exit(0);
        }
    }
    return NULL;
}

/* The wait for a copied child ends when it executes, also while another thread forks children that live long. */
void test_spawn_beside_forks(void)
{
    struct cg_spawn spawn = of_script();
    pthread_t thread;
    pid_t children[FORKS];
    char root[PATH_MAX];
    struct cg_cache *cache = cg_cache_create(4);
    CHECK(getcwd(root, sizeof root) != NULL && chmod(".", 0777) == 0);
    write_file("cgroup.procs", "");
    struct cg_file *directory = cg_file_create(cache, NULL, root, CG_FILE_DIRECTORY);
    struct cg_place place = {directory, "", 1, 0};
    spawn.places = &place;
    spawn.place_count = 1;
    CHECK(pthread_create(&thread, NULL, fork_often, children) == 0);
    int64_t began = clock_now();
    for (int i = 0; i < 20; i++)
        CHECK_EQUAL(run_script(spawn, "exit 7"), 7);
    CHECK(clock_now() - began < 20 * SECOND);
    CHECK(pthread_join(thread, NULL) == 0);
    for (int i = 0; i < FORKS; i++)
        CHECK(kill(children[i], SIGKILL) == 0 && waitpid(children[i], NULL, 0) == children[i]);
    cg_file_destroy(directory);
    cg_cache_destroy(cache);
}
