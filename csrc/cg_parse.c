/* cg_parse.c - parses bytes into columns, with one function per shape.  No system calls.
 *
 * The Python backend has the same functions under the same names; a property
 * test compares the two, including values and offsets. */
#include "cg_scan.h"

/* A parse in progress.  The first failure is final; emit and fail then return
 * false, so every caller reads `if (!step) return;`. */
struct parse {
    struct cg_cursor cursor;
    struct cg_cells *cells;
    const char *failed_at;
    int status;
};

static const struct cg_slice NAMELESS = {NULL, NULL};

static bool fail(struct parse *parse, int status, const char *at)
{
    parse->status = status;
    parse->failed_at = at;
    return false;
}

static bool emit(struct parse *parse, enum cg_kind kind, uint64_t value, struct cg_slice key, const char *from)
{
    struct cg_cells *cells = parse->cells;
    size_t i = cells->count;
    if (i == cells->capacity)
        return fail(parse, CG_SPACE, parse->cursor.at);
    cells->value[i] = value;
    cells->kind[i] = (uint8_t)kind;
    cells->key[i] = key.from ? cg_offset(&parse->cursor, key.from) : 0;
    cells->key_end[i] = key.from ? cg_offset(&parse->cursor, key.to) : 0;
    cells->start[i] = from ? cg_offset(&parse->cursor, from) : 0;
    cells->count = i + 1;
    return true;
}

static bool emit_string(struct parse *parse, struct cg_slice text, struct cg_slice key)
{
    uint64_t from = cg_offset(&parse->cursor, text.from);
    return emit(parse, CG_STRING, from << 32 | cg_offset(&parse->cursor, text.to), key, text.from);
}

/* Reports an error at offset `at`. */
static bool emit_number(struct parse *parse, struct cg_slice field, struct cg_slice key, const char *at)
{
    uint8_t kind = CG_UINT;
    uint64_t value = 0;
    int status = cg_number(field, &kind, &value);
    return status ? fail(parse, status, at) : emit(parse, kind, value, key, field.from);
}

/* Returns the next field of the line; false at the line's end or for a bad field. */
static bool field(struct parse *parse, struct cg_slice *field_ret)
{
    enum cg_found found = cg_next_field(&parse->cursor, field_ret);
    if (found == CG_BAD)
        return fail(parse, CG_SYNTAX, field_ret->from);
    return found == CG_FOUND;
}

static bool word(struct parse *parse, struct cg_slice *field_ret)
{
    enum cg_found found = cg_next_word(&parse->cursor, field_ret);
    if (found == CG_BAD)
        return fail(parse, CG_SYNTAX, field_ret->from);
    return found == CG_FOUND;
}

/* Returns the first `wanted` fields of the line; the rest is checked and skipped. */
static int fields(struct parse *parse, struct cg_slice *fields_ret, int wanted)
{
    struct cg_slice next;
    int count = 0;
    while (field(parse, &next)) {
        if (count < wanted)
            fields_ret[count++] = next;
    }
    return count;
}

static void parse_value(struct parse *parse)
{
    struct cg_slice number, other;
    if (!word(parse, &number)) {
        if (!parse->status)
            fail(parse, CG_EMPTY, parse->cursor.end);
        return;
    }
    if (!emit_number(parse, number, NAMELESS, number.from))
        return;
    if (word(parse, &other))
        fail(parse, CG_SYNTAX, other.from);
}

static void parse_values(struct parse *parse)
{
    struct cg_slice number;
    while (word(parse, &number) && emit_number(parse, number, NAMELESS, number.from))
        ;
}

static void parse_keyed(struct parse *parse)
{
    do {
        struct cg_slice f[2];
        int count = fields(parse, f, 2);
        if (parse->status)
            return;
        if (count == 2 && !emit_number(parse, f[1], f[0], f[1].from))
            return;
        if (count == 1 && !emit(parse, CG_NONE, 0, f[0], NULL))
            return;
    } while (cg_next_line(&parse->cursor));
}

