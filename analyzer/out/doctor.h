/* doctor.h - the outputs of `heapspy doctor`. */
#ifndef HEAPSPY_ANALYZER_OUT_DOCTOR_H
#define HEAPSPY_ANALYZER_OUT_DOCTOR_H

#include "analyzer/out/table.h"
#include "analyzer/strbuf.h"
#include "analyzer/target/doctor.h"

/* One line a check, its level first; the last line is the verdict. quiet: no `ok` lines. */
void doctor_text(const struct doctor_report *report, const struct table_style *style, bool quiet,
	struct strbuf *out);

/* One object, schema heapspy.doctor/1. */
void doctor_json(const struct doctor_report *report, struct strbuf *out);

/* "ok", "note" or "bad". */
const char *doctor_level_name(enum doctor_level level);

#endif
