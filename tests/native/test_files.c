/* test_files.c - kept-open files: the budget, lifetimes, and what reads yield. */
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "check.h"

enum { FILES = 4 };

struct world {
    struct cg_cache *cache;
    struct cg_file *directory;
    struct cg_file *files[FILES];
};

/* Files f0 to f3 that say 100 to 103, in this directory, not yet read. */
static struct world world_create(size_t budget)
{
    struct world world;
    char path[4096], name[16], text[16];
    CHECK(getcwd(path, sizeof path) != NULL);
    world.cache = cg_cache_create(budget);
    CHECK(world.cache != NULL);
    world.directory = cg_file_create(world.cache, NULL, path, CG_FILE_DIRECTORY);
    CHECK(world.directory != NULL);
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "f%d", i);
        snprintf(text, sizeof text, "%d\n", 100 + i);
        write_file(name, text);
        world.files[i] = cg_file_create(world.cache, world.directory, name, 0);
        CHECK(world.files[i] != NULL);
    }
    CHECK_EQUAL(cg_cache_kept(world.cache), 0);
    return world;
}

static void world_destroy(struct world *world)
{
    for (int i = 0; i < FILES; i++)
        cg_file_destroy(world->files[i]);
    cg_file_destroy(world->directory);
    CHECK_EQUAL(cg_cache_kept(world->cache), 0);
    cg_cache_destroy(world->cache);
}

static void read_each(struct world *world)
{
    for (int i = 0; i < FILES; i++)
        CHECK_EQUAL(cg_file_read_int(world->files[i]), 100 + i);
}

void test_budget(void)
{
    size_t before = open_descriptors();
    for (size_t budget = 0; budget <= 6; budget++) {
        struct world world = world_create(budget);
        CHECK_EQUAL(cg_cache_budget(world.cache), budget);
        for (int round = 0; round < 3; round++) {
            read_each(&world);
            /* Four files and their directory: never more than the budget, and all of it used. */
            CHECK_EQUAL(cg_cache_kept(world.cache), budget < FILES + 1 ? budget : FILES + 1);
            CHECK_EQUAL(open_descriptors(), before + cg_cache_kept(world.cache));
        }
        world_destroy(&world);
        CHECK_EQUAL(open_descriptors(), before);
    }
    struct world world = world_create(10);
    read_each(&world);
    for (size_t budget = 5; budget-- > 0;) {
        cg_cache_set_budget(world.cache, budget);
        CHECK_EQUAL(cg_cache_budget(world.cache), budget);
        CHECK_EQUAL(cg_cache_kept(world.cache), budget);
        CHECK_EQUAL(open_descriptors(), before + budget);
        read_each(&world);
        CHECK_EQUAL(cg_cache_kept(world.cache), budget);
    }
    cg_cache_set_budget(world.cache, 100);
    read_each(&world);
    CHECK_EQUAL(cg_cache_kept(world.cache), FILES + 1);
    cg_file_close(world.files[1]);
    cg_file_close(world.files[1]);
    CHECK_EQUAL(cg_cache_kept(world.cache), FILES);
    cg_file_close(world.directory);
    CHECK_EQUAL(cg_cache_kept(world.cache), FILES - 1);
    CHECK_EQUAL(open_descriptors(), before + FILES - 1);
    read_each(&world);
    CHECK_EQUAL(cg_cache_kept(world.cache), FILES + 1);
    world_destroy(&world);
    CHECK_EQUAL(open_descriptors(), before);
}

/* A file keeps its directory alive, read or not. */
void test_destroy_order(void)
{
    size_t before = open_descriptors();
    for (size_t budget = 0; budget <= 5; budget++) {
        struct world world = world_create(budget);
        if (budget % 2)
            read_each(&world);
        cg_file_destroy(world.directory);
        read_each(&world);
        cg_file_destroy(world.files[2]);
        CHECK_EQUAL(cg_file_read_int(world.files[0]), 100);
        cg_file_destroy(world.files[0]);
        cg_file_destroy(world.files[3]);
        CHECK_EQUAL(cg_file_read_int(world.files[1]), 101);
        cg_file_destroy(world.files[1]);
        CHECK_EQUAL(cg_cache_kept(world.cache), 0);
        cg_cache_destroy(world.cache);
        CHECK_EQUAL(open_descriptors(), before);
    }
    cg_file_destroy(NULL);
}

