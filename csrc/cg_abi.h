/*
 * cg_abi.h - the whole interface of the C layer.
 *
 * Read twice: by the C compiler (through cg.h) and by cffi's cdef(), so that
 * the two cannot drift.  Hence plain declarations only: no guard, no #if, no
 * attribute, no inline body.
 *
 * Conventions
 *   - A function that can fail returns an enum cg_status.  CG_OK is 0.
 *   - Results come last and are named *_ret.  They are written on CG_OK only,
 *     unless said otherwise.
 *   - Lengths are explicit; text is bytes, need not end in NUL, and is never
 *     interpreted by locale.
 *   - The caller owns all memory that it passes, and may free it when the
 *     call returns: what an object needs later, it copies.
 *   - Objects are counted.  A *_create or *_start function returns one count,
 *     which belongs to the caller until the matching *_destroy; each object
 *     holds a count of every object that it uses.  So the *_destroy functions
 *     may be called in any order, and an object is freed by the last of them.
 *   - The only global is the cache of the process (cg_cache_shared).  A
 *     function without an object among its arguments is a pure function or a
 *     system call.  All functions may be called from any thread at once,
 *     except *_destroy, which must be the last call with the caller's count.
 *   - Every file descriptor is close-on-exec.  EINTR is retried.
 */

/* ---- statuses -------------------------------------------------------- */

enum cg_status {
    CG_OK = 0,
    CG_OS = 1,     /* a system call failed; errno is in the result's error */
    CG_SYNTAX = 2, /* the text is not of this shape, from the given offset */
    CG_RANGE = 3,  /* a number does not fit its type, at the given offset */
    CG_EMPTY = 4,  /* a value was expected, and there is none */
    CG_SPACE = 5,  /* a buffer or column of the caller's is too small */
    CG_LAYOUT = 6, /* the text is not of the layout given */
    CG_FOREIGN = 7, /* the directory opened is not of the file system asked for */
    CG_INTERRUPTED = 8 /* a signal arrived while a start, or an end, was waited for */
};

/* ---- shapes: what a control file's text looks like --------------------
 *
 * Fields are separated by blanks (space, tab), records by newlines; empty
 * lines are skipped.  A control character other than tab and newline is
 * CG_SYNTAX everywhere but in CG_TEXT.  A number is `max` or an optional `-`
 * and digits; outside [-2^63, 2^64) it is CG_RANGE.  The offset of an error
 * is where the offending field starts.  Offsets are below 2^32: a longer
 * text is CG_RANGE at 0.
 */
enum cg_shape {
    /* one number: memory.max.  No field is CG_EMPTY, a second CG_SYNTAX. */
    CG_VALUE = 0,
    /* numbers, any count: cpu.max, cpuacct.usage_percpu, cgroup.procs */
    CG_VALUES = 1,
    /* lines `key number`: memory.stat.  Further fields are ignored, as a
     * newer kernel may add them; a key alone is a cell of kind CG_NONE. */
    CG_KEYED = 2,
    /* lines `row key=value ...`: io.stat, memory.pressure.  A field without
     * `=` opens a row, also in mid-line (some kernels leave the newline out
     * after a device without counters); a line that starts with a `=` field
     * opens a nameless row.  A value that is no number is CG_CENTI or
     * CG_STRING. */
    CG_NESTED = 3,
    /* lines `row key number`: v1's blkio.*.  A new row opens where the first
     * field differs from that of the line before; `key number` alone
     * (`Total 5`) is a cell of a nameless row; a row alone has no cells. */
    CG_TRIPLES = 4,
    /* lines of fields: cpuacct.usage_all, devices.list.  The first field is
     * the row's name, the others are numbers or CG_STRING. */
    CG_TABLE = 5,
    /* `0-3,8`: cpuset.cpus.  Two cells each, first and last, both at most
     * CG_RANGE_LAST; nothing at all is the empty set. */
    CG_RANGES = 6,
    /* words, any count: cgroup.controllers */
    CG_WORDS = 7,
    /* the whole text less one final newline: cgroup.type.  Never fails. */
    CG_TEXT = 8
};

/* The last CPU or memory node a range may name: above any kernel's, and low
 * enough that a corrupt text cannot make a reader expand four billion. */
#define CG_RANGE_LAST 65535

/* ---- cells: what parsing yields ---------------------------------------- */

