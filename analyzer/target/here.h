/* here.h - which boot, and which namespaces, this command runs in: what pids and paths mean. */
#ifndef HEAPSPY_ANALYZER_HERE_H
#define HEAPSPY_ANALYZER_HERE_H

#include <stdbool.h>
#include <stdint.h>

#include "state.h"

struct here {
	uint8_t boot_id[16];                     /* 0 unknown */
	uint64_t pid_namespace, mount_namespace; /* inode numbers; 0 unknown */
	bool sees_all;                           /* no process is hidden from us by a namespace */
};

/* Read once. Not thread-safe at the first call. */
const struct here *here_get(void);

/* Whether the state was made since this machine was started; true where that is unknown. */
bool here_is_same_boot(const struct state_header *state);

/* Whether pids in the state, and paths, are numbers and paths of ours; true where unknown. */
bool here_shares_pids(const struct state_header *state);
bool here_shares_paths(const struct state_header *state);

#endif
