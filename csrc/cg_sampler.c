/* cg_sampler.c - rows of cgroups and columns of numbers, read in one call.
 *
 * In the steady state a frame is one pread per file, a comparison of the text
 * between its numbers, and their conversion (cg_layouts.c): nothing is
 * allocated or opened.  The rest handles changes: a row whose cgroup is gone is
 * looked up by its name at the next frame. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "cg_layouts.h"
#include "cg_scan.h"

enum { FIRST_TEXT = 1 << 16, FILES_OF_A_TIME = 8 };
static const int64_t LOOK_AGAIN = 1000000000;   /* ns between lookups of a missing file */
static const int64_t CHECK_NAMES = 10000000000; /* ns in which each row's name is checked once */

/* One control file of one row. */
struct source {
    struct cg_file *file;
    struct cg_text_state state;
    uint32_t row;
    int error;  /* while the file is not in the batch: ENOENT, or the error of the open */
    bool again; /* to be read again in this frame */
    bool lost;  /* its cgroup may be gone: checked between the reads */
};

/* The time of a row's next lookup. */
enum look { NEVER, LATER /* once per second */, AT_ONCE /* before the next frame */, LOOKS };

struct row {
    struct cg_file *directory;
    char *path;
    uint64_t inode;
    uint32_t first; /* index of its first source */
    uint32_t count;
    int error;      /* ENODEV if the cgroup is gone, or the error of the lookup */
    enum look look; /* not NEVER if it is gone or a file could not be opened */
};

struct cg_sampler {
    atomic_size_t references;
    struct cg_guard guard; /* one frame at a time */
    size_t columns;
    struct row *rows;
    size_t count, capacity;
    struct source *sources;
    size_t sources_capacity;
    struct cg_batch batch; /* the file of each source, or NULL while it is missing */
    struct cg_program **programs;
    size_t program_count;
    char *text;
    size_t text_capacity;
    struct cg_scratch scratch;
    size_t gone;         /* number of rows whose cgroup is gone */
    size_t looks[LOOKS]; /* number of rows by enum look */
    int64_t looked;      /* time of the last lookup of the LATER rows */
    size_t unknown;      /* number of sources that had numbers without a target */
    size_t next;         /* row whose name is checked next */
    int64_t checked;     /* time up to which names were checked */
};

static void lock(struct cg_sampler *sampler)
{
    pthread_mutex_lock(&sampler->guard.lock);
}

static void unlock(struct cg_sampler *sampler)
{
    pthread_mutex_unlock(&sampler->guard.lock);
}

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* ---- rows that appear and disappear ----------------------------------------------- */

static bool is_gone(int error)
{
    return error == ENOENT || error == ENODEV;
}

/* Whether an error is transient: out of descriptors or memory. */
static bool is_passing(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == EAGAIN;
}

static void set_row(struct cg_sampler *sampler, struct row *row, int error, enum look look)
{
    sampler->gone += (size_t)(error == ENODEV) - (size_t)(row->error == ENODEV);
    sampler->looks[row->look]--;
    sampler->looks[look]++;
    row->error = error;
    row->look = look;
}

/* Excludes a file that could not be opened until the next lookup of its row. */
static void leave_out(struct cg_sampler *sampler, size_t i, int error)
{
    struct source *source = &sampler->sources[i];
    struct row *row = &sampler->rows[source->row];
    enum look look = is_passing(error) ? AT_ONCE : LATER;
    sampler->batch.files[i] = NULL;
    sampler->batch.fds[i] = -1;
    source->error = is_gone(error) ? ENOENT : error;
    set_row(sampler, row, row->error, row->look > look ? row->look : look);
}

