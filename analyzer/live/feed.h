/*
 * feed.h - where the readings of `heapspy live` come from: the state of a running
 * process, or, for a run whose process is not to be found here, its snapshot
 * files as they appear.
 */
#ifndef HEAPSPY_ANALYZER_LIVE_FEED_H
#define HEAPSPY_ANALYZER_LIVE_FEED_H

#include <stdbool.h>

#include "analyzer/fail.h"
#include "analyzer/read/snapshot_reader.h"

struct feed;

struct feed_reading {
	struct snapshot *snapshot; /* the caller's; NULL: nothing new since the last reading */
	struct snapshot *first; /* the caller's; what to compare the first reading with, or NULL */
	bool ended;             /* there will be no more */
	bool stopped;           /* by a signal such as SIGSTOP */
	bool from_files;
};

/*
 * text is a process id, or a run directory; of a run whose process still lives, the process is
 * read. *outp is the caller's, for feed_close(). Returns -1 with f filled.
 */
int feed_open(const char *text, struct feed **outp, struct fail *f);

/*
 * The next reading; the first one has a snapshot, and where files are read the first of the run
 * beside it, if that is another one. After ended there is none. Returns -1 with f filled when
 * nothing could be read; the next try may succeed.
 */
int feed_read(struct feed *feed, struct feed_reading *reading, struct fail *f);

/*
 * Writes a snapshot file of the process as it is now, as `heapspy snapshot PID` does. message
 * gets its name, or why there is none.
 */
void feed_write(struct feed *feed, char *message, size_t message_bytes);

/* NULL is fine. */
void feed_close(struct feed *feed);

#endif
