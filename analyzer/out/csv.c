/* csv.c - owns the form of comma-separated values. Which columns there are is its callers'. */
#include "analyzer/out/csv.h"

#include <math.h>
#include <string.h>

static void begin_cell(struct csv *csv)
{
	if (csv->need_comma)
		strbuf_add_char(csv->out, ',');
	csv->need_comma = true;
}

void csv_text(struct csv *csv, const char *text)
{
	struct strbuf safe = { 0 };
	const char *at;

	begin_cell(csv);
	if (!text || !text[0])
		return;
	/* What a terminal must not get, a sheet or a pager should not either. */
	strbuf_add_escaped(&safe, text, strlen(text));
	strbuf_add_char(csv->out, '"');
	for (at = safe.data; *at; at++) {
		if (*at == '"')
			strbuf_add_char(csv->out, '"');
		strbuf_add_char(csv->out, *at);
	}
	strbuf_add_char(csv->out, '"');
	strbuf_deinit(&safe);
}

void csv_decimal(struct csv *csv, double value, int digits)
{
	begin_cell(csv);
	if (isfinite(value))
		strbuf_addf(csv->out, "%.*f", digits, value);
}

void csv_whole(struct csv *csv, double value)
{
	/* No "-0". */
	csv_decimal(csv, rint(value) + 0.0, 0);
}

void csv_interval(struct csv *csv, const struct interval *range)
{
	csv_whole(csv, range->lo);
	csv_whole(csv, range->hi);
}

void csv_line_end(struct csv *csv)
{
	strbuf_add_char(csv->out, '\n');
	csv->need_comma = false;
}

void csv_header(struct csv *csv, const char *names)
{
	begin_cell(csv);
	strbuf_add_text(csv->out, names);
	csv_line_end(csv);
}

void csv_place(struct csv *csv, const struct site *site)
{
	/* A row of a whole module has no function, and no place in it. */
	bool has_place = site->function[0] != '\0';

	csv_text(csv, site->function);
	csv_text(csv, has_place ? site->file : NULL);
	csv_decimal(csv, has_place && site->line ? site->line : NAN, 0);
	csv_text(csv, site->module);
	csv_text(csv, has_place ? site->inlined_into : NULL);
}