/* Opens a source beneath its row's directory, so that it belongs to that inode. */
static void open_source(struct cg_sampler *sampler, size_t i, int directory)
{
    struct source *source = &sampler->sources[i];
    const char *name = source->state.program->name;
    struct stat found;
    int fd CG_CLOSE = -1;
    int error = 0;
    if (cg_cache_open_beneath(sampler->batch.cache, directory, name, O_RDONLY, &fd, &error) != CG_OK ||
        fstat(fd, &found) < 0) {
        leave_out(sampler, i, error ? error : errno);
        return;
    }
    cg_file_adopt(source->file, fd, found.st_ino);
    fd = -1;
    sampler->batch.files[i] = source->file;
    sampler->batch.seen = 0;
}

/* Opens the directory of a row.  Returns 0 or an errno; ENODEV if it is gone. */
static int open_row(const struct row *row, int *fd_ret, struct stat *found_ret)
{
    int error = 0;
    int status = cg_file_open(row->directory, row->path, O_PATH | O_DIRECTORY, fd_ret, &error);
    if (status == CG_OK && fstat(*fd_ret, found_ret) < 0)
        error = errno;
    return status == CG_FOREIGN || is_gone(error) ? ENODEV : error;
}

/* Looks up a row by its name.  If the cgroup is the same, only files that could
 * not be opened before are opened. */
static void look_up(struct cg_sampler *sampler, struct row *row)
{
    struct stat found;
    int fd CG_CLOSE = -1;
    int error = open_row(row, &fd, &found);
    if (error) {
        /* If only the lookup failed, the open files can still be read. */
        bool is_open = error != ENODEV && row->error == 0 && row->inode != 0;
        set_row(sampler, row, is_open ? 0 : error, is_gone(error) || is_passing(error) ? AT_ONCE : LATER);
        return;
    }
    bool same = found.st_ino == row->inode && row->error == 0;
    set_row(sampler, row, 0, NEVER);
    row->inode = found.st_ino;
    for (uint32_t i = row->first; i < row->first + row->count; i++) {
        if (!same || sampler->batch.files[i] == NULL)
            open_source(sampler, i, fd);
    }
}

static void look_for_missing(struct cg_sampler *sampler, int64_t time)
{
    bool later = sampler->looks[LATER] > 0 && time - sampler->looked >= LOOK_AGAIN;
    if (sampler->looks[AT_ONCE] == 0 && !later)
        return;
    for (size_t i = 0; i < sampler->count; i++) {
        struct row *row = &sampler->rows[i];
        if (row->look == AT_ONCE || (later && row->look == LATER))
            look_up(sampler, row);
    }
    if (later)
        sampler->looked = time;
}

/* Whether a row's name leads to another cgroup than its files; false on an
 * uncertain error, since the check is repeated. */
static bool is_moved(struct row *row)
{
    int64_t inode = cg_file_inode(row->directory, row->path);
    return inode < 0 ? is_gone((int)-inode) || inode == -ENOTDIR : (uint64_t)inode != row->inode;
}

/* Checks the rows that are due since the last frame, to spread the cost over all frames. */
static void check_names(struct cg_sampler *sampler, int64_t time)
{
    if (sampler->count == 0)
        return;
    int64_t each = CHECK_NAMES / (int64_t)sampler->count;
    if (time - sampler->checked > CHECK_NAMES)
        sampler->checked = time - CHECK_NAMES;
    for (; time - sampler->checked >= each; sampler->checked += each) {
        struct row *row = &sampler->rows[sampler->next++ % sampler->count];
        if (row->error == 0 && is_moved(row))
            set_row(sampler, row, ENODEV, AT_ONCE);
    }
}

/* ---- a frame ------------------------------------------------------------------------ */

static struct cg_row_cells cells_of(const struct cg_sampler *sampler, const struct cg_frame *frame, uint32_t row)
{
    size_t at = row * sampler->columns;
    return (struct cg_row_cells){frame->values + at, frame->statuses + at, frame->errors + at};
}

struct reading {
    struct cg_sampler *sampler;
    struct cg_frame *frame;
    uint32_t row;   /* the current row */
    unsigned files; /* number of files since the last clock read */
    int64_t time;
    bool again; /* not the first read of the texts in this frame */
    bool small; /* a text did not fit */
    bool full;  /* and no memory is left for it */
    bool cut;   /* a text has no ending */
    bool lost;  /* a cgroup may be gone */
};

