/* cg_scan.h - a cursor over text: fields, lines, numbers.  Inline, no state. */
#ifndef CG_SCAN_H
#define CG_SCAN_H

#include <string.h>

#include "cg.h"

struct cg_cursor {
    const char *start;
    const char *at;
    const char *end;
};

/* A field, or any other slice of the text. */
struct cg_slice {
    const char *from;
    const char *to;
};

enum cg_found { CG_FOUND, CG_END, CG_BAD };

static inline uint32_t cg_offset(const struct cg_cursor *cursor, const char *at)
{
    return (uint32_t)(at - cursor->start);
}

static inline bool cg_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static inline bool cg_is_digit(char c)
{
    return (unsigned char)(c - '0') < 10;
}

static inline bool cg_equal(struct cg_slice a, struct cg_slice b)
{
    size_t length = (size_t)(a.to - a.from);
    return length == (size_t)(b.to - b.from) && memcmp(a.from, b.from, length) == 0;
}

/* Returns the next field of the line; CG_END at its newline, which stays unread.
 * A field with a control character is CG_BAD, and field_ret is that field. */
static inline enum cg_found cg_next_field(struct cg_cursor *cursor, struct cg_slice *field_ret)
{
    const char *at = cursor->at;
    while (at < cursor->end && cg_is_blank(*at))
        at++;
    const char *from = at;
    bool control = false;
    while (at < cursor->end && !cg_is_blank(*at) && *at != '\n') {
        control |= (unsigned char)*at < 0x20;
        at++;
    }
    cursor->at = at;
    *field_ret = (struct cg_slice){from, at};
    if (from == at)
        return CG_END;
    return control ? CG_BAD : CG_FOUND;
}

/* Skips the newline; false at the end of the text. */
static inline bool cg_next_line(struct cg_cursor *cursor)
{
    if (cursor->at == cursor->end)
        return false;
    cursor->at++;
    return cursor->at < cursor->end;
}

/* Returns the next field of the whole text, on any line. */
static inline enum cg_found cg_next_word(struct cg_cursor *cursor, struct cg_slice *field_ret)
{
    enum cg_found found;
    while ((found = cg_next_field(cursor, field_ret)) == CG_END && cg_next_line(cursor))
        ;
    return found;
}

/* Parses only digits, at least one: CG_OK, CG_SYNTAX, or CG_RANGE above the limit. */
static inline int cg_digits(struct cg_slice field, uint64_t limit, uint64_t *value_ret)
{
    uint64_t value = 0;
    bool over = false;
    if (field.from == field.to)
        return CG_SYNTAX;
    for (const char *at = field.from; at < field.to; at++) {
        uint64_t digit = (unsigned char)(*at - '0');
        if (digit > 9)
            return CG_SYNTAX;
        over |= value > limit / 10 || (value == limit / 10 && digit > limit % 10);
        value = value * 10 + digit;
    }
    *value_ret = value;
    return over ? CG_RANGE : CG_OK;
}

/* Parses the whole text as one number.  Returns the number, -1 for `max`, or less
 * if cg_parse must decide.  Eighteen digits cannot overflow. */
static inline int64_t cg_one_number(const char *text, size_t length)
{
    int64_t value = 0;
    size_t at = 0;
    while (at < length && at < 18 && cg_is_digit(text[at]))
        value = value * 10 + (text[at++] - '0');
    if (at > 0 && at + 1 == length && text[at] == '\n')
        return value;
    return length == 4 && memcmp(text, "max\n", 4) == 0 ? -1 : -2;
}

/* Parses a number: `max`, or an optional minus and digits. */
static inline int cg_number(struct cg_slice field, uint8_t *kind_ret, uint64_t *value_ret)
{
    int status;
    if (field.to - field.from == 3 && memcmp(field.from, "max", 3) == 0) {
        *kind_ret = CG_MAX;
        *value_ret = 0;
        return CG_OK;
    }
    if (field.from < field.to && *field.from == '-') {
        field.from++;
        status = cg_digits(field, (uint64_t)INT64_MAX + 1, value_ret);
        *kind_ret = *value_ret ? CG_NEGATIVE : CG_UINT;
        *value_ret = -*value_ret;
        return status;
    }
    *kind_ret = CG_UINT;
    return cg_digits(field, UINT64_MAX, value_ret);
}

#endif
