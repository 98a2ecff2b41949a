/* cg_mountinfo.c - parses the mount table into its cgroup mounts.
 *
 * proc(5), /proc/pid/mountinfo, one mount per line, fields separated by one space:
 *
 *   36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
 *   (1)(2)(3)   (4)   (5)      (6)      (7)   (8) (9)   (10)         (11)
 *
 *   (1) mount id   (2) parent   (3) major:minor   (4) root   (5) mount point
 *   (6) per-mount options   (7) optional fields, zero or more   (8) separator
 *   (9) file system type   (10) source   (11) super block options
 *
 * The source may be empty, which leaves two spaces.  Space, tab, newline and
 * backslash are octal escapes. */
#include "cg_scan.h"

/* Returns the field up to the next space, and skips the space. */
static struct cg_slice take(const char **at, const char *end)
{
    const char *space = memchr(*at, ' ', (size_t)(end - *at));
    struct cg_slice field = {*at, space ? space : end};
    *at = space ? space + 1 : end;
    return field;
}

static bool is(struct cg_slice field, const char *text, size_t length)
{
    return (size_t)(field.to - field.from) == length && memcmp(field.from, text, length) == 0;
}

static bool take_number(struct cg_slice field, uint32_t *value_ret)
{
    uint64_t value;
    if (cg_digits(field, UINT32_MAX, &value) != CG_OK)
        return false;
    *value_ret = (uint32_t)value;
    return true;
}

struct line {
    uint32_t id, parent, major, minor;
    struct cg_slice root, point, flags, type, options;
};

/* Checks every line, also of other file systems: a partial line shows that the
 * table cannot be trusted. */
static bool parse_line(const char *at, const char *end, struct line *line_ret)
{
    if (!take_number(take(&at, end), &line_ret->id) || !take_number(take(&at, end), &line_ret->parent))
        return false;
    struct cg_slice device = take(&at, end);
    const char *colon = memchr(device.from, ':', (size_t)(device.to - device.from));
    if (colon == NULL || !take_number((struct cg_slice){device.from, colon}, &line_ret->major) ||
        !take_number((struct cg_slice){colon + 1, device.to}, &line_ret->minor))
        return false;
    line_ret->root = take(&at, end);
    line_ret->point = take(&at, end);
    line_ret->flags = take(&at, end);
    for (struct cg_slice optional;;) {
        if (at == end)
            return false;
        optional = take(&at, end);
        if (is(optional, "-", 1))
            break;
    }
    line_ret->type = take(&at, end);
    (void)take(&at, end);
    line_ret->options = take(&at, end);
    return line_ret->root.from < line_ret->root.to && line_ret->point.from < line_ret->point.to &&
           line_ret->flags.from < line_ret->flags.to && line_ret->type.from < line_ret->type.to &&
           line_ret->options.from < line_ret->options.to;
}

static bool is_octal(const char *at, const char *end)
{
    return end - at >= 4 && at[1] >= '0' && at[1] <= '3' && at[2] >= '0' && at[2] <= '7' && at[3] >= '0' &&
           at[3] <= '7';
}

static char *copy(struct cg_slice field, bool decode, char *to)
{
    for (const char *at = field.from; at < field.to;) {
        if (decode && *at == '\\' && is_octal(at, field.to)) {
            *to++ = (char)((at[1] - '0') << 6 | (at[2] - '0') << 3 | (at[3] - '0'));
            at += 4;
        } else {
            *to++ = *at++;
        }
    }
    return to;
}

int cg_parse_mountinfo(const char *text, size_t length, char *strings_ret, uint32_t *mounts_ret, size_t capacity,
                       size_t *count_ret, size_t *offset_ret)
{
    const char *end = text + length;
    char *to = strings_ret;
    size_t count = 0;
    *offset_ret = 0;
    if (length > UINT32_MAX)
        return CG_RANGE;
    for (const char *at = text, *newline; at < end; at = newline + (newline < end)) {
        struct line line;
        newline = memchr(at, '\n', (size_t)(end - at));
        if (newline == NULL)
            newline = end;
        if (newline == at)
            continue;
        if (!parse_line(at, newline, &line)) {
            *offset_ret = (size_t)(at - text);
            return CG_SYNTAX;
        }
        uint32_t version = is(line.type, "cgroup", 6) ? 1 : is(line.type, "cgroup2", 7) ? 2 : 0;
        if (version == 0)
            continue;
        if (count == capacity)
            return CG_SPACE;
        uint32_t *mount = mounts_ret + count++ * CG_MOUNT_FIELDS;
        mount[CG_MOUNT_VERSION] = version;
        mount[CG_MOUNT_MAJOR] = line.major;
        mount[CG_MOUNT_MINOR] = line.minor;
        const struct {
            struct cg_slice field;
            int column;
            bool decode;
        } strings[] = {
            {line.root, CG_MOUNT_ROOT, true},
            {line.point, CG_MOUNT_POINT, true},
            {line.flags, CG_MOUNT_FLAGS, false},
            {line.options, CG_MOUNT_OPTIONS, false},
        };
        for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
            mount[strings[i].column] = (uint32_t)(to - strings_ret);
            to = copy(strings[i].field, strings[i].decode, to);
            mount[strings[i].column + 1] = (uint32_t)(to - strings_ret);
        }
    }
    *count_ret = count;
    return CG_OK;
}