/* A clock read costs a thirtieth of a file read: rows with few files share one. */
static void stamp(struct reading *reading, uint32_t row)
{
    if (reading->files >= FILES_OF_A_TIME) {
        reading->time = now();
        reading->files = 0;
    }
    reading->row = row;
    reading->frame->times[row] = reading->time;
}

/* Fast path: most files are one number, and most numbers are plain or `max`. */
static bool put_simple(const struct cg_row_cells *cells, const struct cg_target *target, const char *text,
                       size_t length)
{
    int64_t value = cg_one_number(text, length);
    if (value < -1)
        return false;
    bool none = value == -1 || (target->threshold > 0 && (uint64_t)value >= target->threshold);
    cells->values[target->column] = none ? INT64_MAX : value;
    cells->statuses[target->column] = none ? CG_CELL_MAX : CG_CELL_OK;
    cells->errors[target->column] = 0; /* another file of this column may have failed */
    return true;
}

/* Fills in a missing file in order, since a column with several files depends on their order. */
static void put_missing(const struct cg_sampler *sampler, const struct cg_row_cells *cells, const struct source *source)
{
    const struct row *row = &sampler->rows[source->row];
    int error = row->error ? row->error : source->error;
    uint8_t status = error == ENODEV ? CG_CELL_GONE : error == ENOENT ? CG_CELL_ABSENT : CG_CELL_ERROR;
    cg_put_failure(cells, source->state.program, status, error);
}

static void got(void *context, size_t i, int status, int error, const char *text, size_t length)
{
    struct reading *reading = context;
    struct cg_sampler *sampler = reading->sampler;
    struct source *source = &sampler->sources[i];
    struct cg_row_cells cells = cells_of(sampler, reading->frame, source->row);
    if (status == CG_EMPTY) {
        put_missing(sampler, &cells, source);
        return;
    }
    if (source->row != reading->row && reading->frame->times != NULL)
        stamp(reading, source->row);
    reading->files++;
    const struct cg_target *simple = source->state.program->simple;
    if (simple != NULL && status == CG_OK && put_simple(&cells, simple, text, length))
        return;
    if (status == CG_OK && !reading->again && !cg_is_whole(source->state.program->shape, text, length)) {
        reading->cut = source->again = true;
    } else if (status == CG_OK) {
        bool known = !source->state.unknown;
        cg_put_text(&sampler->scratch, &cells, &source->state, text, length);
        sampler->unknown += known && source->state.unknown;
    } else if (status == CG_SPACE && reading->full) {
        cg_put_failure(&cells, source->state.program, CG_CELL_ERROR, ENOMEM);
    } else if (status == CG_SPACE) {
        reading->small = source->again = true;
    } else if (status == CG_OS && !is_gone(error) && error != ESTALE) {
        cg_put_failure(&cells, source->state.program, CG_CELL_ERROR, error);
    } else {
        reading->lost = source->lost = true;
    }
}

/* Determines why a file cannot be read: the cgroup is gone, or its controller was
 * disabled.  Not during a batch, since it may need a descriptor. */
static void look_for_lost(struct cg_sampler *sampler, size_t i)
{
    struct row *row = &sampler->rows[sampler->sources[i].row];
    int64_t inode = row->error == ENODEV ? -ENODEV : cg_file_inode(row->directory, row->path);
    if (inode < 0 && !is_gone((int)-inode))
        leave_out(sampler, i, (int)-inode);
    else if (inode != (int64_t)row->inode)
        set_row(sampler, row, ENODEV, AT_ONCE);
    else
        leave_out(sampler, i, ENOENT);
}

static bool grow_text(struct cg_sampler *sampler)
{
    char *text = realloc(sampler->text, 2 * sampler->text_capacity);
    if (text == NULL)
        return false;
    sampler->text = text;
    sampler->text_capacity *= 2;
    return true;
}