enum cg_kind {
    CG_UINT = 0,   /* value */
    CG_NEGATIVE = 1, /* value, as two's complement */
    CG_MAX = 2,    /* `max`; value is 0 */
    CG_CENTI = 3,  /* digits, a point, two digits; value in hundredths */
    CG_STRING = 4, /* value is start << 32 | end, offsets into the text */
    CG_NONE = 5,   /* a key without a value */
    CG_ROW = 6     /* opens a row; the key is its name */
};

/* Cells as columns, so that each crosses into Python in one call.  A cell's
 * key is text[key .. key_end), empty where the shape has none. */
struct cg_cells {
    size_t capacity; /* elements in each column */
    size_t count;    /* cells written; on CG_SPACE, what was written so far */
    uint64_t *value;
    uint8_t *kind;
    uint32_t *key;
    uint32_t *key_end;
    uint32_t *start; /* where the value's text starts */
};

/* Parses the text of a control file.  On CG_SYNTAX, CG_RANGE and CG_EMPTY the
 * offset is where; on CG_SPACE the caller grows the columns and calls again. */
int cg_parse(int shape, const char *text, size_t length, struct cg_cells *cells_ret, size_t *offset_ret);

/* ---- layouts: a text known beforehand, but for its numbers --------------
 *
 * Between kernels a memory.stat differs, between two reads it does not.  A
 * layout is what stands between the numbers: literals[ends[i - 1] .. ends[i])
 * before number i, the last of count + 1 after them all.  Parsing with it
 * compares these and converts the numbers only.
 */
struct cg_layout {
    const char *literals;
    const uint32_t *ends;
    size_t count;
    int shape; /* of the text: only the numbers of CG_NESTED may be CG_CENTI */
};

/* Writes count numbers to values_ret, and their kinds: CG_UINT, CG_NEGATIVE,
 * CG_MAX or CG_CENTI; without kinds_ret all must be CG_UINT.  Any other text
 * is CG_LAYOUT: cg_parse then tells whether it has a shape at all. */
int cg_parse_layout(const struct cg_layout *layout, const char *text, size_t length, uint64_t *values_ret,
                    uint8_t *kinds_ret);

/* ---- the mount table ---------------------------------------------------- */

/* One cgroup or cgroup2 mount of a mountinfo table (proc(5)).  Strings are
 * slices of the strings buffer, the octal escapes of root and mount point
 * decoded; options keep theirs, since a decoded comma would split one. */
enum cg_mount_field {
    CG_MOUNT_VERSION = 0, /* 1 or 2 */
    CG_MOUNT_MAJOR = 1,
    CG_MOUNT_MINOR = 2,
    CG_MOUNT_ROOT = 3,    /* the directory of the hierarchy that is mounted */
    CG_MOUNT_ROOT_END = 4,
    CG_MOUNT_POINT = 5,
    CG_MOUNT_POINT_END = 6,
    CG_MOUNT_FLAGS = 7,   /* per-mount options: rw,nosuid */
    CG_MOUNT_FLAGS_END = 8,
    CG_MOUNT_OPTIONS = 9, /* super block options: rw,cpu,cpuacct */
    CG_MOUNT_OPTIONS_END = 10,
    CG_MOUNT_FIELDS = 11
};

/* Parses a mountinfo table, keeping its cgroup and cgroup2 mounts in table
 * order.  strings_ret has room for length bytes; mounts_ret for capacity
 * rows of CG_MOUNT_FIELDS.  A line without its ten fields, or with numbers
 * that are none, is CG_SYNTAX at the line's start, whatever it mounts. */
int cg_parse_mountinfo(const char *text, size_t length, char *strings_ret, uint32_t *mounts_ret,
                       size_t capacity, size_t *count_ret, size_t *offset_ret);

/* Reads an open /proc file from its start until the kernel says that it ends.
 * CG_SPACE when it did not fit. */
int cg_read_all(int fd, char *text_ret, size_t capacity, size_t *length_ret, int *error_ret);

/* Whose mount table the calling thread sees: the mount that is its root
 * directory, with its inode and device.  Mounts are not shared between mount
 * namespaces, so this tells two namespaces, and a chroot, apart. */
struct cg_root_identity {
    uint64_t mount;
    uint64_t inode;
    uint64_t device;
};
int cg_root_identity(struct cg_root_identity *identity_ret, int *error_ret);

