/*
 * cg_abi.h - the complete interface of the C layer.
 *
 * Both the C compiler (through cg.h) and cffi's cdef() read this file, so the
 * two cannot drift.  It has only plain declarations: no guard, no #if, no
 * attribute, no inline body.
 *
 * Conventions
 *   - A function that can fail returns an enum cg_status.  CG_OK is 0.
 *   - Results come last and are named *_ret.  They are written only on CG_OK,
 *     unless documented otherwise.
 *   - Lengths are explicit.  Text is bytes, need not end in NUL, and does not
 *     depend on the locale.
 *   - The caller owns all memory that it passes, and may free it when the
 *     call returns: an object copies what it needs later.
 *   - Objects are reference-counted.  A *_create or *_start function returns
 *     one reference, which the caller drops with the matching *_destroy.  Each
 *     object holds a reference to every object that it uses.  The *_destroy
 *     functions may therefore be called in any order; the last one frees.
 *   - The only global is the cache of the process (cg_cache_shared).  A
 *     function without an object argument is a pure function or a system call.
 *     All functions are thread-safe, except *_destroy, which must be the last
 *     call with the caller's reference.
 *   - Every file descriptor is close-on-exec.  EINTR is retried.
 */

/* ---- statuses -------------------------------------------------------- */

enum cg_status {
    CG_OK = 0,
    CG_OS = 1,          /* a system call failed; errno is in the result's error */
    CG_SYNTAX = 2,      /* the text does not have this shape, from the given offset */
    CG_RANGE = 3,       /* a number does not fit its type, at the given offset */
    CG_EMPTY = 4,       /* a value is missing */
    CG_SPACE = 5,       /* a buffer or column of the caller is too small */
    CG_LAYOUT = 6,      /* the text does not have the given layout */
    CG_FOREIGN = 7,     /* the opened directory is not on the requested file system */
    CG_INTERRUPTED = 8, /* a signal arrived during the wait for a start or an exit */
    CG_PAUSED = 9       /* a child waits for cg_spawn_resume */
};

/* ---- shapes: the forms of a control file's text -----------------------
 *
 * Fields are separated by blanks (space, tab), records by newlines; empty
 * lines are skipped.  A control character other than tab and newline is
 * CG_SYNTAX in every shape except CG_TEXT.  A number is `max` or an optional
 * `-` and digits; outside [-2^63, 2^64) it is CG_RANGE.  The offset of an
 * error is the start of the offending field.  Offsets are below 2^32: a
 * longer text is CG_RANGE at 0.
 */
enum cg_shape {
    /* one number: memory.max.  No field is CG_EMPTY, a second CG_SYNTAX. */
    CG_VALUE = 0,
    /* any number of numbers: cpu.max, cpuacct.usage_percpu, cgroup.procs */
    CG_VALUES = 1,
    /* lines `key number`: memory.stat.  Additional fields are ignored, since a
     * newer kernel may add them; a key without a number is CG_NONE. */
    CG_KEYED = 2,
    /* lines `row key=value ...`: io.stat, memory.pressure.  A field without
     * `=` opens a row, even within a line (some kernels omit the newline after
     * a device without counters); a line that starts with a `=` field opens a
     * nameless row.  A value other than a number is CG_CENTI or CG_STRING. */
    CG_NESTED = 3,
    /* lines `row key number`: v1's blkio.*.  A row opens if the first field
     * differs from the previous line's.  A line `key number` (`Total 5`) is a
     * cell of a nameless row; a line with only a row has no cells. */
    CG_TRIPLES = 4,
    /* lines of fields: cpuacct.usage_all, devices.list.  The first field is
     * the row's name, the others are numbers or CG_STRING. */
    CG_TABLE = 5,
    /* `0-3,8`: cpuset.cpus.  Two cells for each range, first and last, both at
     * most CG_RANGE_LAST; an empty text is the empty set. */
    CG_RANGES = 6,
    /* any number of words: cgroup.controllers */
    CG_WORDS = 7,
    /* the whole text without one final newline: cgroup.type.  Never fails. */
    CG_TEXT = 8
};

/* The greatest CPU or memory node in a range: above any kernel's, but low
 * enough that a corrupt text cannot expand to four billion numbers. */
#define CG_RANGE_LAST 65535

/* ---- cells: the result of parsing --------------------------------------- */