/* Whether a text is digits, a point and two digits, short enough for hundredths to fit. */
static bool is_centi(struct cg_slice text, uint64_t *value_ret)
{
    uint64_t whole, part;
    if (text.to - text.from < 4 || text.to - text.from > 18 || text.to[-3] != '.')
        return false;
    struct cg_slice before = {text.from, text.to - 3}, after = {text.to - 2, text.to};
    if (cg_digits(before, UINT64_MAX, &whole) || cg_digits(after, UINT64_MAX, &part))
        return false;
    *value_ret = whole * 100 + part;
    return true;
}

static bool emit_any(struct parse *parse, struct cg_slice text, struct cg_slice key, const char *at)
{
    uint8_t kind = CG_UINT;
    uint64_t value = 0;
    int status = cg_number(text, &kind, &value);
    if (status == CG_OK)
        return emit(parse, kind, value, key, text.from);
    if (status == CG_RANGE)
        return fail(parse, status, at);
    if (is_centi(text, &value))
        return emit(parse, CG_CENTI, value, key, text.from);
    return emit_string(parse, text, key);
}

static void parse_nested(struct parse *parse)
{
    do {
        struct cg_slice f;
        bool in_row = false;
        while (field(parse, &f)) {
            const char *equals = memchr(f.from, '=', (size_t)(f.to - f.from));
            if (equals == NULL) {
                if (!emit(parse, CG_ROW, 0, f, NULL))
                    return;
            } else {
                struct cg_slice key = {f.from, equals}, value = {equals + 1, f.to};
                if (equals == f.from) {
                    fail(parse, CG_SYNTAX, f.from);
                    return;
                }
                if (!in_row && !emit(parse, CG_ROW, 0, NAMELESS, NULL))
                    return;
                if (!emit_any(parse, value, key, f.from))
                    return;
            }
            in_row = true;
        }
    } while (!parse->status && cg_next_line(&parse->cursor));
}

static void parse_triples(struct parse *parse)
{
    struct cg_slice row = NAMELESS;
    bool in_row = false;
    do {
        struct cg_slice f[3];
        int count = fields(parse, f, 3);
        if (parse->status)
            return;
        if (count == 0)
            continue;
        struct cg_slice name = count == 2 ? NAMELESS : f[0];
        bool same = in_row && count != 1 && (name.from == NULL ? row.from == NULL : row.from && cg_equal(row, name));
        if (!same && !emit(parse, CG_ROW, 0, name, NULL))
            return;
        row = name;
        in_row = true;
        if (count > 1 && !emit_number(parse, f[count - 1], f[count - 2], f[count - 1].from))
            return;
    } while (cg_next_line(&parse->cursor));
}

static void parse_table(struct parse *parse)
{
    do {
        struct cg_slice f;
        if (field(parse, &f) && !emit(parse, CG_ROW, 0, f, NULL))
            return;
        while (!parse->status && field(parse, &f)) {
            uint8_t kind = CG_UINT;
            uint64_t value = 0;
            int status = cg_number(f, &kind, &value);
            if (status == CG_RANGE)
                fail(parse, status, f.from);
            else if (status == CG_OK)
                emit(parse, kind, value, NAMELESS, f.from);
            else
                emit_string(parse, f, NAMELESS);
        }
    } while (!parse->status && cg_next_line(&parse->cursor));
}

static bool parse_range(struct parse *parse, struct cg_slice item)
{
    const char *dash = memchr(item.from, '-', (size_t)(item.to - item.from));
    struct cg_slice first = {item.from, dash ? dash : item.to}, last = {dash ? dash + 1 : item.from, item.to};
    uint64_t low, high;
    int one = cg_digits(first, CG_RANGE_LAST, &low), two = cg_digits(last, CG_RANGE_LAST, &high);
    if (one == CG_SYNTAX || two == CG_SYNTAX)
        return fail(parse, CG_SYNTAX, item.from);
    if (one || two)
        return fail(parse, CG_RANGE, item.from);
    if (low > high)
        return fail(parse, CG_SYNTAX, item.from);
    return emit(parse, CG_UINT, low, NAMELESS, first.from) && emit(parse, CG_UINT, high, NAMELESS, last.from);
}

static void parse_ranges(struct parse *parse)
{
    struct cg_slice all, other;
    if (!word(parse, &all))
        return;
    for (const char *from = all.from;;) {
        const char *comma = memchr(from, ',', (size_t)(all.to - from));
        struct cg_slice item = {from, comma ? comma : all.to};
        if (!parse_range(parse, item))
            return;
        if (comma == NULL)
            break;
        from = comma + 1;
    }
    if (word(parse, &other))
        fail(parse, CG_SYNTAX, other.from);
}