enum cg_mounts_state {
    CG_MOUNTS_SAME = 0,
    CG_MOUNTS_CHANGED = 1, /* the table behind fd has changed since last asked */
    CG_MOUNTS_FOREIGN = 2  /* the calling thread sees another table */
};
/* An enum cg_mounts_state, or -errno.  On the hot path, so without results.
 * Two system calls: statx("/") and, on the open mountinfo, poll(). */
int cg_mounts_check(int fd, const struct cg_root_identity *identity);

/* ---- opening below a directory ------------------------------------------ */

/* Opens path, relative and without `..`, below the directory: no symbolic
 * link, magic link or `..` is followed, nothing is ever created or truncated.
 * By openat2(2); where the kernel or a seccomp filter has none, component by
 * component with O_NOFOLLOW.  A path may be longer than PATH_MAX.  An empty
 * path is the directory itself. */
int cg_open_beneath(int directory, const char *path, int flags, int *fd_ret, int *error_ret);

/* ---- kept-open files ------------------------------------------------------
 *
 * One cache owns every kept descriptor.  A file is a name; it holds a
 * descriptor after it was read, until the budget or cg_file_close takes it
 * back, and opens again when it is read next.
 *
 * A descriptor is used only while its file is pinned, and closed only when it
 * is not: so no thread reads through a number that another has closed.
 */
struct cg_cache;
struct cg_file;

/* NULL when out of memory.  The budget is the count of descriptors kept. */
struct cg_cache *cg_cache_create(size_t budget);
/* The one cache of this process: the first call makes it, with this budget.
 * It lives until the process ends, and survives fork(2), in parent and child,
 * however and by whom it is called: by pthread_atfork(3), so that nothing runs
 * between taking the locks and the fork, which waits for frames being read.
 * In the child, whose other threads are gone, all pins are dropped.  NULL when
 * out of memory. */
struct cg_cache *cg_cache_shared(size_t budget);
void cg_cache_destroy(struct cg_cache *cache);
/* Closes what exceeds the new budget; what is in use, when its use ends. */
void cg_cache_set_budget(struct cg_cache *cache, size_t budget);
size_t cg_cache_budget(struct cg_cache *cache);
/* Descriptors kept now. */
size_t cg_cache_kept(struct cg_cache *cache);

enum cg_file_flags {
    CG_FILE_DIRECTORY = 1, /* a directory, to open others beneath (O_PATH) */
    CG_FILE_CGROUP1 = 2,   /* with CG_FILE_DIRECTORY: CG_FOREIGN unless it is */
    CG_FILE_CGROUP2 = 4,   /*   of this file system */
    CG_FILE_LIST = 8,      /* a task list: opened for each read, never kept,
                            * since v1 serves a kept one from a stale cache,
                            * and read to its end, since it comes in pieces */
    CG_FILE_MODEST = 16    /* kept where there is room alone: one of many that
                            * are read in turn would push out the next */
};

/* A directory has an absolute path and no parent; a file a path beneath its
 * directory.  NULL when out of memory.  Opens nothing. */
struct cg_file *cg_file_create(struct cg_cache *cache, struct cg_file *directory, const char *path, int flags);
void cg_file_destroy(struct cg_file *file);
/* Gives the descriptor back; the file may be read again. */
void cg_file_close(struct cg_file *file);

/* What a read yields, in memory of the caller's. */
struct cg_arena {
    char *text;
    size_t text_capacity;
    size_t text_length; /* of the text read, also when it does not parse */
    struct cg_cells cells;
    size_t offset; /* of a parse error */
    int error;     /* errno, on CG_OS */
};

/* The hot path: one number of a CG_VALUE file.  Not negative: the number.
 * -1: `max`.  Less: none of these, or a failure; cg_file_read tells which. */
int64_t cg_file_read_int(struct cg_file *file);

/* Reads the file and parses it.  A kept descriptor of a removed cgroup is
 * reopened once by its path: a cgroup made again under the name answers.
 * CG_SPACE: grow the text when text_length equals its capacity, else the
 * columns, and call again.  A text without its final newline is read once
 * more, and is then CG_SYNTAX at its end, but of CG_TEXT, and of CG_NESTED
 * where it ends with a blank. */
int cg_file_read(struct cg_file *file, int shape, struct cg_arena *arena);

/* The same for a file of a known layout and of CG_UINT alone; the values are
 * in arena->cells.value, whose capacity must be at least the layout's count. */
int cg_file_read_layout(struct cg_file *file, const struct cg_layout *layout, struct cg_arena *arena);