enum cg_kind {
    CG_UINT = 0,     /* value */
    CG_NEGATIVE = 1, /* value, as two's complement */
    CG_MAX = 2,      /* `max`; value is 0 */
    CG_CENTI = 3,    /* digits, a point, two digits; value in hundredths */
    CG_STRING = 4,   /* value is start << 32 | end, offsets into the text */
    CG_NONE = 5,     /* a key without a value */
    CG_ROW = 6       /* opens a row; the key is its name */
};

/* Cells as columns, so that each column is passed to Python in one call.  A
 * cell's key is text[key .. key_end), empty if the shape has no keys. */
struct cg_cells {
    size_t capacity; /* elements in each column */
    size_t count;    /* cells written, also on CG_SPACE */
    uint64_t *value;
    uint8_t *kind;
    uint32_t *key;
    uint32_t *key_end;
    uint32_t *start; /* start of the value's text */
};

/* Parses the text of a control file.  On CG_SYNTAX, CG_RANGE and CG_EMPTY the
 * offset locates the error; on CG_SPACE the caller grows the columns and calls
 * again. */
int cg_parse(int shape, const char *text, size_t length, struct cg_cells *cells_ret, size_t *offset_ret);

/* ---- layouts: the known parts of a text between its numbers -------------
 *
 * The keys of memory.stat differ between kernels, but not between two reads.
 * A layout is the text between the numbers: literals[ends[i - 1] .. ends[i])
 * precedes number i, and the last of count + 1 literals follows all numbers.
 * Parsing with a layout compares the literals and converts the numbers.
 */
struct cg_layout {
    const char *literals;
    const uint32_t *ends;
    size_t count;
    int shape; /* of the text; CG_CENTI is allowed only in CG_NESTED */
};

/* Writes count numbers to values_ret, and their kinds: CG_UINT, CG_NEGATIVE,
 * CG_MAX or CG_CENTI; without kinds_ret all must be CG_UINT.  Any other text
 * is CG_LAYOUT: then call cg_parse to check its shape. */
int cg_parse_layout(const struct cg_layout *layout, const char *text, size_t length, uint64_t *values_ret,
                    uint8_t *kinds_ret);

/* ---- the mount table ---------------------------------------------------- */

/* One cgroup or cgroup2 mount of a mountinfo table (proc(5)).  Strings are
 * slices of the strings buffer.  The octal escapes of root and mount point are
 * decoded, but not those of options: a decoded comma would split an option. */
enum cg_mount_field {
    CG_MOUNT_VERSION = 0, /* 1 or 2 */
    CG_MOUNT_MAJOR = 1,
    CG_MOUNT_MINOR = 2,
    CG_MOUNT_ROOT = 3, /* the mounted directory of the hierarchy */
    CG_MOUNT_ROOT_END = 4,
    CG_MOUNT_POINT = 5,
    CG_MOUNT_POINT_END = 6,
    CG_MOUNT_FLAGS = 7, /* per-mount options: rw,nosuid */
    CG_MOUNT_FLAGS_END = 8,
    CG_MOUNT_OPTIONS = 9, /* super block options: rw,cpu,cpuacct */
    CG_MOUNT_OPTIONS_END = 10,
    CG_MOUNT_FIELDS = 11
};

/* Parses a mountinfo table and returns its cgroup and cgroup2 mounts in table
 * order.  strings_ret has room for length bytes, mounts_ret for capacity rows
 * of CG_MOUNT_FIELDS.  A line with missing fields or invalid numbers is
 * CG_SYNTAX at the line's start, whatever its file system type. */
int cg_parse_mountinfo(const char *text, size_t length, char *strings_ret, uint32_t *mounts_ret, size_t capacity,
                       size_t *count_ret, size_t *offset_ret);

/* Reads an open /proc file from its start to its end.  CG_SPACE if it does not
 * fit. */
int cg_read_all(int fd, char *text_ret, size_t capacity, size_t *length_ret, int *error_ret);

/* Identifies the mount table that the calling thread sees, by the mount, inode
 * and device of its root directory.  Mount namespaces share no mounts, so this
 * distinguishes two namespaces, and a chroot. */
struct cg_root_identity {
    uint64_t mount;
    uint64_t inode;
    uint64_t device;
};
int cg_root_identity(struct cg_root_identity *identity_ret, int *error_ret);

enum cg_mounts_state {
    CG_MOUNTS_SAME = 0,
    CG_MOUNTS_CHANGED = 1, /* the table of fd has changed since the last call */
    CG_MOUNTS_FOREIGN = 2  /* the calling thread sees another table */
};
/* Returns an enum cg_mounts_state, or -errno: a hot path, so without result
 * arguments.  Two system calls: statx("/"), and poll() on the open mountinfo. */