static void parse_words(struct parse *parse)
{
    struct cg_slice f;
    while (word(parse, &f) && emit_string(parse, f, NAMELESS))
        ;
}

static void parse_text(struct parse *parse)
{
    struct cg_slice all = {parse->cursor.at, parse->cursor.end};
    if (all.from < all.to && all.to[-1] == '\n')
        all.to--;
    emit_string(parse, all, NAMELESS);
}

static void (*const PARSERS[])(struct parse *) = {
    [CG_VALUE] = parse_value,   [CG_VALUES] = parse_values,   [CG_KEYED] = parse_keyed,
    [CG_NESTED] = parse_nested, [CG_TRIPLES] = parse_triples, [CG_TABLE] = parse_table,
    [CG_RANGES] = parse_ranges, [CG_WORDS] = parse_words,     [CG_TEXT] = parse_text,
};

int cg_parse(int shape, const char *text, size_t length, struct cg_cells *cells_ret, size_t *offset_ret)
{
    struct parse parse = {.cursor = {text, text, text + length}, .cells = cells_ret};
    cells_ret->count = 0;
    *offset_ret = 0;
    if (shape < 0 || (size_t)shape >= sizeof PARSERS / sizeof *PARSERS)
        return CG_SYNTAX;
    if (length > UINT32_MAX)
        return CG_RANGE;
    PARSERS[shape](&parse);
    if (parse.status)
        *offset_ret = (size_t)(parse.failed_at - text);
    return parse.status;
}

/* ---- with a layout ----------------------------------------------------- */

/* memcmp for the few bytes of a key, without a call. */
static inline bool same_bytes(const char *a, const char *b, size_t length)
{
    uint64_t x, y;
    if (length < sizeof x) {
        while (length > 0 && a[length - 1] == b[length - 1])
            length--;
        return length == 0;
    }
    for (size_t at = 0; at < length - sizeof x; at += sizeof x) {
        memcpy(&x, a + at, sizeof x);
        memcpy(&y, b + at, sizeof y);
        if (x != y)
            return false;
    }
    memcpy(&x, a + length - sizeof x, sizeof x);
    memcpy(&y, b + length - sizeof y, sizeof y);
    return x == y;
}

/* Nineteen digits cannot overflow; a longer number is left to cg_parse. */
enum { SAFE_DIGITS = 19 };

/* Parses a number other than a plain unsigned one; false if cg_parse must decide. */
static bool other_number(int shape, const char **at, const char *end, uint64_t *value_ret, uint8_t *kind_ret)
{
    struct cg_slice number = {*at, *at};
    while (number.to < end && !cg_is_blank(*number.to) && *number.to != '\n')
        number.to++;
    *at = number.to;
    if (shape == CG_NESTED && is_centi(number, value_ret))
        *kind_ret = CG_CENTI;
    else if (cg_number(number, kind_ret, value_ret) != CG_OK)
        return false;
    return true;
}

int cg_parse_layout(const struct cg_layout *layout, const char *text, size_t length, uint64_t *values_ret,
                    uint8_t *kinds_ret)
{
    const char *at = text, *end = text + length;
    uint32_t from = 0;
    for (size_t i = 0; i <= layout->count; i++) {
        size_t literal = layout->ends[i] - from;
        if ((size_t)(end - at) < literal || !same_bytes(at, layout->literals + from, literal))
            return CG_LAYOUT;
        at += literal;
        from = layout->ends[i];
        if (i == layout->count)
            break;

        const char *digits = at;
        uint64_t value = 0;
        uint8_t kind = CG_UINT;
        while (at < end && cg_is_digit(*at))
            value = value * 10 + (uint64_t)(*at++ - '0');
        if (at == end || at == digits || (*at != '\n' && *at != ' ') || at - digits > SAFE_DIGITS) {
            at = digits;
            if (kinds_ret == NULL || !other_number(layout->shape, &at, end, &value, &kind))
                return CG_LAYOUT;
        }
        if (kinds_ret != NULL)
            kinds_ret[i] = kind;
        values_ret[i] = value;
    }
    return at == end ? CG_OK : CG_LAYOUT;
}