void test_read(void)
{
    static const struct {
        const char *text;
        int64_t number; /* -2: none of the hot path's */
    } NUMBERS[] = {
        {"0\n", 0}, {"7\n", 7}, {"999999999999999999\n", 999999999999999999}, {"max\n", -1}, {"-1\n", -2}, {"", -2},
        {"x\n", -2}, {"5", -2}, {"18446744073709551615\n", -2}, {"5 6\n", -2}, {"99999999999999999999999999999999999\n", -2},
    };
    struct world world = world_create(8);
    for (size_t i = 0; i < COUNT(NUMBERS); i++) {
        write_file("f0", NUMBERS[i].text);
        int64_t number = cg_file_read_int(world.files[0]);
        CHECK(NUMBERS[i].number == -2 ? number < -1 : number == NUMBERS[i].number);
    }

    /* The text grows first, then the columns. */
    write_file("f1", "anon 1\nfile 2\n");
    struct cg_arena arena = {.cells = cells_create(1)};
    for (size_t capacity = 0; capacity <= 14; capacity += 7) {
        arena.text = malloc(capacity ? capacity : 1);
        arena.text_capacity = capacity;
        CHECK_EQUAL(cg_file_read(world.files[1], CG_KEYED, &arena), CG_SPACE);
        CHECK_EQUAL(arena.text_length, capacity);
        free(arena.text);
    }
    arena.text = malloc(15);
    arena.text_capacity = 15;
    CHECK_EQUAL(cg_file_read(world.files[1], CG_KEYED, &arena), CG_SPACE);
    CHECK_EQUAL(arena.text_length, 14);
    cells_destroy(&arena.cells);
    arena.cells = cells_create(2);
    CHECK_EQUAL(cg_file_read(world.files[1], CG_KEYED, &arena), CG_OK);
    CHECK_EQUAL(arena.cells.count, 2);
    CHECK_EQUAL(arena.cells.value[1], 2);

    struct cg_layout layout = layout_create("anon\nfile\n", 10, 2);
    arena.cells.value[0] = arena.cells.value[1] = 0;
    CHECK_EQUAL(cg_file_read_layout(world.files[1], &layout, &arena), CG_OK);
    CHECK(arena.cells.value[0] == 1 && arena.cells.value[1] == 2);
    write_file("f1", "file 2\n");
    CHECK_EQUAL(cg_file_read_layout(world.files[1], &layout, &arena), CG_LAYOUT);
    layout_destroy(&layout);
    write_file("f1", "anon 1\nf x\n");
    CHECK_EQUAL(cg_file_read(world.files[1], CG_KEYED, &arena), CG_SYNTAX);
    CHECK_EQUAL(arena.offset, 9);
    CHECK_EQUAL(arena.text_length, 11);

    /* What is not there, and comes. */
    struct cg_file *late = cg_file_create(world.cache, world.directory, "late", 0);
    CHECK_EQUAL(cg_file_read(late, CG_VALUE, &arena), CG_OS);
    CHECK_EQUAL(arena.error, ENOENT);
    CHECK(cg_file_read_int(late) < -1);
    write_file("late", "5\n");
    CHECK_EQUAL(cg_file_read_int(late), 5);
    cg_file_destroy(late);

    /* A list is read to its end, and never kept. */
    size_t kept = cg_cache_kept(world.cache);
    struct cg_file *list = cg_file_create(world.cache, world.directory, "list", CG_FILE_LIST);
    write_file("list", "1\n2\n");
    CHECK_EQUAL(cg_file_read(list, CG_VALUES, &arena), CG_OK);
    CHECK_EQUAL(arena.cells.count, 2);
    CHECK_EQUAL(cg_cache_kept(world.cache), kept);
    cg_file_destroy(list);

    /* Files instead of directories, and directories of another file system. */
    struct cg_file *none = cg_file_create(world.cache, NULL, "/none/such", CG_FILE_DIRECTORY);
    struct cg_file *below = cg_file_create(world.cache, none, "x", 0);
    CHECK_EQUAL(cg_file_read(below, CG_VALUE, &arena), CG_OS);
    CHECK_EQUAL(arena.error, ENOENT);
    cg_file_destroy(none);
    cg_file_destroy(below);
    for (int flag = CG_FILE_CGROUP1; flag <= CG_FILE_CGROUP2; flag *= 2) {
        struct cg_file *proc = cg_file_create(world.cache, NULL, "/proc", CG_FILE_DIRECTORY | flag);
        below = cg_file_create(world.cache, proc, "uptime", 0);
        CHECK_EQUAL(cg_file_read(below, CG_TEXT, &arena), CG_FOREIGN);
        CHECK_EQUAL(cg_file_inode(proc, "self"), -ENODEV);
        cg_file_destroy(below);
        cg_file_destroy(proc);
    }
    free(arena.text);
    cells_destroy(&arena.cells);
    world_destroy(&world);
}

