/*
 * trend_look.h - one look of `heapspy trend` at a run: everything between the options and the
 * output. Also what a watch does again and again.
 */
#ifndef HEAPSPY_ANALYZER_TREND_LOOK_H
#define HEAPSPY_ANALYZER_TREND_LOOK_H

#include <stdbool.h>

#include "analyzer/fail.h"
#include "analyzer/options.h"
#include "analyzer/strbuf.h"
#include "analyzer/symbols/symbols.h"

/* Which look it is. All zero: the only one, with progress on the terminal. */
struct trend_watching {
	bool in_watch;
	unsigned look;           /* looks with verdicts so far */
	struct symbols *symbols; /* names kept between looks; NULL outside a watch */
};

struct trend_look;

/*
 * Reads and judges the run that is the argument of o, which must outlive the look. A run too short
 * for verdicts is no failure. Returns -1 with f filled. watching->look counts on when there are
 * verdicts. *lookp is the caller's, for trend_look_free().
 */
int trend_look_take(const struct options *o, struct trend_watching *watching,
	struct trend_look **lookp, struct fail *f);

/* NULL is fine. */
void trend_look_free(struct trend_look *look);

/*
 * Adds the look in the form that the options ask for. columns: of the terminal; 0: those of
 * standard output or, for a file, of none. Of a short run the growth is computed here: returns -1
 * with f filled when it cannot be.
 */
int trend_look_show(struct trend_look *look, int columns, struct strbuf *out, struct fail *f);

/* Prints what a reader of the figures must know, on standard error. After trend_look_show(). */
void trend_look_warn(const struct trend_look *look);

/* Whether some site is leak-like, or hides one that is. */
bool trend_look_has_leaks(const struct trend_look *look);

/* Whether the last snapshot is that of the process's end. */
bool trend_look_has_ended(const struct trend_look *look);

#endif
