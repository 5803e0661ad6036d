/* doctor_text.c - owns the text of `heapspy doctor`. */
#include "analyzer/out/doctor.h"

#include <string.h>

#define LEVEL_COLUMN 6

const char *doctor_level_name(enum doctor_level level)
{
	static const char *const names[] = { "ok", "note", "bad" };

	return names[level];
}

static void add_level(struct strbuf *out, enum doctor_level level, const struct table_style *style)
{
	const char *name = doctor_level_name(level);

	table_add_colored(out, style, level == DOCTOR_BAD ? TABLE_RED : TABLE_PLAIN, name);
	strbuf_pad(out, ' ', LEVEL_COLUMN - (int)strlen(name));
}

void doctor_text(const struct doctor_report *report, const struct table_style *style, bool quiet,
	struct strbuf *out)
{
	size_t i, name_column = 0;

	for (i = 0; i < report->n_checks; i++)
		if (name_column < strlen(report->checks[i].name) + 2)
			name_column = strlen(report->checks[i].name) + 2;
	for (i = 0; i < report->n_checks; i++) {
		const struct doctor_check *check = &report->checks[i];

		if (quiet && check->level == DOCTOR_OK)
			continue;
		add_level(out, check->level, style);
		strbuf_add_text(out, check->name);
		strbuf_pad(out, ' ', (int)(name_column - strlen(check->name)));
		strbuf_add_escaped(out, check->text, strlen(check->text));
		strbuf_add_char(out, '\n');
	}
	add_level(out, report->level, style);
	strbuf_add_escaped(out, report->verdict.data, report->verdict.bytes);
	if (report->next.bytes) {
		strbuf_add_text(out, "; next: ");
		strbuf_add_escaped(out, report->next.data, report->next.bytes);
	}
	strbuf_add_char(out, '\n');
}