int cg_mounts_check(int fd, const struct cg_root_identity *identity);

/* ---- opening below a directory ------------------------------------------ */

/* Opens path, relative and without `..`, below the directory.  No symbolic
 * link, magic link or `..` is followed, and nothing is created or truncated.
 * Uses openat2(2); if the kernel lacks it or a seccomp filter denies it, opens
 * component by component with O_NOFOLLOW.  A path may be longer than PATH_MAX.
 * An empty path is the directory itself. */
int cg_open_beneath(int directory, const char *path, int flags, int *fd_ret, int *error_ret);

/* ---- kept-open files ------------------------------------------------------
 *
 * One cache owns every kept descriptor.  A file is a name.  After a read it
 * holds a descriptor until it is evicted for the budget or cg_file_close is
 * called, and the next read opens it again.
 *
 * A descriptor is used only while its file is pinned, and closed only while it
 * is not, so no thread reads through a descriptor that another has closed.
 */
struct cg_cache;
struct cg_file;

/* NULL if out of memory.  The budget is the maximum number of kept descriptors. */
struct cg_cache *cg_cache_create(size_t budget);
/* The cache of this process: the first call creates it, with this budget.  It
 * lives until the process exits.  It survives fork(2) in parent and child,
 * whoever calls fork: pthread_atfork(3) handlers take the locks right before
 * the fork, which waits for frames being read.  In the child, which has no
 * other threads, all pins are dropped.  NULL if out of memory. */
struct cg_cache *cg_cache_shared(size_t budget);
void cg_cache_destroy(struct cg_cache *cache);
/* Closes descriptors beyond the new budget; those in use, after their use. */
void cg_cache_set_budget(struct cg_cache *cache, size_t budget);
size_t cg_cache_budget(struct cg_cache *cache);
/* The current number of kept descriptors. */
size_t cg_cache_kept(struct cg_cache *cache);

enum cg_file_flags {
    CG_FILE_DIRECTORY = 1, /* a directory, to open files beneath (O_PATH) */
    CG_FILE_CGROUP1 = 2,   /* with CG_FILE_DIRECTORY: CG_FOREIGN unless it is */
    CG_FILE_CGROUP2 = 4,   /*   on this file system */
    CG_FILE_LIST = 8,      /* a task list: opened for each read and not kept,
                            * since v1 serves a kept one from a stale cache;
                            * read to its end, since it is returned in pieces */
    CG_FILE_NO_EVICT = 16  /* kept only while there is room: evicting for a
                            * sequential scan would thrash */
};

/* A directory has an absolute path and no parent; a file has a path beneath
 * its directory.  NULL if out of memory.  Opens nothing. */
struct cg_file *cg_file_create(struct cg_cache *cache, struct cg_file *directory, const char *path, int flags);
void cg_file_destroy(struct cg_file *file);
/* Closes the descriptor; the file may be read again. */
void cg_file_close(struct cg_file *file);

/* The result of a read, in the caller's memory. */
struct cg_arena {
    char *text;
    size_t text_capacity;
    size_t text_length; /* of the text read, even if it does not parse */
    struct cg_cells cells;
    size_t offset; /* of a parse error */
    int error;     /* errno, on CG_OS */
};

/* The hot path: reads the number of a CG_VALUE file.  Returns the number if it is
 * not negative, -1 for `max`, and less for another text or a failure; then call
 * cg_file_read. */
int64_t cg_file_read_int(struct cg_file *file);

/* Reads the file and parses it.  If the cgroup of a kept descriptor was removed,
 * the path is reopened once, in case a cgroup was created again under the name.
 * CG_SPACE: grow the text if text_length equals its capacity, else the columns,
 * and call again.  A text without a final newline is read once more, and is
 * then CG_SYNTAX at its end, except for CG_TEXT, and for CG_NESTED that ends
 * with a blank. */
int cg_file_read(struct cg_file *file, int shape, struct cg_arena *arena);

/* Reads a file with a known layout and only CG_UINT numbers, into
 * arena->cells.value, whose capacity must be at least the layout's count. */
int cg_file_read_layout(struct cg_file *file, const struct cg_layout *layout, struct cg_arena *arena);

/* ---- not kept -------------------------------------------------------------- */

/* Opens path beneath the directory, which must be a CG_FILE_DIRECTORY; the
 * caller closes the descriptor. */
int cg_file_open(struct cg_file *directory, const char *path, int flags, int *fd_ret, int *error_ret);

