/* cg_layouts.c - converts the text of a control file to the cells of its row.
 *
 * A text with a new layout is parsed by its shape, its numbers are found by name,
 * and the layout is learned.  Later texts are only compared between their
 * numbers, and the numbers are converted. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cg_layouts.h"
#include "cg_scan.h"

enum { FIRST_CELLS = 256 };

/* ---- cells -------------------------------------------------------------------- */

static bool is_number_cell(uint8_t status)
{
    return status == CG_CELL_OK || status == CG_CELL_RANGE;
}

/* Returns the number of an OK or RANGE cell. */
static __int128 exact(uint8_t status, int64_t value)
{
    return status == CG_CELL_RANGE ? (__int128)(uint64_t)value : value;
}

/* Returns the status of a cell with this number, and its value and errno. */
static uint8_t cell_of(__int128 number, int64_t *value_ret, int *error_ret)
{
    bool fits = number >= INT64_MIN && number <= UINT64_MAX;
    *value_ret = fits ? (int64_t)(uint64_t)number : 0;
    *error_ret = fits ? 0 : EOVERFLOW;
    return !fits ? CG_CELL_ERROR : number > INT64_MAX ? CG_CELL_RANGE : CG_CELL_OK;
}

static void put(const struct cg_row_cells *cells, const struct cg_target *target, uint8_t status, int64_t value,
                int error)
{
    int32_t column = target->column;
    if (column < 0)
        return;
    uint8_t *had = &cells->statuses[column];
    int64_t *to = &cells->values[column];
    if (target->flags & CG_TARGET_FALLBACK && *had != CG_CELL_ABSENT)
        return;
    if (target->flags & CG_TARGET_ADD) {
        if (*had != CG_CELL_OK && *had != CG_CELL_MAX && *had != CG_CELL_RANGE)
            return;
        if (is_number_cell(status) && *had == CG_CELL_MAX)
            return;
        if (is_number_cell(status))
            status = cell_of(exact(*had, *to) + exact(status, value), &value, &error);
    }
    *to = value;
    *had = status;
    cells->errors[column] = error;
}

static void put_number(const struct cg_row_cells *cells, const struct cg_target *target, uint8_t kind, uint64_t number)
{
    int64_t value = (int64_t)number, scale = target->scale;
    int error = 0;
    bool unset = kind == CG_NEGATIVE && value == -1 && target->flags & CG_TARGET_MINUS_ONE_IS_MAX;
    bool beyond = kind == CG_UINT && target->threshold > 0 && number >= target->threshold;
    if (kind == CG_MAX || unset || beyond) {
        put(cells, target, CG_CELL_MAX, INT64_MAX, 0);
        return;
    }
    if (kind == CG_NEGATIVE && !(target->flags & CG_TARGET_SIGNED)) {
        put(cells, target, CG_CELL_ERROR, 0, EBADMSG);
        return;
    }
    if (target->flags & CG_TARGET_CENTI && kind != CG_CENTI)
        scale *= 100;
    bool within = kind != CG_UINT || number <= INT64_MAX;
    uint8_t status = CG_CELL_OK;
    if (!within || __builtin_mul_overflow((int64_t)number, scale, &value))
        status = cell_of((within ? (__int128)(int64_t)number : (__int128)number) * scale, &value, &error);
    put(cells, target, status, value, error);
}

/* Writes a number to this target and to all following ones of the same number. */
static void put_all(const struct cg_row_cells *cells, const struct cg_program *program, size_t target, uint8_t kind,
                    uint64_t number)
{
    do
        put_number(cells, &program->targets[target], kind, number);
    while (++target < program->count && program->targets[target].flags & CG_TARGET_SHARED_NUMBER);
}

void cg_put_failure(const struct cg_row_cells *cells, const struct cg_program *program, uint8_t status, int error)
{
    for (size_t i = 0; i < program->count; i++)
        put(cells, &program->targets[i], status, 0, error);
}

/* ---- memory ------------------------------------------------------------------- */

