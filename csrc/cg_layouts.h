/* cg_layouts.h - converts the text of a control file to the cells of its row. */
#ifndef CG_LAYOUTS_H
#define CG_LAYOUTS_H

#include "cg.h"

enum { CG_KNOWN_MAX = 8 /* layouts of one program: cgroups differ, for example a root */ };

/* A layout, and the first target of each of its numbers, or -1. */
struct cg_known {
    struct cg_layout layout;
    int32_t *targets;
    bool unknown; /* a number has no target */
    void *memory; /* literals, ends and targets */
};

/* The mapping from the numbers of one control file to columns, and the layouts
 * learned from its texts. */
struct cg_program {
    const char *name; /* of the control file */
    int shape;
    const struct cg_target *targets;
    size_t count;
    const struct cg_target *simple; /* the only target, if the file is one number copied unscaled; else NULL */
    struct cg_known known[CG_KNOWN_MAX];
    unsigned known_count;
    unsigned next; /* the layout to replace when all slots are used */
};

/* Creates a program with copies of its arguments.  NULL with errno EINVAL for a
 * shape without numbers or a column that does not exist, or ENOMEM. */
struct cg_program *cg_program_create(const char *name, int shape, const struct cg_target *targets, size_t count,
                                     size_t columns);
void cg_program_destroy(struct cg_program *program);

/* Memory for one text, reused for the next. */
struct cg_scratch {
    uint64_t *numbers; /* with their kinds */
    uint8_t *kinds;
    size_t capacity;
    struct cg_cells cells;
};
/* False if out of memory. */
bool cg_scratch_init(struct cg_scratch *scratch);
void cg_scratch_clear(struct cg_scratch *scratch);

/* The cells of one row of a frame. */
struct cg_row_cells {
    int64_t *values;
    uint8_t *statuses;
    int32_t *errors;
};

/* The state of one control file of one row. */
struct cg_text_state {
    struct cg_program *program;
    uint8_t layout; /* the last one that fitted */
    bool unknown;   /* the file had a number without a target */
};

/* Writes the numbers of a text to the cells of the program's targets. */
void cg_put_text(struct cg_scratch *scratch, const struct cg_row_cells *cells, struct cg_text_state *state,
                 const char *text, size_t length);

/* Writes the same status and errno to all cells of a program. */
void cg_put_failure(const struct cg_row_cells *cells, const struct cg_program *program, uint8_t status, int error);

#endif