/* One write(2) to the control file at path.  A short write is CG_OS, EIO. */
int cg_file_write(struct cg_file *directory, const char *path, const char *data, size_t length, int *error_ret);

/* Returns the inode of the directory at path, or -errno: -ENOTDIR for a file,
 * -ENODEV if the requested file system is no longer mounted there.  A hot
 * path, so without result arguments. */
int64_t cg_file_inode(struct cg_file *directory, const char *path);

/* The device of the directory's file system, as in mountinfo (major << 32 |
 * minor); CG_FOREIGN if it is not the requested file system. */
int cg_file_device(struct cg_file *directory, uint64_t *device_ret, int *error_ret);

/* ---- sampling: a table of cgroups and numbers, read in one call ------------
 *
 * A row is a cgroup, a column a number.  A program maps the numbers of one
 * control file to columns.  A row reads each of its files once per frame, by
 * one pread(2), and each number belongs to the cgroup (the inode) of the row in
 * that frame.  Layouts are learned from the texts.
 */
enum cg_cell {
    CG_CELL_OK = 0,
    CG_CELL_MAX = 1,    /* no limit; the value is INT64_MAX */
    CG_CELL_GONE = 2,   /* the cgroup was removed */
    CG_CELL_ABSENT = 3, /* the cgroup has no such file, or the file no such number */
    CG_CELL_RANGE = 4,  /* more than INT64_MAX: the value is the bits of a uint64_t */
    CG_CELL_ERROR = 5   /* not read, not a number, or more than UINT64_MAX; errno is in errors */
};

enum cg_target_flags {
    CG_TARGET_ADD = 1,              /* added to the column's value from another file */
    CG_TARGET_FALLBACK = 2,         /* a fallback: only if the column is still absent */
    CG_TARGET_CENTI = 4,            /* the column is in hundredths */
    CG_TARGET_MINUS_ONE_IS_MAX = 8, /* -1 means no limit */
    CG_TARGET_SHARED_NUMBER = 16,   /* for the same number as the previous target */
    CG_TARGET_SIGNED = 32           /* may be negative; otherwise a negative number is CG_CELL_ERROR */
};

/* The destination of a number.  Row and key are those of cg_parse, "" if the
 * shape lacks them; without a key, ordinal is the index of the number in its row. */
struct cg_target {
    const char *row;
    const char *key;
    uint32_t ordinal;
    int32_t column; /* -1: known, but not sampled */
    uint32_t flags;
    int64_t scale;
    uint64_t threshold; /* a number from here on means no limit; 0: never */
};

/* One frame, in the caller's memory.  values, statuses and errors have a cell
 * for each row and column, row by row; inodes and times have one for each row. */
struct cg_frame {
    int64_t timestamp; /* CLOCK_MONOTONIC in ns at the start of the reads */
    int64_t duration;
    size_t rows;
    size_t gone;     /* rows whose cgroup is gone */
    size_t unknown;  /* files that have, or had, numbers without a target: see cg_sampler_unknown */
    size_t capacity; /* room for rows: the sampler's number; set by the caller, like all fields below */
    int64_t *values;
    uint8_t *statuses;
    int32_t *errors;
    uint64_t *inodes;
    int64_t *times; /* CLOCK_MONOTONIC in ns at the read of each row; NULL if not needed */
};

struct cg_sampler;

/* NULL if out of memory. */
struct cg_sampler *cg_sampler_create(struct cg_cache *cache, size_t columns);
void cg_sampler_destroy(struct cg_sampler *sampler);

/* Adds a program for the control file `name`, which must have a shape of numbers
 * (CG_VALUE, CG_VALUES, CG_KEYED, CG_NESTED or CG_TRIPLES).  Returns 0,
 * -ENOMEM, or -EINVAL for another shape or a column that does not exist. */
int cg_sampler_program(struct cg_sampler *sampler, const char *name, int shape, const struct cg_target *targets,
                       size_t count, uint32_t *program_ret);

/* Appends a row: the cgroup at path beneath the directory, with the control
 * files of these programs.  Returns 0, -ENOMEM, or -EINVAL for a program that
 * does not exist.  A failed open is retried: of a cgroup at each frame, of a
 * file once per second.  Every ten seconds the path is checked, since a v1
 * cgroup may have been renamed. */
int cg_sampler_add(struct cg_sampler *sampler, struct cg_file *directory, const char *path, const uint32_t *programs,
                   size_t count);
