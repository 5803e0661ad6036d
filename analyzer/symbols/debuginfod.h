/*
 * debuginfod.h - debug files from the servers in DEBUGINFOD_URLS.
 *
 * A server learns which builds are looked at, so nobody is asked unless that
 * variable is set. The client library is opened at the first question.
 */
#ifndef HEAPSPY_SYMBOLS_DEBUGINFOD_H
#define HEAPSPY_SYMBOLS_DEBUGINFOD_H

#include <stddef.h>
#include <stdint.h>

/*
 * The debug file of a build id: a descriptor and, in *pathp, the path in the
 * client's cache for free(). -1, and *pathp NULL: DEBUGINFOD_URLS is not set,
 * there is no client library, or no server has it. May take as long as
 * DEBUGINFOD_TIMEOUT and the transfer do.
 */
int debuginfod_find(const uint8_t *build_id, size_t build_id_len, char **pathp);

#endif