/* ---- not kept -------------------------------------------------------------- */

/* Opens path beneath the directory, which must be a CG_FILE_DIRECTORY, for
 * the caller to close. */
int cg_file_open(struct cg_file *directory, const char *path, int flags, int *fd_ret, int *error_ret);

/* One write(2) to the control file at path.  A short write is CG_OS, EIO. */
int cg_file_write(struct cg_file *directory, const char *path, const char *data, size_t length, int *error_ret);

/* The inode of the directory at path, or -errno: -ENOTDIR when it is a file,
 * -ENODEV when the file system asked for is no longer mounted there.  On the
 * hot path, so without results. */
int64_t cg_file_inode(struct cg_file *directory, const char *path);

/* The device of the directory's file system, as mountinfo gives it (major << 32
 * | minor); CG_FOREIGN when that is not the one asked for. */
int cg_file_device(struct cg_file *directory, uint64_t *device_ret, int *error_ret);

/* ---- sampling: a table of cgroups and numbers, read in one call ------------
 *
 * A row is a cgroup, a column a number.  A program says which numbers of one
 * control file go to which columns; a row reads each of its files once a
 * frame, by one pread(2), and a number is always of the cgroup (the inode) that its
 * row has in that frame.  Layouts are learned from what is read.
 */
enum cg_cell {
    CG_CELL_OK = 0,
    CG_CELL_MAX = 1,    /* no limit; the value is INT64_MAX */
    CG_CELL_GONE = 2,   /* the cgroup was removed */
    CG_CELL_ABSENT = 3, /* it has no such file, or the file no such number */
    CG_CELL_RANGE = 4,  /* more than INT64_MAX: the value is that of a uint64_t */
    CG_CELL_ERROR = 5   /* not read, or no number, or more than UINT64_MAX; errno is in errors */
};

enum cg_target_flags {
    CG_TARGET_ADD = 1,     /* added to what the column has from another file */
    CG_TARGET_SECOND = 2,  /* only where the column has nothing yet */
    CG_TARGET_CENTI = 4,   /* the column is in hundredths */
    CG_TARGET_UNSET = 8,   /* -1 stands for no limit */
    CG_TARGET_SAME = 16,   /* of the same number as the target before it */
    CG_TARGET_SIGNED = 32  /* may be negative; elsewhere a negative number is CG_CELL_ERROR */
};

/* Where a number goes.  Row and key are those of cg_parse, "" where the shape
 * has none; without a key, ordinal is its place among the numbers of its row. */
struct cg_target {
    const char *row;
    const char *key;
    uint32_t ordinal;
    int32_t column; /* -1: known, and not wanted */
    uint32_t flags;
    int64_t scale;
    uint64_t threshold; /* from here on it stands for no limit; 0: never */
};

/* One frame, and memory for it, the caller's.  values, statuses and errors have
 * a cell for each row and column, row by row; inodes and times one for each row. */
struct cg_frame {
    int64_t timestamp; /* CLOCK_MONOTONIC in ns when the reads began */
    int64_t duration;
    size_t rows;
    size_t gone;     /* rows whose cgroup is */
    size_t unknown;  /* files that have, or had, numbers without a target: see cg_sampler_unknown */
    size_t capacity; /* rows that there is room for: as many as the sampler has; from here on the caller's */
    int64_t *values;
    uint8_t *statuses;
    int32_t *errors;
    uint64_t *inodes;
    int64_t *times; /* CLOCK_MONOTONIC in ns when a row was read; NULL where nobody wants it */
};

struct cg_sampler;

/* NULL when out of memory. */
struct cg_sampler *cg_sampler_create(struct cg_cache *cache, size_t columns);
void cg_sampler_destroy(struct cg_sampler *sampler);

/* Adds a program: of the control file `name`, which has a shape of numbers
 * (CG_VALUE, CG_VALUES, CG_KEYED, CG_NESTED or CG_TRIPLES).  Returns 0,
 * -ENOMEM, or -EINVAL for another shape or a column that does not exist. */
int cg_sampler_program(struct cg_sampler *sampler, const char *name, int shape, const struct cg_target *targets,
                       size_t count, uint32_t *program_ret);

/* Adds a row at the end: the cgroup at path beneath the directory, with the
 * control files of these programs.  Returns 0, -ENOMEM, or -EINVAL for a
 * program that does not exist.  What cannot be opened is looked for again, a
 * cgroup at each frame, a file once a second.  That the path still leads to the
 * cgroup that is read is looked at every ten seconds: on v1 one may be renamed. */
