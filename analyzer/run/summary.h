/* summary.h - what heapspy run says at its end. */
#ifndef HEAPSPY_ANALYZER_SUMMARY_H
#define HEAPSPY_ANALYZER_SUMMARY_H

#include "analyzer/run/session.h"
#include "analyzer/strbuf.h"

/*
 * Adds the lines about a session that has ended, each without prefix and with a
 * newline: how it went, what there is now, and which command comes next. name: of
 * the command. Counts the snapshots of the process that matters.
 */
void summary_add(struct strbuf *out, const struct session *s, const char *name);

#endif
