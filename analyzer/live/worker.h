/*
 * worker.h - a thread that reads and works out figures, so that neither the memory of a
 * large process nor the names of a large program keep a key waiting.
 *
 * All functions are for the one thread that made the worker.
 */
#ifndef HEAPSPY_ANALYZER_LIVE_WORKER_H
#define HEAPSPY_ANALYZER_LIVE_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "analyzer/live/feed.h"
#include "analyzer/live/figures.h"
#include "analyzer/live/model.h"

struct worker;

/*
 * Reads feed into model every every_ns, from now on; both belong to the thread until
 * worker_stop(). Returns NULL with f filled.
 */
struct worker *worker_start(
	struct feed *feed, struct model *model, uint64_t every_ns, struct fail *f);

/* Readable when worker_take() may have something. */
int worker_fd(const struct worker *worker);

/*
 * The newest figures since the last call, the caller's for figures_free(); NULL: none.
 * *n_readingsp gets the number of readings so far. A thread that has given up fills f and sets
 * *failedp.
 */
struct figures *worker_take(
	struct worker *worker, uint64_t *n_readingsp, bool *failedp, struct fail *f);

/* Each of these makes new figures of the last reading at once. */
void worker_mark(struct worker *worker);
void worker_set_focus(struct worker *worker, const char *focus);

/* Writes a snapshot file; worker_take_message() then tells how it went. */
void worker_write(struct worker *worker);

/* A message since the last call into text. Returns false when there is none. */
bool worker_take_message(struct worker *worker, char *text, size_t bytes);

void worker_pause(struct worker *worker, bool paused);

/*
 * Ends the thread and frees the worker. Returns false when the thread is in the midst of something
 * long: then it goes on, what it uses must stay, and the process should end.
 */
bool worker_stop(struct worker *worker);

#endif
