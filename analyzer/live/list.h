/*
 * list.h - what `heapspy live` can show: the processes under heapspy, a line each.
 */
#ifndef HEAPSPY_ANALYZER_LIVE_LIST_H
#define HEAPSPY_ANALYZER_LIVE_LIST_H

#include "analyzer/out/table.h"
#include "analyzer/strbuf.h"

/* Adds the list by pid, and the command that comes next; one line when there is none. */
void list_add(struct strbuf *out, const struct table_style *style);

#endif
