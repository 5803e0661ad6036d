/*
 * perf_map.h - names of code made at run time, from the map that the program
 * writes for profilers: /tmp/perf-PID.map, a line "START SIZE NAME" a function,
 * numbers in hexadecimal. Format: linux, tools/perf/Documentation/jit-interface.txt.
 *
 * Anybody may write to /tmp: a map counts only if it is a plain file of the
 * process's user and not older than the process. What is in it is still only
 * text to print.
 */
#ifndef HEAPSPY_SYMBOLS_PERF_MAP_H
#define HEAPSPY_SYMBOLS_PERF_MAP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "analyzer/symbols/process.h"

struct perf_map;

/* No more is read of a file, and no more lines are kept. */
#define PERF_MAP_MAX_BYTES (64u << 20)
#define PERF_MAP_MAX_LINES (1u << 20)

/*
 * Opens the map of a process. While it lives: below /tmp as the process sees
 * it, by the number it has for itself, of its user. When it is gone and its
 * number not used again: below our /tmp, of user dead_uid; not after a reboot.
 * Either way last written at started_wall_ns (since 1970) or later. NULL:
 * there is no such map.
 */
struct perf_map *perf_map_open(
	const struct process_id *id, uint64_t started_wall_ns, uid_t dead_uid);

/*
 * The map in an open file, if it is a regular one of owner's, not written before
 * not_before_ns; NULL otherwise. fd stays open.
 */
struct perf_map *perf_map_read(int fd, uid_t owner, int64_t not_before_ns);

/*
 * The map in n_bytes of text. Lines that make no sense are left out, as is a
 * last line without its end. NULL when out of memory.
 */
struct perf_map *perf_map_parse(const char *text, size_t n_bytes);

/*
 * The function at an address, by the last of the lines that cover it: code is
 * replaced, the map only grows. NULL: none. Belongs to map.
 */
const char *perf_map_find(const struct perf_map *map, uint64_t pc);

/* NULL is fine. */
void perf_map_free(struct perf_map *map);

#endif