/* Excludes the files of rows that are gone or could not be looked up. */
static void leave_out_missing(struct cg_sampler *sampler)
{
    for (size_t r = 0; r < sampler->count && sampler->looks[LATER] + sampler->looks[AT_ONCE] > 0; r++) {
        const struct row *row = &sampler->rows[r];
        for (uint32_t i = row->first; row->error && i < row->first + row->count; i++)
            leave_out(sampler, i, row->error);
    }
}

/* Reads all files of a row in order. */
static void read_row(struct reading *reading, size_t r)
{
    struct cg_sampler *sampler = reading->sampler;
    const struct row *row = &sampler->rows[r];
    struct cg_row_cells cells = cells_of(sampler, reading->frame, (uint32_t)r);
    memset(cells.values, 0, sampler->columns * sizeof *cells.values);
    memset(cells.statuses, CG_CELL_ABSENT, sampler->columns);
    memset(cells.errors, 0, sampler->columns * sizeof *cells.errors);
    reading->row = UINT32_MAX; /* the row's time is that of its last read */
    reading->files = FILES_OF_A_TIME;
    for (uint32_t i = row->first; i < row->first + row->count; i++)
        cg_batch_read_one(&sampler->batch, i, sampler->text, sampler->text_capacity, got, reading);
}

/* Whether to read a row again in this frame; clears the marks. */
static bool take_again(struct cg_sampler *sampler, const struct row *row)
{
    bool again = false;
    for (uint32_t i = row->first; i < row->first + row->count; i++) {
        struct source *source = &sampler->sources[i];
        if (source->lost)
            look_for_lost(sampler, i);
        again |= source->again || source->lost;
        source->again = source->lost = false;
    }
    return again;
}

/* Reads rows again: once for texts without an ending, and each time a text
 * outgrows the buffer or a file turns out to be missing. */
static void read_again(struct reading *reading)
{
    struct cg_sampler *sampler = reading->sampler;
    reading->full = reading->small && !grow_text(sampler);
    reading->again = true;
    reading->small = reading->cut = reading->lost = false;
    for (size_t r = 0; r < sampler->count; r++) {
        if (!take_again(sampler, &sampler->rows[r]))
            continue;
        leave_out_missing(sampler);
        read_row(reading, r);
    }
}

static void read_all(struct cg_sampler *sampler, struct cg_frame *frame)
{
    size_t cells = sampler->count * sampler->columns;
    int64_t time = now();
    check_names(sampler, time);
    look_for_missing(sampler, time);
    frame->timestamp = now();
    memset(frame->values, 0, cells * sizeof *frame->values);
    memset(frame->statuses, CG_CELL_ABSENT, cells);
    memset(frame->errors, 0, cells * sizeof *frame->errors);
    for (size_t i = 0; i < sampler->count; i++)
        frame->inodes[i] = sampler->rows[i].inode;
    for (size_t i = 0; i < sampler->count && frame->times != NULL; i++)
        frame->times[i] = frame->timestamp;
    leave_out_missing(sampler);

    struct reading reading = {.sampler = sampler, .frame = frame, .row = UINT32_MAX, .files = FILES_OF_A_TIME};
    cg_batch_read(&sampler->batch, sampler->text, sampler->text_capacity, got, &reading);
    while (reading.small || reading.cut || reading.lost)
        read_again(&reading);
    frame->rows = sampler->count;
    frame->gone = sampler->gone;
    frame->unknown = sampler->unknown;
    frame->duration = now() - frame->timestamp;
}

int cg_sampler_sample(struct cg_sampler *sampler, struct cg_frame *frame)
{
    int status = CG_SPACE;
    lock(sampler);
    if (frame->capacity == sampler->count) {
        read_all(sampler, frame);
        status = CG_OK;
    }
    unlock(sampler);
    return status;
}

void cg_sampler_size(struct cg_sampler *sampler, size_t *rows_ret, size_t *columns_ret)
{
    lock(sampler);
    *rows_ret = sampler->count;
    *columns_ret = sampler->columns;
    unlock(sampler);
}

/* ---- creation and changes ---------------------------------------------------------- */