int cg_sampler_add(struct cg_sampler *sampler, struct cg_file *directory, const char *path, const uint32_t *programs,
                   size_t count);
/* Takes rows out, ascending; those below move up. */
void cg_sampler_remove(struct cg_sampler *sampler, const uint32_t *rows, size_t count);

/* Rows and columns of a sampler as they are now. */
void cg_sampler_size(struct cg_sampler *sampler, size_t *rows_ret, size_t *columns_ret);

/* CG_OK; CG_SPACE when the frame has room for fewer or more rows than the
 * sampler has: its numbers would be shown under other names. */
int cg_sampler_sample(struct cg_sampler *sampler, struct cg_frame *frame);

/* The files that have had numbers without a target: their rows and programs' places
 * among the row's, as pairs; how many there are, of which up to capacity are
 * written. */
size_t cg_sampler_unknown(struct cg_sampler *sampler, uint32_t *pairs_ret, size_t capacity);

/* ---- recording: a sampler read by a thread, on a timer -----------------------
 *
 * The thread reads a frame at each tick of an absolute timer (CLOCK_MONOTONIC)
 * into a ring, from which another takes them as blocks.  It runs no code but
 * this, takes no signals, and ends by itself when every cgroup is gone.  In a
 * child forked from a process that samples on the cache of cg_cache_shared
 * there is no thread: what was recorded before can be taken there.
 */
struct cg_recorder;

/* Of ticks: taken are frames; late, of these, began more than a tenth of the interval after their time;
 * missed gave no frame, as the one before took until after their time, or the end was too near; overrun gave none,
 * as the ring was full.  Once it has ended, taken, missed and overrun are all ticks that were due by then. */
struct cg_recording {
    uint64_t taken;
    uint64_t late;
    uint64_t missed;
    uint64_t overrun;
    uint64_t unknown; /* of the last frame */
    int64_t first;    /* CLOCK_MONOTONIC when the first tick was due */
    int running;
};

/* Memory for frames one after another, the caller's; parts as in struct cg_frame. */
struct cg_block {
    size_t capacity; /* frames */
    int64_t *timestamps;
    int64_t *values;
    uint8_t *statuses;
    uint64_t *inodes;
    int64_t *times; /* NULL where nobody wants it */
};

/* Starts.  The ring has room for capacity frames of the sampler's rows as they are.  It ends after so many
 * ticks, 0: never.  Returns 0 or -errno. */
int cg_recorder_start(struct cg_sampler *sampler, int64_t interval, size_t capacity, uint64_t ticks,
                      struct cg_recorder **recorder_ret);
/* Rows and cells of each of its frames. */
void cg_recorder_size(const struct cg_recorder *recorder, size_t *rows_ret, size_t *cells_ret);
/* Takes the oldest frames, as many as the block has room for.  Each frame is taken once. */
size_t cg_recorder_take(struct cg_recorder *recorder, struct cg_block *block);
size_t cg_recorder_waiting(struct cg_recorder *recorder);
void cg_recorder_state(struct cg_recorder *recorder, struct cg_recording *recording_ret);
/* Ends the thread, after the frame that it is reading. */
void cg_recorder_stop(struct cg_recorder *recorder);
void cg_recorder_destroy(struct cg_recorder *recorder);

/* ---- spawning: a program that starts inside its cgroups ----------------------
 *
 * Between clone and exec the child makes system calls and nothing else, on a
 * stack of its own, with all signals blocked (cg_child.c).  It is made in one of two ways:
 *
 * Shared.  Only the caller and root may write to its cgroups and to those
 * above: the child is made as by vfork(2).  It shares the caller's memory, and
 * the calling thread waits in the kernel until it executes.
 *
 * Copied.  Another user may write to one of these cgroups, and could freeze the
 * child, throttle it or have it killed by memory.oom.group at any moment; or the
 * child changes its user, who may then stop it; or memory.oom.group or
 * cpuset.memory_migrate are set.  The child gets a copy of the memory, so that
 * what happens to it never happens to the caller, and the wait for it is
 * bounded and ends when a signal arrives.  Its page tables are charged to the
 * caller's cgroup, the few pages that it writes to its own.  An OOM there, until it
 * executes, may choose it for the caller's size: CG_SPAWN_KILLED, not a program that
 * ended.
 */
