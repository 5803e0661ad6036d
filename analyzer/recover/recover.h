/*
 * recover.h - a state that a dead process left behind becomes the last snapshot of
 * its run.
 */
#ifndef HEAPSPY_ANALYZER_RECOVER_H
#define HEAPSPY_ANALYZER_RECOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyzer/fail.h"
#include "analyzer/stats/interval.h"
#include "analyzer/target/dead_states.h"
#include "analyzer/target/live_state.h"
#include "heapspy/snapshot.h"

struct recover_how {
	const char
		*dir; /* each gets a directory of its own in there; NULL: where its process wrote */
	bool dry_run; /* nothing is written, nothing removed */
	bool keep;    /* the state stays, too */
	bool remove_damaged;
};

/* A state and what has become of it. */
struct recovered {
	struct dead_state state;
	char file[4352]; /* its path */
	bool is_told;    /* the figures below are there: it is one that tells */
	bool is_written; /* its snapshot is in place, and was read again */
	bool is_removed;
	bool is_elsewhere; /* where its process wrote, we do not: not in dir either */
	struct fail f;     /* exit_code not 0: why it was not recovered, or not removed */
	struct live_state_written written;
	struct heapspy_info info;
	double live_bytes;
	struct interval live_range;
};

/*
 * Deals with one judged state of directory dir_fd, which is called dir. A state is removed when its
 * snapshot has been written, read again and handed to the disk, when there is nothing to tell, or
 * when it is damaged and that was asked for; no other. out->f tells of failures. Of several
 * that are at it at once one deals with it; for the others it is unclear, or none any more.
 */
void recover_one(int dir_fd, const char *dir, const struct dead_state *state,
	const struct recover_how *how, struct recovered *out);

#endif