/* Removes rows, given in ascending order; the rows below move up. */
void cg_sampler_remove(struct cg_sampler *sampler, const uint32_t *rows, size_t count);

/* The current number of rows and columns of a sampler. */
void cg_sampler_size(struct cg_sampler *sampler, size_t *rows_ret, size_t *columns_ret);

/* Returns CG_OK, or CG_SPACE if the capacity of the frame is not the number of
 * rows: the numbers would be shown under wrong names. */
int cg_sampler_sample(struct cg_sampler *sampler, struct cg_frame *frame);

/* Writes the files that had numbers without a target, up to capacity, as pairs of
 * the row and the index of the program in the row.  Returns the number of all
 * such files. */
size_t cg_sampler_unknown(struct cg_sampler *sampler, uint32_t *pairs_ret, size_t capacity);

/* ---- recording: a sampler read by a thread, on a timer -----------------------
 *
 * The thread reads a frame into a ring at each tick of an absolute timer
 * (CLOCK_MONOTONIC); another thread takes the frames as blocks.  It runs no
 * other code, blocks all signals, and exits when every cgroup is gone.  In a
 * child forked from a process that samples on the cache of cg_cache_shared the
 * thread does not exist, but the frames recorded before can be taken.
 */
struct cg_recorder;

/* Counts of ticks.  taken: frames.  late: those of them that started more than a tenth of the interval after they
 * were due.  missed: no frame, since the previous one was still being read, or the end was too near.  overrun: no
 * frame, since the ring was full.  After the end, taken, missed and overrun sum up to all ticks that were due. */
struct cg_recording {
    uint64_t taken;
    uint64_t late;
    uint64_t missed;
    uint64_t overrun;
    uint64_t unknown; /* of the last frame */
    int64_t first;    /* CLOCK_MONOTONIC at which the first tick is due */
    int running;
};

/* Consecutive frames in the caller's memory; the parts are those of struct cg_frame. */
struct cg_block {
    size_t capacity; /* frames */
    int64_t *timestamps;
    int64_t *values;
    uint8_t *statuses;
    uint64_t *inodes;
    int64_t *times; /* NULL if not needed */
};

/* Starts a recorder.  The ring has room for capacity frames of the sampler's current rows.  The recorder ends after
 * this number of ticks; 0: no limit.  Returns 0 or -errno. */
int cg_recorder_start(struct cg_sampler *sampler, int64_t interval, size_t capacity, uint64_t ticks,
                      struct cg_recorder **recorder_ret);
/* The number of rows and cells in each frame. */
void cg_recorder_size(const struct cg_recorder *recorder, size_t *rows_ret, size_t *cells_ret);
/* Takes the oldest frames, as many as fit into the block.  Each frame is taken once. */
size_t cg_recorder_take(struct cg_recorder *recorder, struct cg_block *block);
size_t cg_recorder_waiting(struct cg_recorder *recorder);
void cg_recorder_state(struct cg_recorder *recorder, struct cg_recording *recording_ret);
/* Stops the thread after the current frame. */
void cg_recorder_stop(struct cg_recorder *recorder);
void cg_recorder_destroy(struct cg_recorder *recorder);

/* ---- spawning: a program that starts inside its cgroups ----------------------
 *
 * Between clone and exec the child makes only system calls, on its own stack,
 * with all signals blocked (cg_child.c).  It is created in one of two ways:
 *
 * Shared, if only the caller and root may write to its cgroups and their
 * ancestors.  The child is created as by vfork(2): it shares the caller's
 * memory, and the calling thread waits in the kernel until the child executes.
 *
 * Copied, otherwise.  Another user who may write to one of these cgroups could
 * freeze the child, throttle it or get it killed by memory.oom.group at any
 * moment.  The same holds if the child changes its user, who may then stop it,
 * or if memory.oom.group or cpuset.memory_migrate is set.  The child gets a copy
 * of the memory, so nothing that happens to it affects the caller, and the wait
 * for it is bounded and ends when a signal arrives.  Its page tables are charged
 * to the caller's cgroup, the few pages that it writes to its own.  Until it
 * executes, an OOM there may select it for the caller's size: the result is
 * CG_SPAWN_KILLED, not a program that exited.
 */