struct cg_sampler *cg_sampler_create(struct cg_cache *cache, size_t columns)
{
    struct cg_sampler *sampler = calloc(1, sizeof *sampler);
    char *text = malloc(FIRST_TEXT);
    if (sampler == NULL || text == NULL || !cg_scratch_init(&sampler->scratch)) {
        free(sampler);
        free(text);
        return NULL;
    }
    atomic_init(&sampler->references, 1);
    cg_guard_create(cache, &sampler->guard);
    sampler->batch.cache = cg_cache_retain(cache);
    sampler->columns = columns;
    sampler->text = text;
    sampler->text_capacity = FIRST_TEXT;
    sampler->checked = now();
    return sampler;
}

static void free_row(struct cg_sampler *sampler, struct row *row)
{
    for (uint32_t i = row->first; i < row->first + row->count; i++) {
        if (sampler->sources[i].file != NULL)
            cg_file_destroy(sampler->sources[i].file);
    }
    cg_file_destroy(row->directory);
    free(row->path);
}

struct cg_sampler *cg_sampler_retain(struct cg_sampler *sampler)
{
    atomic_fetch_add_explicit(&sampler->references, 1, memory_order_relaxed);
    return sampler;
}

struct cg_cache *cg_sampler_cache(struct cg_sampler *sampler)
{
    return sampler->batch.cache;
}

