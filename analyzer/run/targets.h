/*
 * targets.h - the processes that heapspy run looks after: its descendants whose
 * state names it as the holder of the lease. They are found by their files in the
 * state directory, so it does not matter which of them started whom.
 */
#ifndef HEAPSPY_ANALYZER_TARGETS_H
#define HEAPSPY_ANALYZER_TARGETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyzer/fail.h"
#include "analyzer/stats/peak.h"
#include "analyzer/target/live_state.h"
#include "preload/state/near_limit.h"

/* One program image of one process, from its first sample to its end. */
struct target {
	struct live_state *live; /* NULL once it has ended and is done with */
	char name[128];          /* of the state's file */
	uint32_t pid;
	char comm[16];
	int pidfd;               /* readable once the process has ended; -1: none */
	uint64_t attended_ns;    /* when it was looked after last, */
	uint64_t memory_ns;      /* and its RSS looked at */
	uint64_t interval_ns;    /* between snapshots; 0: none on time */
	uint64_t start_ns;       /* of the grid they lie on */
	uint64_t due_ns;         /* CLOCK_MONOTONIC of the next snapshot on time; 0 none */
	uint64_t peak_from_ns;   /* there is none at a peak before */
	uint32_t near_limit_ppm; /* at which a snapshot is due; taken once, too */
	struct near_limit near_limit;
	uint64_t limit_looked_ns, limit_pause_ns;
	uint64_t pictured_bytes; /* the most live bytes in a snapshot of ours */
	bool writes_itself;      /* HEAPSPY_WRITER=thread and the like: we only watch */
	bool not_interposed;     /* another malloc stands before heapspy's */
	bool is_damaged;         /* its state, so that nothing can be read of it */
	bool wrote_end;          /* it gave us up for lost, and wrote its last snapshot itself */
	bool wrote_some;         /* snapshots of its own: by a label, or without us */
	unsigned n_failures;     /* snapshots that could not be written */
	/* For the summary. */
	char dir[1100]; /* of its snapshots; "": none was written */
	unsigned n_snapshots;
	uint64_t samples, lost, self_ns, lifetime_ns, own_bytes;
	uint64_t live_bytes; /* an estimate */
	struct peak peak;
	uint64_t rss_peak_bytes; /* as last seen; 0 unknown */
};

/* A file that was still being made, or for which there was no descriptor. */
struct targets_unready {
	char *name;
	uint64_t orphaned_ns; /* from when on a maker that is no more will not finish it */
	uint64_t until_ns;    /* when to give it up */
};

struct targets {
	struct target *all; /* in order of appearance */
	size_t n, capacity;
	size_t n_untold; /* ended without anything worth a snapshot; not in the list */
	int dir_fd, inotify_fd;
	uint32_t own_pid;
	uint64_t own_start_ticks;
	char dir[512];       /* of the run, as the command itself expands it; "": not known */
	char **environment;  /* whose HEAPSPY_DIR each new program expands for itself; NULL: all use
				dir */
	uint64_t keep_bytes; /* on disk, for the snapshots of each process; 0: any amount */
	struct targets_unready *unready;
	size_t n_unready, unready_capacity;
	unsigned n_failures;
	struct fail first_failure; /* of writing a snapshot */
};

/* Watches the state directory from now on. Returns -1 with f filled. */
int targets_init(struct targets *t, const char *state_dir, struct fail *f);

/*
 * Writes the last snapshots of those that have ended, or are about to, and gives the
 * leases of those that go on back to them: their states stay.
 */
void targets_leave(struct targets *t);

/* After targets_leave(). */
void targets_deinit(struct targets *t);

/* Takes in what is new in the state directory. (targets_find.c) */
void targets_discover(struct targets *t);

/* Ends the images of a process that were before one that began at start_ns: it has called exec. */
void targets_finish_earlier_images(struct targets *t, uint32_t pid, uint64_t start_ns);

/*
 * Everything that is due at now_ns (CLOCK_MONOTONIC): heartbeats, snapshots, the last
 * snapshot and the removal of the state of each that has ended.
 */
void targets_attend(struct targets *t, uint64_t now_ns);

/* When to attend next, at the latest. */
uint64_t targets_next_ns(const struct targets *t, uint64_t now_ns);

/* Whether a process that lives on is in the list. */
bool targets_has(const struct targets *t, uint32_t pid);

/* How many live on. */
size_t targets_n_alive(const struct targets *t);

#endif