enum cg_spawn_step {
    CG_SPAWN_CLONE = 0,   /* no child could be created */
    CG_SPAWN_FROZEN = 1,  /* places[at] is frozen: the child would stop before it executes */
    CG_SPAWN_JOIN = 2,    /* the child could not be created in, or moved to, places[at] */
    CG_SPAWN_PREPARE = 3, /* descriptors, session, process group, user, groups */
    CG_SPAWN_CWD = 4,
    CG_SPAWN_EXECUTE = 5,
    CG_SPAWN_TIMEOUT = 6, /* the child did not execute within the timeout */
    CG_SPAWN_KILLED = 7   /* a signal killed the child before it executed; reported only for a copied child */
};

/* A target cgroup of the child, at path beneath the directory of its hierarchy.
 * The child is created in a v2 cgroup by clone3(2) with CLONE_INTO_CGROUP (Linux
 * 5.7); if that is unavailable, and on v1, it moves itself.  At most one is v2. */
struct cg_place {
    struct cg_file *hierarchy;
    const char *path;
    int version;
    int controllers; /* on v1: enum cg_place_controllers, or'ed; on v2: 0 */
};
enum cg_place_controllers { CG_PLACE_FREEZER = 1, CG_PLACE_CPUSET = 2 };
#define CG_SPAWN_PLACES 64

struct cg_watch; /* see "waiting" */

struct cg_spawn {
    const char *program;
    const char *path; /* directories to search, in the form of PATH; NULL: program is a path */
    char *const *argv;
    char *const *envp;             /* NULL: the caller's */
    const char *cwd;               /* NULL: the caller's */
    const struct cg_place *places; /* in the order in which the child moves itself */
    size_t place_count;            /* at most CG_SPAWN_PLACES */
    int files[3];                  /* stdin, stdout and stderr; -1: the caller's */
    int close_files;               /* whether to close all other descriptors except keep */
    const int *keep;               /* ascending; inherited even if close-on-exec */
    size_t keep_count;
    int restore_signals; /* resets SIGPIPE and SIGXFSZ, which Python ignores */
    int new_session;
    int process_group; /* -1: the caller's */
    int umask;         /* -1: the caller's */
    int64_t uid;       /* -1: the caller's; also for gid.  2^32-1, which the kernel treats as -1, is EINVAL */
    int64_t gid;
    int64_t group_count; /* -1: the caller's */
    const uint32_t *groups;
    int64_t timeout;        /* ns until a copied child must execute; 0: ten seconds */
    int paused;             /* whether a copied child waits before it moves itself: CG_PAUSED */
    struct cg_watch *watch; /* starts to watch the child once it executes; may be NULL */
};

struct cg_start; /* a copied child that has not executed yet */

struct cg_spawned {
    int64_t began; /* CLOCK_MONOTONIC at which the child was in all of its cgroups; 0 if it died before */
    int pid;
    int step; /* the failed step, on CG_OS */
    int at;
    int error;
    struct cg_start *pending; /* on CG_INTERRUPTED and CG_PAUSED */
};

/* Returns CG_OK once the child executes, or if a signal killed a shared child before.
 *
 * CG_PAUSED: the child pid waits outside its cgroups for the next cg_spawn_resume.  Until then a more privileged
 * process can move it there.  It exits if the caller exits.
 *
 * CG_INTERRUPTED: a signal arrived, or may have arrived during the clone.  Call cg_spawn_resume until the status
 * changes, or cg_spawn_cancel.  The request must live until then.
 *
 * On CG_OS pid is 0, or a killed child that had not exited yet, which the caller
 * must reap. */
int cg_spawn(const struct cg_spawn *spawn, struct cg_spawned *spawned_ret);
int cg_spawn_resume(struct cg_spawned *spawned);

/* Kills and reaps the child, pending or started, within a second; a child that has not exited by then stays in pid. */
void cg_spawn_cancel(struct cg_spawned *spawned);

/* ---- waiting ---------------------------------------------------------- */

/* Waits until a child of the calling process exits, without reaping it.  deadline
 * is of CLOCK_MONOTONIC, in ns; negative: no deadline.  *ended_ret is the time of
 * that clock right after the exit, or 0 if the deadline passed first.  A process
 * that is not a child any more counts as exited.
 *
 * CG_INTERRUPTED: a signal arrived; call again. */
int cg_wait_child(int pid, int64_t deadline, int64_t *ended_ret, int *error_ret);

/* Records the exit time of one child in a thread, independent of the caller.
 * CG_OS: out of memory. */
int cg_watch_create(struct cg_watch **watch_ret);
void cg_watch_destroy(struct cg_watch *watch);

/* CLOCK_MONOTONIC right after the exit of the child, in ns; 0 while it runs, or if no thread could be created. */
int64_t cg_watch_ended(struct cg_watch *watch);
