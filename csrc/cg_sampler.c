/* cg_sampler.c - rows of cgroups and columns of numbers, read in one call.
 *
 * In the steady state a frame is one pread a file, the compare of what stands
 * between its numbers, and their conversion: nothing is allocated or opened.
 * All else is for what changes: a text of a new layout is parsed by its shape
 * and its numbers found by name, and the layout is learned; a row whose
 * cgroup went is looked for at the next frame, under its name. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "cg_scan.h"

enum {
    KNOWN_MAX = 8, /* layouts of one program: cgroups differ, as a root does */
    FIRST_TEXT = 1 << 16,
    FIRST_CELLS = 256,
};
static const int64_t LOOK_AGAIN = 1000000000; /* ns, for a file that is not there */

/* A layout, and the first target of each of its numbers, or -1. */
struct known {
    struct cg_layout layout;
    int32_t *targets;
    void *memory; /* literals, ends and targets */
};

/* A program and the layouts that its files were seen to have. */
struct learned {
    const struct cg_program *program;
    struct known known[KNOWN_MAX];
    unsigned count;
    unsigned next; /* to be learned anew when all places are taken */
};

/* One control file of one row. */
struct source {
    struct cg_file *file;
    struct learned *learned;
    const struct cg_target *simple; /* what its one number is, if it is one, as it stands */
    uint32_t row;
    uint8_t layout; /* that fitted last */
    bool unknown;   /* it had a number without a target */
    const char *name;
};

struct row {
    struct cg_file *directory;
    char *path;
    uint64_t inode;
    uint32_t first; /* of its sources */
    uint32_t count;
    bool gone;   /* to be looked for before the next frame */
    bool absent; /* some of its files are not there */
};

