/* cg_debug.c - if CGROUPS_DEBUG=1 is set, writes one line to stderr for each kind of fallback. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cg.h"

void cg_fallback(atomic_flag *said, const char *taken)
{
    int error = errno;
    if (!atomic_flag_test_and_set(said)) {
        const char *debug = getenv("CGROUPS_DEBUG");
        if (debug != NULL && strcmp(debug, "1") == 0)
            dprintf(STDERR_FILENO, "cgroups: %s\n", taken);
    }
    errno = error;
}
