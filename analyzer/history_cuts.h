/*
 * history_cuts.h - what history.c needs of the choice of cuts: leaving out those that turn out to
 * be unreadable.
 */
#ifndef HEAPSPY_ANALYZER_HISTORY_CUTS_H
#define HEAPSPY_ANALYZER_HISTORY_CUTS_H

#include "analyzer/history.h"

/* Leaves out cuts[i] where bad[i] (n_cuts of them); at least one stays. Makes the plan anew. */
void history_cuts_drop(struct history *h, const bool *bad);

/* Counts an unreadable snapshot; the first failure is kept. */
void history_cuts_failed(struct history *h, const struct fail *why);

#endif
