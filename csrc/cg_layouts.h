/* cg_layouts.h - the text of a control file into the cells of its row. */
#ifndef CG_LAYOUTS_H
#define CG_LAYOUTS_H

#include "cg.h"

enum { CG_KNOWN_MAX = 8 /* layouts of one program: cgroups differ, as a root does */ };

/* A layout, and the first target of each of its numbers, or -1. */
struct cg_known {
    struct cg_layout layout;
    int32_t *targets;
    void *memory; /* literals, ends and targets */
};

/* A program and the layouts that its files were seen to have. */
struct cg_learned {
    const struct cg_program *program;
    struct cg_known known[CG_KNOWN_MAX];
    unsigned count;
    unsigned next; /* to be learned anew when all places are taken */
};
void cg_learned_clear(struct cg_learned *learned);

/* Memory for one text, used again for the next. */
struct cg_scratch {
    uint64_t *numbers; /* with their kinds */
    uint8_t *kinds;
    size_t capacity;
    struct cg_cells cells;
};
/* False when out of memory. */
bool cg_scratch_init(struct cg_scratch *scratch);
void cg_scratch_clear(struct cg_scratch *scratch);

/* The cells of one row of a frame. */
struct cg_row_cells {
    int64_t *values;
    uint8_t *statuses;
    int32_t *errors;
};

/* What is known of one control file of one row. */
struct cg_text_state {
    struct cg_learned *learned;
    uint8_t layout; /* that fitted last */
    bool unknown;   /* it had a number without a target */
};

/* Writes the numbers of a text to the cells that the program says. */
void cg_put_text(struct cg_scratch *scratch, const struct cg_row_cells *cells, struct cg_text_state *state,
                 const char *text, size_t length);

/* Writes the same status and errno to all cells of a program. */
void cg_put_failure(const struct cg_row_cells *cells, const struct cg_program *program, uint8_t status, int error);

#endif