struct cg_sampler {
    struct cg_guard guard; /* one frame at a time */
    size_t columns;
    struct row *rows;
    size_t count, capacity;
    struct source *sources;
    size_t sources_capacity;
    struct cg_batch batch; /* the file of each source, or NULL while it is not there */
    struct learned **learned;
    size_t learned_count;
    char *text;
    size_t text_capacity;
    uint64_t *numbers; /* of one text, with their kinds */
    uint8_t *kinds;
    size_t numbers_capacity;
    struct cg_cells cells;
    size_t missing; /* rows that are gone */
    size_t lacking; /* rows some of whose files are not there */
    int64_t looked; /* when those were looked for last */
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

/* ---- cells -------------------------------------------------------------------- */

/* The row of a frame that a source writes to. */
struct cells {
    int64_t *values;
    uint8_t *statuses;
    int32_t *errors;
};

static struct cells cells_of(const struct cg_sampler *sampler, const struct cg_frame *frame, uint32_t row)
{
    size_t at = row * sampler->columns;
    return (struct cells){frame->values + at, frame->statuses + at, frame->errors + at};
}

static void put(const struct cells *cells, const struct cg_target *target, uint8_t status, int64_t value, int error)
{
    int32_t column = target->column;
    if (column < 0)
        return;
    uint8_t *had = &cells->statuses[column];
    int64_t *to = &cells->values[column];
    if (target->flags & CG_TARGET_SECOND && *had != CG_CELL_ABSENT)
        return;
    if (target->flags & CG_TARGET_ADD) {
        if (*had != CG_CELL_OK && *had != CG_CELL_MAX && *had != CG_CELL_RANGE)
            return;
        if (status == CG_CELL_OK && *had != CG_CELL_OK)
            return;
        if (status == CG_CELL_OK && __builtin_add_overflow(*to, value, &value)) {
            status = CG_CELL_RANGE;
            value = INT64_MAX;
        }
    }
    *to = value;
    *had = status;
    cells->errors[column] = error;
}

static void put_number(const struct cells *cells, const struct cg_target *target, uint8_t kind, uint64_t number)
{
    int64_t value = (int64_t)number, scale = target->scale;
    bool unset = kind == CG_NEGATIVE && value == -1 && target->flags & CG_TARGET_UNSET;
    bool beyond = kind == CG_UINT && target->threshold > 0 && number >= target->threshold;
    if (kind == CG_MAX || unset || beyond) {
        put(cells, target, CG_CELL_MAX, INT64_MAX, 0);
        return;
    }
    if (target->flags & CG_TARGET_CENTI && kind != CG_CENTI)
        scale *= 100;
    bool over = kind == CG_UINT && number > INT64_MAX;
    if (scale != 1)
        over |= __builtin_mul_overflow(value, scale, &value);
    if (over)
        put(cells, target, CG_CELL_RANGE, INT64_MAX, 0);
    else
        put(cells, target, CG_CELL_OK, value, 0);
}

/* All targets of the number of this one. */
static void put_all(const struct cells *cells, const struct cg_program *program, size_t target, uint8_t kind,
                    uint64_t number)
{
    do
        put_number(cells, &program->targets[target], kind, number);
    while (++target < program->count && program->targets[target].flags & CG_TARGET_SAME);
}

static void put_failure(const struct cells *cells, const struct cg_program *program, uint8_t status, int error)
{
    for (size_t i = 0; i < program->count; i++)
        put(cells, &program->targets[i], status, 0, error);
}

/* ---- learning layouts -------------------------------------------------------- */

static bool is_number(uint8_t kind)
{
    return kind == CG_UINT || kind == CG_NEGATIVE || kind == CG_MAX || kind == CG_CENTI;
}

static size_t number_end(const char *text, size_t length, size_t at)
{
    while (at < length && !cg_is_blank(text[at]) && text[at] != '\n')
        at++;
    return at;
}

/* Where a number goes: the targets are mostly in the order of the text. */
static int32_t find_target(const struct cg_program *program, size_t *hint, const char *text, struct cg_slice row,
                           size_t key, size_t key_length, uint32_t ordinal)
{
    size_t row_length = (size_t)(row.to - row.from);
    for (size_t step = 0; step < program->count; step++) {
        size_t i = (*hint + step) % program->count;
        const struct cg_target *target = &program->targets[i];
        if (target->flags & CG_TARGET_SAME || target->ordinal != ordinal)
            continue;
        if (strncmp(target->key, text + key, key_length) != 0 || target->key[key_length] != '\0')
            continue;
        if (strncmp(target->row, row.from, row_length) != 0 || target->row[row_length] != '\0')
            continue;
        *hint = i + 1;
        return (int32_t)i;
    }
    return -1;
}

/* The place for one more layout of as many numbers, or NULL when out of memory. */
static struct known *make_room(struct learned *learned, size_t length, size_t numbers)
{
    size_t ends = (numbers + 1) * sizeof(uint32_t), targets = numbers * sizeof(int32_t);
    void *memory = malloc(ends + targets + length);
    if (memory == NULL)
        return NULL;
    unsigned place = learned->count < KNOWN_MAX ? learned->count++ : learned->next++ % KNOWN_MAX;
    struct known *known = &learned->known[place];
    free(known->memory);
    known->memory = memory;
    known->layout.ends = memory;
    known->targets = (int32_t *)((char *)memory + ends);
    known->layout.literals = (char *)memory + ends + targets;
    known->layout.count = numbers;
    return known;
}

/* From a text and its cells. */
static void learn(struct learned *learned, const char *text, size_t length, const struct cg_cells *cells,
                  const int32_t *targets, struct source *source)
{
    size_t numbers = 0, at = 0, to = 0, i = 0;
    for (size_t c = 0; c < cells->count; c++)
        numbers += is_number(cells->kind[c]);
    struct known *known = make_room(learned, length, numbers);
    if (known == NULL)
        return; /* slower, and right */
    uint32_t *ends = known->memory;
    char *literals = (char *)known->memory + (numbers + 1) * sizeof *ends + numbers * sizeof *targets;
    for (size_t c = 0; c < cells->count; c++) {
        if (!is_number(cells->kind[c]))
            continue;
        memcpy(literals + to, text + at, cells->start[c] - at);
        to += cells->start[c] - at;
        at = number_end(text, length, cells->start[c]);
        known->targets[i] = targets[c];
        ends[i++] = (uint32_t)to;
    }
    memcpy(literals + to, text + at, length - at);
    ends[i] = (uint32_t)(to + length - at);
    source->layout = (uint8_t)(known - learned->known);
}

/* ---- one text ------------------------------------------------------------------- */

static bool reserve_numbers(struct cg_sampler *sampler, size_t count)
{
    if (count <= sampler->numbers_capacity)
        return true;
    uint64_t *numbers = realloc(sampler->numbers, count * sizeof *numbers);
    if (numbers != NULL)
        sampler->numbers = numbers;
    uint8_t *kinds = realloc(sampler->kinds, count);
    if (kinds != NULL)
        sampler->kinds = kinds;
    if (numbers == NULL || kinds == NULL)
        return false;
    sampler->numbers_capacity = count;
    return true;
}

static bool grow_cells(struct cg_cells *cells)
{
    size_t capacity = cells->capacity ? 2 * cells->capacity : FIRST_CELLS;
    free(cells->value);
    char *memory = malloc(capacity * (sizeof *cells->value + 3 * sizeof *cells->key + sizeof *cells->kind));
    cells->value = (uint64_t *)(void *)memory;
    if (memory == NULL) {
        cells->capacity = 0;
        return false;
    }
    cells->key = (uint32_t *)(cells->value + capacity);
    cells->key_end = cells->key + capacity;
    cells->start = cells->key_end + capacity;
    cells->kind = (uint8_t *)(cells->start + capacity);
    cells->capacity = capacity;
    return true;
}

/* Most files are one number, and most numbers are plain, or `max`. */
static bool put_simple(const struct cells *cells, const struct cg_target *target, const char *text, size_t length)
{
    int64_t value = cg_one_number(text, length);
    if (value < -1)
        return false;
    bool none = value == -1 || (target->threshold > 0 && (uint64_t)value >= target->threshold);
    cells->values[target->column] = none ? INT64_MAX : value;
    cells->statuses[target->column] = none ? CG_CELL_MAX : CG_CELL_OK;
    return true;
}

static bool try_known(struct cg_sampler *sampler, const struct cells *cells, struct source *source, unsigned place,
                      const char *text, size_t length)
{
    const struct known *known = &source->learned->known[place];
    size_t count = known->layout.count;
    if (!reserve_numbers(sampler, count) ||
        cg_parse_layout(&known->layout, text, length, sampler->numbers, sampler->kinds) != CG_OK)
        return false;
    source->layout = (uint8_t)place;
    for (size_t i = 0; i < count; i++) {
        if (known->targets[i] >= 0)
            put_all(cells, source->learned->program, (size_t)known->targets[i], sampler->kinds[i], sampler->numbers[i]);
    }
    return true;
}

static void put_parsed(struct cg_sampler *sampler, const struct cells *cells, struct source *source, const char *text,
                       size_t length)
{
    const struct cg_program *program = source->learned->program;
    struct cg_cells *parsed = &sampler->cells;
    size_t offset, hint = 0;
    int status;
    while ((status = cg_parse(program->shape, text, length, parsed, &offset)) == CG_SPACE) {
        if (!grow_cells(parsed)) {
            put_failure(cells, program, CG_CELL_ERROR, ENOMEM);
            return;
        }
    }
    if (status != CG_OK) {
        put_failure(cells, program, CG_CELL_ERROR, EBADMSG);
        return;
    }
    int32_t *targets = malloc((parsed->count + 1) * sizeof *targets);
    struct cg_slice row = {text, text};
    uint32_t ordinal = 0;
    bool plain = true; /* each that is wanted is a number, as a layout has it */
    for (size_t c = 0; c < parsed->count; c++) {
        size_t key = parsed->key[c], key_length = parsed->key_end[c] - key;
        if (parsed->kind[c] == CG_ROW) {
            row = (struct cg_slice){text + key, text + key + key_length};
            ordinal = 0;
            continue;
        }
        int32_t target = find_target(program, &hint, text, row, key, key_length, key_length ? 0 : ordinal++);
        if (targets != NULL)
            targets[c] = target;
        if (is_number(parsed->kind[c])) {
            if (target >= 0)
                put_all(cells, program, (size_t)target, parsed->kind[c], parsed->value[c]);
            else
                source->unknown = true;
        } else if (target >= 0) {
            put(cells, &program->targets[target], CG_CELL_ERROR, 0, EBADMSG);
            plain = false;
        }
    }
    if (targets != NULL && plain)
        learn(source->learned, text, length, parsed, targets, source);
    free(targets);
}

static void put_text(struct cg_sampler *sampler, const struct cells *cells, struct source *source, const char *text,
                     size_t length)
{
    struct learned *learned = source->learned;
    if (source->layout < learned->count && try_known(sampler, cells, source, source->layout, text, length))
        return;
    for (unsigned place = 0; place < learned->count; place++) {
        if (place != source->layout && try_known(sampler, cells, source, place, text, length))
            return;
    }
    put_parsed(sampler, cells, source, text, length);
}

/* ---- rows that come and go ------------------------------------------------------- */

static void mark_gone(struct cg_sampler *sampler, struct row *row)
{
    if (!row->gone)
        sampler->missing++;
    row->gone = true;
}

static void mark_absent(struct cg_sampler *sampler, struct row *row)
{
    if (!row->absent)
        sampler->lacking++;
    row->absent = true;
}

/* A file that is not there is not read. */
static void leave_out(struct cg_sampler *sampler, size_t i)
{
    sampler->batch.files[i] = NULL;
    sampler->batch.fds[i] = -1;
}

/* Opens a source beneath its row's own directory, so that it is of that inode. */
static void open_source(struct cg_sampler *sampler, size_t i, int directory)
{
    struct source *source = &sampler->sources[i];
    struct stat found;
    int fd, error;
    leave_out(sampler, i);
    if (cg_open_beneath(directory, source->name, O_RDONLY, &fd, &error) != CG_OK) {
        mark_absent(sampler, &sampler->rows[source->row]);
        return;
    }
    cg_file_adopt(source->file, fd, fstat(fd, &found) == 0 ? found.st_ino : 0);
    sampler->batch.files[i] = source->file;
    sampler->batch.seen = 0;
}

/* Looks a row up under its name.  Where it is the cgroup that it was, only
 * what was not there is opened. */
static void look_up(struct cg_sampler *sampler, struct row *row)
{
    struct stat found;
    int fd CG_CLOSE = -1;
    int error;
    if (cg_file_open(row->directory, row->path, O_PATH | O_DIRECTORY, &fd, &error) != CG_OK || fstat(fd, &found) < 0) {
        mark_gone(sampler, row);
        return;
    }
    bool same = found.st_ino == row->inode && !row->gone;
    sampler->missing -= row->gone;
    sampler->lacking -= row->absent;
    row->gone = row->absent = false;
    row->inode = found.st_ino;
    for (uint32_t i = row->first; i < row->first + row->count; i++) {
        if (!same || sampler->batch.files[i] == NULL)
            open_source(sampler, i, fd);
    }
}

static void look_for_missing(struct cg_sampler *sampler, int64_t time)
{
    bool again = sampler->lacking > 0 && time - sampler->looked >= LOOK_AGAIN;
    if (sampler->missing == 0 && !again)
        return;
    for (size_t i = 0; i < sampler->count; i++) {
        struct row *row = &sampler->rows[i];
        if (row->gone || (again && row->absent))
            look_up(sampler, row);
    }
    if (again)
        sampler->looked = time;
}

/* What a file that cannot be read says of its row: the cgroup is gone, or the
 * controller was taken away from it. */
static uint8_t what_is_gone(struct cg_sampler *sampler, struct source *source, size_t i)
{
    struct row *row = &sampler->rows[source->row];
    if (row->gone || cg_file_inode(row->directory, row->path) != (int64_t)row->inode) {
        mark_gone(sampler, row);
        return CG_CELL_GONE;
    }
    leave_out(sampler, i);
    mark_absent(sampler, row);
    return CG_CELL_ABSENT;
}

/* ---- a frame ------------------------------------------------------------------------ */

struct reading {
    struct cg_sampler *sampler;
    struct cg_frame *frame;
    bool small; /* some text did not fit */
};

enum { AGAIN = 255 }; /* the status of cells to be read once more */

static void got(void *context, size_t i, int status, int error, const char *text, size_t length)
{
    struct reading *reading = context;
    struct cg_sampler *sampler = reading->sampler;
    struct source *source = &sampler->sources[i];
    struct cells cells = cells_of(sampler, reading->frame, source->row);
    if (source->simple != NULL && status == CG_OK && put_simple(&cells, source->simple, text, length))
        return;
    if (status == CG_OK) {
        put_text(sampler, &cells, source, text, length);
    } else if (status == CG_SPACE) {
        reading->small = true;
        source->layout = AGAIN;
    } else if (status == CG_OS && error != ENODEV && error != ENOENT && error != ESTALE) {
        put_failure(&cells, source->learned->program, CG_CELL_ERROR, error);
    } else {
        uint8_t what = status == CG_FOREIGN ? CG_CELL_GONE : what_is_gone(sampler, source, i);
        put_failure(&cells, source->learned->program, what, what == CG_CELL_GONE ? ENODEV : ENOENT);
    }
}

/* Once for a file that has outgrown the memory for texts. */
static void read_larger(struct reading *reading)
{
    struct cg_sampler *sampler = reading->sampler;
    char *text = realloc(sampler->text, 2 * sampler->text_capacity);
    reading->small = false;
    if (text != NULL) {
        sampler->text = text;
        sampler->text_capacity *= 2;
    }
    for (size_t i = 0; i < sampler->batch.count; i++) {
        struct source *source = &sampler->sources[i];
        if (source->layout != AGAIN)
            continue;
        source->layout = 0;
        if (text == NULL) {
            struct cells cells = cells_of(sampler, reading->frame, source->row);
            put_failure(&cells, source->learned->program, CG_CELL_ERROR, ENOMEM);
            continue;
        }
        struct reading one = {sampler, reading->frame, false};
        cg_batch_read_one(&sampler->batch, i, sampler->text, sampler->text_capacity, got, &one);
        reading->small |= one.small;
    }
}

static void put_missing(struct cg_sampler *sampler, struct cg_frame *frame)
{
    for (size_t r = 0; r < sampler->count && sampler->missing + sampler->lacking > 0; r++) {
        struct row *row = &sampler->rows[r];
        if (!row->gone && !row->absent)
            continue;
        struct cells cells = cells_of(sampler, frame, (uint32_t)r);
        for (uint32_t i = row->first; i < row->first + row->count; i++) {
            if (row->gone)
                leave_out(sampler, i);
            if (sampler->batch.files[i] == NULL)
                put_failure(&cells, sampler->sources[i].learned->program, row->gone ? CG_CELL_GONE : CG_CELL_ABSENT,
                            row->gone ? ENODEV : ENOENT);
        }
    }
}

static void read_all(struct cg_sampler *sampler, struct cg_frame *frame)
{
    size_t cells = sampler->count * sampler->columns;
    look_for_missing(sampler, now());
    frame->timestamp = now();
    memset(frame->values, 0, cells * sizeof *frame->values);
    memset(frame->statuses, CG_CELL_ABSENT, cells);
    memset(frame->errors, 0, cells * sizeof *frame->errors);
    for (size_t i = 0; i < sampler->count; i++)
        frame->inodes[i] = sampler->rows[i].inode;
    put_missing(sampler, frame);

    struct reading reading = {sampler, frame, false};
    cg_batch_read(&sampler->batch, sampler->text, sampler->text_capacity, got, &reading);
    while (reading.small)
        read_larger(&reading);
    frame->rows = sampler->count;
    frame->gone = sampler->missing;
    frame->duration = now() - frame->timestamp;
}

int cg_sampler_sample(struct cg_sampler *sampler, struct cg_frame *frame)
{
    int status = CG_SPACE;
    lock(sampler);
    if (frame->capacity >= sampler->count) {
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

/* ---- making and changing ---------------------------------------------------------- */

struct cg_sampler *cg_sampler_create(struct cg_cache *cache, size_t columns)
{
    struct cg_sampler *sampler = calloc(1, sizeof *sampler);
    char *text = malloc(FIRST_TEXT);
    if (sampler == NULL || text == NULL || !grow_cells(&sampler->cells)) {
        free(sampler);
        free(text);
        return NULL;
    }
    cg_guard_create(cache, &sampler->guard);
    sampler->batch.cache = cache;
    sampler->columns = columns;
    sampler->text = text;
    sampler->text_capacity = FIRST_TEXT;
    return sampler;
}

static void free_row(struct cg_sampler *sampler, struct row *row)
{
    for (uint32_t i = row->first; i < row->first + row->count; i++) {
        if (sampler->sources[i].file != NULL)
            cg_file_destroy(sampler->sources[i].file);
    }
    free(row->path);
}

void cg_sampler_destroy(struct cg_sampler *sampler)
{
    for (size_t i = 0; i < sampler->count; i++)
        free_row(sampler, &sampler->rows[i]);
    for (size_t i = 0; i < sampler->learned_count; i++) {
        for (unsigned place = 0; place < sampler->learned[i]->count; place++)
            free(sampler->learned[i]->known[place].memory);
        free(sampler->learned[i]);
    }
    cg_guard_destroy(sampler->batch.cache, &sampler->guard);
    free(sampler->learned);
    free(sampler->rows);
    free(sampler->sources);
    free(sampler->batch.files);
    free(sampler->batch.fds);
    free(sampler->text);
    free(sampler->numbers);
    free(sampler->kinds);
    free(sampler->cells.value);
    free(sampler);
}

/* The target of a program that is one plain number, or NULL. */
static const struct cg_target *simple_of(const struct cg_program *program)
{
    const struct cg_target *target = program->targets;
    bool simple = program->shape == CG_VALUE && program->count == 1 && target->column >= 0 && target->scale == 1 &&
                  (target->flags & ~(unsigned)CG_TARGET_UNSET) == 0 && target->ordinal == 0 && !*target->row &&
                  !*target->key;
    return simple ? target : NULL;
}

static struct learned *learned_of(struct cg_sampler *sampler, const struct cg_program *program)
{
    for (size_t i = sampler->learned_count; i-- > 0;) {
        if (sampler->learned[i]->program == program)
            return sampler->learned[i];
    }
    struct learned **all = realloc(sampler->learned, (sampler->learned_count + 1) * sizeof *all);
    if (all == NULL)
        return NULL;
    sampler->learned = all;
    struct learned *learned = calloc(1, sizeof *learned);
    if (learned == NULL)
        return NULL;
    learned->program = program;
    all[sampler->learned_count++] = learned;
    return learned;
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

/* "path/name", or the name alone beneath the mount point itself. */
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
    struct cg_file *file = cg_file_create(sampler->batch.cache, directory, whole, CG_FILE_MODEST);
    free(whole);
    return file;
}

static bool add_row(struct cg_sampler *sampler, struct cg_file *directory, const char *path, const char *const *names,
                    const struct cg_program *const *programs, size_t count)
{
    if (!reserve_rows(sampler, count))
        return false;
    struct row *row = &sampler->rows[sampler->count];
    *row = (struct row){.directory = directory, .path = strdup(path), .first = (uint32_t)sampler->batch.count};
    bool done = row->path != NULL;
    for (size_t i = 0; i < count && done; i++) {
        struct source *source = &sampler->sources[row->first + i];
        *source = (struct source){.row = (uint32_t)sampler->count, .layout = 0};
        source->learned = learned_of(sampler, programs[i]);
        source->simple = simple_of(programs[i]);
        source->name = names[i];
        source->file = file_of(sampler, directory, path, names[i]);
        sampler->batch.files[row->first + i] = NULL;
        done = source->learned != NULL && source->file != NULL;
        row->count++;
    }
    if (!done) {
        free_row(sampler, row);
        return false;
    }
    sampler->count++;
    sampler->batch.count += count;
    sampler->batch.seen = 0;
    look_up(sampler, row);
    return true;
}

int cg_sampler_add(struct cg_sampler *sampler, struct cg_file *directory, const char *path, const char *const *names,
                   const struct cg_program *const *programs, size_t count)
{
    lock(sampler);
    bool done = add_row(sampler, directory, path, names, programs, count);
    unlock(sampler);
    return done ? 0 : -ENOMEM;
}

void cg_sampler_remove(struct cg_sampler *sampler, const uint32_t *rows, size_t count)
{
    size_t kept = 0, sources = 0, next = 0;
    lock(sampler);
    for (size_t r = 0; r < sampler->count; r++) {
        struct row row = sampler->rows[r];
        if (next < count && rows[next] == r) {
            next++;
            sampler->missing -= row.gone;
            sampler->lacking -= row.absent;
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
        if (!source->unknown)
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
