/*
 * csv.h - writes a table as comma-separated values (RFC 4180, lines end with LF)
 * into a strbuf: commas and quotes.
 *
 * Text that is no UTF-8 comes with U+FFFD for every wrong byte. All zero but out is a
 * table without cells.
 */
#ifndef HEAPSPY_ANALYZER_CSV_H
#define HEAPSPY_ANALYZER_CSV_H

#include <stdbool.h>
#include <stdint.h>

#include "analyzer/sites.h"
#include "analyzer/stats/interval.h"
#include "analyzer/strbuf.h"

struct csv {
	struct strbuf *out;
	bool need_comma;
};

/* NULL text is an empty cell. */
void csv_text(struct csv *csv, const char *text);

/* Rounded to a whole number; what is not finite is an empty cell. */
void csv_whole(struct csv *csv, double value);

/* With digits decimals; as above. */
void csv_decimal(struct csv *csv, double value, int digits);

/* Two cells of whole numbers. */
void csv_interval(struct csv *csv, const struct interval *range);

void csv_line_end(struct csv *csv);

/* A line of text cells, such as the first one; "a,b,c". */
void csv_header(struct csv *csv, const char *names);

/* Five cells: function, file, line, module, inlined_into. */
#define CSV_PLACE_HEADER "function,file,line,module,inlined_into"
void csv_place(struct csv *csv, const struct site *site);

#endif