void cg_sampler_destroy(struct cg_sampler *sampler)
{
    if (atomic_fetch_sub_explicit(&sampler->references, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < sampler->count; i++)
        free_row(sampler, &sampler->rows[i]);
    for (size_t i = 0; i < sampler->program_count; i++)
        cg_program_destroy(sampler->programs[i]);
    cg_guard_destroy(sampler->batch.cache, &sampler->guard);
    cg_cache_destroy(sampler->batch.cache);
    free(sampler->programs);
    free(sampler->rows);
    free(sampler->sources);
    free(sampler->batch.files);
    free(sampler->batch.fds);
    free(sampler->text);
    cg_scratch_clear(&sampler->scratch);
    free(sampler);
}

static int add_program(struct cg_sampler *sampler, const char *name, int shape, const struct cg_target *targets,
                       size_t count)
{
    struct cg_program **all = realloc(sampler->programs, (sampler->program_count + 1) * sizeof(struct cg_program *));
    if (all == NULL)
        return -ENOMEM;
    sampler->programs = all;
    struct cg_program *program = cg_program_create(name, shape, targets, count, sampler->columns);
    if (program == NULL)
        return -errno;
    all[sampler->program_count++] = program;
    return 0;
}

int cg_sampler_program(struct cg_sampler *sampler, const char *name, int shape, const struct cg_target *targets,
                       size_t count, uint32_t *program_ret)
{
    lock(sampler);
    *program_ret = (uint32_t)sampler->program_count;
    int status = add_program(sampler, name, shape, targets, count);
    unlock(sampler);
    return status;
}

static bool reserve_rows(struct cg_sampler *sampler, size_t sources)
{
    if (sampler->count == sampler->capacity) {
        size_t capacity = sampler->capacity ? 2 * sampler->capacity : 16;
        struct row *rows = realloc(sampler->rows, capacity * sizeof *rows);
        if (rows == NULL)
            return false;
        sampler->rows = rows;
        sampler->capacity = capacity;
    }
    size_t wanted = sampler->batch.count + sources;
    if (wanted > sampler->sources_capacity) {
        size_t capacity = wanted + wanted / 4;
        struct source *all = realloc(sampler->sources, capacity * sizeof *all);
        if (all != NULL)
            sampler->sources = all;
        struct cg_file **files = realloc(sampler->batch.files, capacity * sizeof(struct cg_file *));
        if (files != NULL)
            sampler->batch.files = files;
        int *fds = realloc(sampler->batch.fds, capacity * sizeof *fds);
        if (fds != NULL)
            sampler->batch.fds = fds;
        if (all == NULL || files == NULL || fds == NULL)
            return false;
        sampler->sources_capacity = capacity;
    }
    return true;
}

/* Creates the file "path/name", or "name" directly beneath the mount point. */
static struct cg_file *file_of(struct cg_sampler *sampler, struct cg_file *directory, const char *path,
                               const char *name)
{
    size_t size = strlen(path) + strlen(name) + 2;
    char *whole = malloc(size);
    if (whole == NULL)
        return NULL;
    *whole = '\0';
    if (*path != '\0')
        strcat(strcpy(whole, path), "/");
    strcat(whole, name);
    struct cg_file *file = cg_file_create(sampler->batch.cache, directory, whole, CG_FILE_NO_EVICT);
    free(whole);
    return file;
}

static bool add_row(struct cg_sampler *sampler, struct cg_file *directory, const char *path, const uint32_t *programs,
                    size_t count)
{
    if (!reserve_rows(sampler, count))
        return false;
    struct row *row = &sampler->rows[sampler->count];
    *row = (struct row){.path = strdup(path), .first = (uint32_t)sampler->batch.count};
    row->directory = cg_file_retain(directory);
    bool done = row->path != NULL;
    for (size_t i = 0; i < count && done; i++) {
        struct source *source = &sampler->sources[row->first + i];
        *source = (struct source){.row = (uint32_t)sampler->count};
        source->state.program = sampler->programs[programs[i]];
        source->file = file_of(sampler, directory, path, source->state.program->name);
        sampler->batch.files[row->first + i] = NULL;
        done = source->file != NULL;
        row->count++;
    }
    if (!done) {
        free_row(sampler, row);
        return false;
    }
    sampler->count++;
    sampler->looks[row->look]++;
    sampler->batch.count += count;
    sampler->batch.seen = 0;
    look_up(sampler, row);
    return true;
}

int cg_sampler_add(struct cg_sampler *sampler, struct cg_file *directory, const char *path, const uint32_t *programs,
                   size_t count)
{
    int status = 0;
    lock(sampler);
    for (size_t i = 0; i < count; i++) {
        if (programs[i] >= sampler->program_count)
            status = -EINVAL;
    }
    if (status == 0 && !add_row(sampler, directory, path, programs, count))
        status = -ENOMEM;
    unlock(sampler);
    return status;
}

void cg_sampler_remove(struct cg_sampler *sampler, const uint32_t *rows, size_t count)
{
    size_t kept = 0, sources = 0, next = 0;
    lock(sampler);
    for (size_t r = 0; r < sampler->count; r++) {
        struct row row = sampler->rows[r];
        if (next < count && rows[next] == r) {
            next++;
            sampler->gone -= row.error == ENODEV;
            sampler->looks[row.look]--;
            for (uint32_t i = row.first; i < row.first + row.count; i++)
                sampler->unknown -= sampler->sources[i].state.unknown;
            free_row(sampler, &row);
            continue;
        }
        for (uint32_t i = 0; i < row.count; i++) {
            sampler->sources[sources + i] = sampler->sources[row.first + i];
            sampler->sources[sources + i].row = (uint32_t)kept;
            sampler->batch.files[sources + i] = sampler->batch.files[row.first + i];
        }
        row.first = (uint32_t)sources;
        sources += row.count;
        sampler->rows[kept++] = row;
    }
    sampler->count = kept;
    sampler->batch.count = sources;
    sampler->batch.seen = 0;
    unlock(sampler);
}

size_t cg_sampler_unknown(struct cg_sampler *sampler, uint32_t *pairs_ret, size_t capacity)
{
    size_t count = 0;
    lock(sampler);
    for (size_t i = 0; i < sampler->batch.count; i++) {
        const struct source *source = &sampler->sources[i];
        if (!source->state.unknown)
            continue;
        if (count < capacity) {
            pairs_ret[2 * count] = source->row;
            pairs_ret[2 * count + 1] = (uint32_t)(i - sampler->rows[source->row].first);
        }
        count++;
    }
    unlock(sampler);
    return count;
}
