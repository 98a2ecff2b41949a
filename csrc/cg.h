/* cg.h - what the .c files include: the interface, guarded, and what C needs. */
#ifndef CG_H
#define CG_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cg_abi.h"

_Static_assert(sizeof(size_t) == 8 || sizeof(size_t) == 4, "offsets are 32 bits");
_Static_assert(sizeof(int) == 4, "errno and descriptors cross as 32 bits");
_Static_assert(CHAR_BIT == 8, "control files are bytes");

/* Closes the descriptor of the variable when it leaves its scope. */
#define CG_CLOSE __attribute__((cleanup(cg_close_descriptor), unused))
void cg_close_descriptor(const int *fd);

/* One pread(2) at offset 0, EINTR retried: the bytes read, or -errno. */
int64_t cg_pread(int fd, char *text, size_t capacity);

/* One open(2) of an absolute path as a directory, or -errno. */
int cg_open_directory(const char *path, int flags, int *error_ret);

#endif