static bool reserve_numbers(struct cg_scratch *scratch, size_t count)
{
    if (count <= scratch->capacity)
        return true;
    uint64_t *numbers = realloc(scratch->numbers, count * sizeof *numbers);
    if (numbers != NULL)
        scratch->numbers = numbers;
    uint8_t *kinds = realloc(scratch->kinds, count);
    if (kinds != NULL)
        scratch->kinds = kinds;
    if (numbers == NULL || kinds == NULL)
        return false;
    scratch->capacity = count;
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

bool cg_scratch_init(struct cg_scratch *scratch)
{
    *scratch = (struct cg_scratch){0};
    return grow_cells(&scratch->cells);
}

void cg_scratch_clear(struct cg_scratch *scratch)
{
    free(scratch->numbers);
    free(scratch->kinds);
    free(scratch->cells.value);
}

/* ---- programs ------------------------------------------------------------------ */

/* Whether the numbers of a shape are whole fields, which a layout requires; those
 * of CG_RANGES may share a field. */
static bool has_numbers(int shape)
{
    return shape == CG_VALUE || shape == CG_VALUES || shape == CG_KEYED || shape == CG_NESTED || shape == CG_TRIPLES;
}

static bool is_valid(int shape, const struct cg_target *targets, size_t count, size_t columns)
{
    for (size_t i = 0; i < count; i++) {
        if (targets[i].column >= 0 && (size_t)targets[i].column >= columns)
            return false;
    }
    return has_numbers(shape);
}

/* Returns the target of a program with a single plain number, or NULL. */
static const struct cg_target *simple_of(int shape, const struct cg_target *target, size_t count)
{
    bool simple = shape == CG_VALUE && count == 1 && target->column >= 0 && target->scale == 1 &&
                  (target->flags & ~(unsigned)(CG_TARGET_MINUS_ONE_IS_MAX | CG_TARGET_SIGNED)) == 0 &&
                  target->ordinal == 0 && !*target->row && !*target->key;
    return simple ? target : NULL;
}

/* Copies a string to *at and advances *at past it. */
static const char *copy(char **at, const char *text)
{
    char *from = *at;
    *at = stpcpy(from, text) + 1;
    return from;
}

struct cg_program *cg_program_create(const char *name, int shape, const struct cg_target *targets, size_t count,
                                     size_t columns)
{
    size_t size = strlen(name) + 1;
    if (!is_valid(shape, targets, count, columns)) {
        errno = EINVAL;
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        size += strlen(targets[i].row) + strlen(targets[i].key) + 2;
    struct cg_program *program = calloc(1, sizeof *program + count * sizeof *targets + size);
    if (program == NULL)
        return NULL;
    struct cg_target *own = (struct cg_target *)(program + 1);
    char *at = (char *)(own + count);
    program->name = copy(&at, name);
    for (size_t i = 0; i < count; i++) {
        own[i] = targets[i];
        own[i].row = copy(&at, targets[i].row);
        own[i].key = copy(&at, targets[i].key);
    }
    program->shape = shape;
    program->targets = own;
    program->count = count;
    program->simple = simple_of(shape, own, count);
    return program;
}

void cg_program_destroy(struct cg_program *program)
{
    for (unsigned place = 0; place < program->known_count; place++)
        free(program->known[place].memory);
    free(program);
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

/* Returns the index of a number's first target, or -1; the targets are mostly in text order. */
static int32_t find_target(const struct cg_program *program, size_t *hint, const char *text, struct cg_slice row,
                           size_t key, size_t key_length, uint32_t ordinal)
{
    size_t row_length = (size_t)(row.to - row.from);
    for (size_t step = 0; step < program->count; step++) {
        size_t i = (*hint + step) % program->count;
        const struct cg_target *target = &program->targets[i];
        if (target->flags & CG_TARGET_SHARED_NUMBER || target->ordinal != ordinal)
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

/* Returns the slot for a new layout of `numbers` numbers, or NULL if out of memory. */
static struct cg_known *make_room(struct cg_program *program, size_t length, size_t numbers)
{
    size_t ends = (numbers + 1) * sizeof(uint32_t), targets = numbers * sizeof(int32_t);
    void *memory = malloc(ends + targets + length);
    if (memory == NULL)
        return NULL;
    unsigned place = program->known_count < CG_KNOWN_MAX ? program->known_count++ : program->next++ % CG_KNOWN_MAX;
    struct cg_known *known = &program->known[place];
    free(known->memory);
    known->memory = memory;
    known->layout.ends = memory;
    known->targets = (int32_t *)((char *)memory + ends);
    known->layout.literals = (char *)memory + ends + targets;
    known->layout.count = numbers;
    known->layout.shape = program->shape;
    known->unknown = false;
    return known;
}

/* Learns the layout of a text from its cells. */
static void learn(struct cg_program *program, const char *text, size_t length, const struct cg_cells *cells,
                  const int32_t *targets, struct cg_text_state *state)
{
    size_t numbers = 0, at = 0, to = 0, i = 0;
    for (size_t c = 0; c < cells->count; c++)
        numbers += is_number(cells->kind[c]);
    struct cg_known *known = make_room(program, length, numbers);
    if (known == NULL)
        return; /* slower, but correct */
    uint32_t *ends = known->memory;
    char *literals = (char *)known->memory + (numbers + 1) * sizeof *ends + numbers * sizeof *targets;
    for (size_t c = 0; c < cells->count; c++) {
        if (!is_number(cells->kind[c]))
            continue;
        memcpy(literals + to, text + at, cells->start[c] - at);
        to += cells->start[c] - at;
        at = number_end(text, length, cells->start[c]);
        known->targets[i] = targets[c];
        known->unknown |= targets[c] < 0;
        ends[i++] = (uint32_t)to;
    }
    memcpy(literals + to, text + at, length - at);
    ends[i] = (uint32_t)(to + length - at);
    state->layout = (uint8_t)(known - program->known);
}

/* ---- one text ------------------------------------------------------------------- */

static bool try_known(struct cg_scratch *scratch, const struct cg_row_cells *cells, struct cg_text_state *state,
                      unsigned place, const char *text, size_t length)
{
    const struct cg_known *known = &state->program->known[place];
    size_t count = known->layout.count;
    if (!reserve_numbers(scratch, count) ||
        cg_parse_layout(&known->layout, text, length, scratch->numbers, scratch->kinds) != CG_OK)
        return false;
    state->layout = (uint8_t)place;
    state->unknown |= known->unknown;
    for (size_t i = 0; i < count; i++) {
        if (known->targets[i] >= 0)
            put_all(cells, state->program, (size_t)known->targets[i], scratch->kinds[i], scratch->numbers[i]);
    }
    return true;
}

static void put_parsed(struct cg_scratch *scratch, const struct cg_row_cells *cells, struct cg_text_state *state,
                       const char *text, size_t length)
{
    const struct cg_program *program = state->program;
    struct cg_cells *parsed = &scratch->cells;
    size_t offset, hint = 0;
    int status;
    while ((status = cg_parse(program->shape, text, length, parsed, &offset)) == CG_SPACE) {
        if (!grow_cells(parsed)) {
            cg_put_failure(cells, program, CG_CELL_ERROR, ENOMEM);
            return;
        }
    }
    if (status != CG_OK || !cg_is_whole(program->shape, text, length)) {
        cg_put_failure(cells, program, CG_CELL_ERROR, EBADMSG);
        return;
    }
    int32_t *targets = malloc((parsed->count + 1) * sizeof *targets);
    struct cg_slice row = {text, text};
    uint32_t ordinal = 0;
    bool plain = true; /* every sampled cell is a number, which a layout requires */
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
                state->unknown = true;
        } else if (target >= 0) {
            put(cells, &program->targets[target], CG_CELL_ERROR, 0, EBADMSG);
            plain = false;
        }
    }
    if (targets != NULL && plain)
        learn(state->program, text, length, parsed, targets, state);
    free(targets);
}

void cg_put_text(struct cg_scratch *scratch, const struct cg_row_cells *cells, struct cg_text_state *state,
                 const char *text, size_t length)
{
    const struct cg_program *program = state->program;
    if (state->layout < program->known_count && try_known(scratch, cells, state, state->layout, text, length))
        return;
    for (unsigned place = 0; place < program->known_count; place++) {
        if (place != state->layout && try_known(scratch, cells, state, place, text, length))
            return;
    }
    put_parsed(scratch, cells, state, text, length);
}
