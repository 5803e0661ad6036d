/*
 * processes.h - the processes that have libheapspy.so loaded, as far as this user
 * may look into them.
 */
#ifndef HEAPSPY_ANALYZER_PROCESSES_H
#define HEAPSPY_ANALYZER_PROCESSES_H

#include <stddef.h>
#include <stdint.h>

/* Their pids, ascending, but our own; *pidsp is the caller's, for free(). Returns how many. */
size_t processes_find(uint32_t **pidsp);

/* The name that the kernel has for process pid, "" when it is not there any more. */
void processes_read_comm(uint32_t pid, char comm[32]);

#endif