enum cg_spawn_step {
    CG_SPAWN_CLONE = 0,   /* no child could be made */
    CG_SPAWN_FROZEN = 1,  /* places[at] is: the child would stop before it executes */
    CG_SPAWN_JOIN = 2,    /* it could not be made, or moved, in places[at] */
    CG_SPAWN_PREPARE = 3, /* descriptors, session, process group, user, groups */
    CG_SPAWN_CWD = 4,
    CG_SPAWN_EXECUTE = 5,
    CG_SPAWN_TIMEOUT = 6, /* it did not execute within the timeout */
    CG_SPAWN_KILLED = 7   /* a signal ended it before it executed; told of a copied child only */
};

/* A cgroup that it starts in, at path beneath the directory of its hierarchy.
 * In that of v2 it is made, by clone3(2) with CLONE_INTO_CGROUP (Linux 5.7);
 * where that is not to be had, and into those of v1, it moves itself.  At most one is of v2. */
struct cg_place {
    struct cg_file *hierarchy;
    const char *path;
    int version;
};
#define CG_SPAWN_PLACES 64

struct cg_watch; /* see "waiting" */

struct cg_spawn {
    const char *program;
    const char *path;         /* directories to look for it in, as in PATH; NULL: it is a path itself */
    char *const *argv;
    char *const *envp;        /* NULL: the caller's */
    const char *cwd;          /* NULL: the caller's */
    const struct cg_place *places; /* in the order in which it moves itself */
    size_t place_count;       /* CG_SPAWN_PLACES at most */
    int files[3];             /* its stdin, stdout and stderr; -1: the caller's */
    int close_files;          /* whether other descriptors are closed, but those kept */
    const int *keep;          /* ascending; inherited also where close-on-exec */
    size_t keep_count;
    int restore_signals;      /* SIGPIPE and SIGXFSZ, which Python ignores */
    int new_session;
    int process_group;        /* -1: the caller's */
    int umask;                /* -1: the caller's */
    int64_t uid;              /* -1: the caller's; so gid.  2^32-1, which the kernel takes for -1, is EINVAL */
    int64_t gid;
    int64_t group_count;      /* -1: the caller's */
    const uint32_t *groups;
    int64_t timeout;          /* ns until a copied child has to execute; 0: ten seconds */
    struct cg_watch *watch;   /* NULL: none; begins to watch the child once it executes */
};

struct cg_start; /* a copied child that has not executed yet */

struct cg_spawned {
    int64_t began; /* CLOCK_MONOTONIC when it was in all of its cgroups; 0 where it died before */
    int pid;
    int step; /* what failed, on CG_OS */
    int at;
    int error;
    struct cg_start *pending; /* on CG_INTERRUPTED */
};

/* CG_OK once it executes, or a shared child has died of a signal before.
 *
 * CG_INTERRUPTED: a signal arrived, or may have while the child was made.  Call cg_spawn_resume until the status is
 * another, or cg_spawn_cancel.  The request has to live until then.
 *
 * On CG_OS no child is left, unless the kernel could not end it at once: pid is
 * then a killed child for the caller to reap, otherwise 0. */
int cg_spawn(const struct cg_spawn *spawn, struct cg_spawned *spawned_ret);
int cg_spawn_resume(struct cg_spawned *spawned);

/* Kills and reaps the child, pending or started, within a second; a child that has not ended by then stays in pid. */
void cg_spawn_cancel(struct cg_spawned *spawned);

/* ---- waiting ---------------------------------------------------------- */

/* Waits until a child of the calling process has ended, and leaves it to be
 * reaped.  deadline is on CLOCK_MONOTONIC, in ns; negative: none.  *ended_ret
 * is that clock when it was seen, right after its end, or 0 if the deadline
 * passed first.  A process that is no child any more has ended.
 *
 * CG_INTERRUPTED: a signal arrived; call again. */
int cg_wait_child(int pid, int64_t deadline, int64_t *ended_ret, int *error_ret);

/* Stamps the end of one child when it comes, by a thread, whatever the caller
 * does meanwhile.  CG_OS: no memory. */
int cg_watch_create(struct cg_watch **watch_ret);
void cg_watch_destroy(struct cg_watch *watch);

/* CLOCK_MONOTONIC right after the end of the child, in ns; 0 while it runs, or if no thread could be made. */
int64_t cg_watch_ended(struct cg_watch *watch);
