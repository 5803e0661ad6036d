/*
 * state_source.h - where the bytes of a state come from: its file, or, where it
 * has none, the memory of its process. Only read() and its kin are used: a file
 * that somebody cuts short is an error then, not SIGBUS.
 */
#ifndef HEAPSPY_ANALYZER_STATE_SOURCE_H
#define HEAPSPY_ANALYZER_STATE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "analyzer/fail.h"
#include "state.h"

struct state_source {
	int fd;           /* of the file; -1: memory */
	uint32_t pid;     /* as seen from here */
	uint64_t address; /* of the state in the process; 0: not looked for */
	uid_t uid;        /* owner of the file or of the process */
	bool is_gone;     /* the process, or its image: at its addresses lies something else */
};

/*
 * The state of process pid, found by its memory map, so that it does not matter
 * where the file lies, in which mount namespace, or whether it still has a name.
 * header is filled with the first bytes, checked by state_source_check().
 * Returns -1 with f filled: no such process, not under heapspy, not readable.
 */
int state_source_find(
	struct state_source *source, uint32_t pid, struct state_header *header, struct fail *f);

/*
 * The state in the file called name of directory dir_fd, for reading, and with
 * writable for the words of the lease too. Returns 0, or -errno: -EAGAIN when it is
 * not complete yet, -EINVAL when it is none.
 */
int state_source_open(struct state_source *source, int dir_fd, const char *name, bool writable,
	struct state_header *header);

/* The same of a process that is known to be dead: its pid is not looked for. */
int state_source_open_dead(
	struct state_source *source, int dir_fd, const char *name, struct state_header *header);

void state_source_close(struct state_source *source);

/* Whether there is memory behind that many bytes: a header can claim anything. */
bool state_source_holds(const struct state_source *source, uint64_t bytes);

/* Whether all bytes could be read. */
bool state_source_read(const struct state_source *source, uint64_t offset, void *out, size_t bytes);

/* Whether all bytes could be written; of a source opened writable. */
bool state_source_write(
	const struct state_source *source, uint64_t offset, const void *data, size_t bytes);

/* Whether header can be one: magic, version, sizes in order. Ends its strings. */
bool state_source_check(struct state_header *header);

#endif