void test_not_kept(void)
{
    struct world world = world_create(4);
    int fd, error;
    char text[16] = "";
    CHECK_EQUAL(cg_file_open(world.directory, "f3", O_RDONLY, &fd, &error), CG_OK);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    CHECK(read(fd, text, sizeof text) == 4 && memcmp(text, "103\n", 4) == 0);
    close(fd);
    CHECK_EQUAL(cg_file_open(world.directory, "../x", O_RDONLY, &fd, &error), CG_OS);
    CHECK_EQUAL(error, EXDEV);

    /* A write is in place, and makes no file. */
    CHECK_EQUAL(cg_file_write(world.directory, "f3", "77", 2, &error), CG_OK);
    CHECK_EQUAL(cg_file_read_int(world.files[3]), 773);
    CHECK_EQUAL(cg_file_write(world.directory, "f3", "", 0, &error), CG_OK);
    CHECK_EQUAL(cg_file_write(world.directory, "new", "1", 1, &error), CG_OS);
    CHECK_EQUAL(error, ENOENT);
    CHECK(access("new", F_OK) < 0);

    struct stat here, sub;
    uint64_t device;
    CHECK(mkdir("sub", 0755) == 0 && symlink("sub", "link") == 0);
    CHECK(stat(".", &here) == 0 && stat("sub", &sub) == 0);
    CHECK_EQUAL(cg_file_inode(world.directory, ""), here.st_ino);
    CHECK_EQUAL(cg_file_inode(world.directory, "sub"), sub.st_ino);
    CHECK_EQUAL(cg_file_inode(world.directory, "f0"), -ENOTDIR);
    CHECK_EQUAL(cg_file_inode(world.directory, "none"), -ENOENT);
    CHECK(cg_file_inode(world.directory, "link") < 0);
    CHECK_EQUAL(cg_file_device(world.directory, &device, &error), CG_OK);
    CHECK_EQUAL(device, (uint64_t)major(here.st_dev) << 32 | minor(here.st_dev));
    world_destroy(&world);
}

/* ---- few descriptors ------------------------------------------------------------- */

static struct world crowd;
static size_t crowd_before;

/* Within a batch: the other files come and go, and none of them stays open beyond the budget. */
static void read_others(void *context, size_t i, int status, int error, const char *text, size_t length)
{
    (void)context, (void)i, (void)error, (void)text, (void)length;
    CHECK_EQUAL(status, CG_OK);
    for (int round = 0; round < 20; round++) {
        read_each(&crowd);
        cg_file_close(crowd.files[round % FILES]);
        CHECK(cg_cache_kept(crowd.cache) <= cg_cache_budget(crowd.cache));
        CHECK_EQUAL(open_descriptors(), crowd_before + cg_cache_kept(crowd.cache));
    }
}

void test_budget_batch(void)
{
    crowd_before = open_descriptors();
    for (size_t budget = 0; budget <= 6; budget++) {
        char text[64];
        int fds[FILES];
        crowd = world_create(budget);
        struct cg_batch batch = {.cache = crowd.cache, .files = crowd.files, .fds = fds, .count = FILES};
        for (int round = 0; round < 3; round++)
            cg_batch_read(&batch, text, sizeof text, read_others, NULL);
        world_destroy(&crowd);
        CHECK_EQUAL(open_descriptors(), crowd_before);
    }
}

void test_no_descriptor(void)
{
    struct world world = world_create(10);
    struct cg_file *more = cg_file_create(world.cache, world.directory, "more", 0);
    char text[64];
    struct cg_arena arena = {.text = text, .text_capacity = sizeof text, .cells = cells_create(1)};
    write_file("more", "7\n");
    read_each(&world);
    size_t held = no_descriptors();
    /* Files that are kept make room for those that are not, over and over. */
    for (int round = 0; round < 3; round++) {
        CHECK_EQUAL(cg_file_read_int(more), 7);
        cg_file_close(more);
        CHECK(cg_file_inode(world.directory, "") > 0);
        read_each(&world);
    }
    /* Nothing is kept, nothing is left: it is said. */
    cg_cache_set_budget(world.cache, 0);
    held += no_descriptors();
    CHECK(held > 0);
    CHECK_EQUAL(cg_file_read(more, CG_VALUE, &arena), CG_OS);
    CHECK_EQUAL(arena.error, EMFILE);
    CHECK_EQUAL(cg_file_inode(world.directory, ""), -EMFILE);
    some_descriptors();
    CHECK_EQUAL(cg_file_read(more, CG_VALUE, &arena), CG_OK);
    cells_destroy(&arena.cells);
    cg_file_destroy(more);
    world_destroy(&world);
}
