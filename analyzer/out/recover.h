/* recover.h - the outputs of `heapspy recover`. */
#ifndef HEAPSPY_ANALYZER_OUT_RECOVER_H
#define HEAPSPY_ANALYZER_OUT_RECOVER_H

#include "analyzer/out/table.h"
#include "analyzer/recover/recover.h"
#include "analyzer/strbuf.h"

struct recover_view {
	const struct recovered *all;
	size_t n;
	const struct recover_how *how;
	const char *where; /* the directory, or "" where several or single files were named */
};

/* A line a state that tells something, then what became of all, and what to do next. */
void recover_text(
	const struct recover_view *v, const struct table_style *style, struct strbuf *out);

/* One object, schema heapspy.recover/1: all states that are not of the living. */
void recover_json(const struct recover_view *v, struct strbuf *out);

#endif
