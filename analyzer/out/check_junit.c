/*
 * check_junit.c - owns the JUnit XML of `heapspy check`: the elements that build servers agree
 * on, in XML 1.0 and UTF-8.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/out/check.h"

/* Whether XML 1.0 has the character (section 2.2). */
static bool is_xml(uint32_t code)
{
	return code == '\t' || code == '\n' || code == '\r' || (code >= 0x20 && code <= 0xd7ff) ||
	       (code >= 0xe000 && code <= 0xfffd) || code >= 0x10000;
}

/* Text as an attribute or as content; what XML cannot hold comes as U+FFFD. */
static void add_escaped(struct strbuf *out, const char *text)
{
	size_t bytes = strlen(text), i = 0, n;
	uint32_t code;

	for (; i < bytes; i += n) {
		n = strbuf_utf8_decode(text + i, bytes - i, &code);
		if (n == 0 || !is_xml(code)) {
			strbuf_add_text(out, "\xef\xbf\xbd");
			n = n ? n : 1;
		} else if (code == '<') {
			strbuf_add_text(out, "&lt;");
		} else if (code == '>') {
			strbuf_add_text(out, "&gt;");
		} else if (code == '&') {
			strbuf_add_text(out, "&amp;");
		} else if (code == '"') {
			strbuf_add_text(out, "&quot;");
		} else if (code < ' ') {
			/* As they stand, attributes would turn them into blanks. */
			strbuf_addf(out, "&#%u;", code);
		} else {
			strbuf_add(out, text + i, n);
		}
	}
}

static void add_attribute(struct strbuf *out, const char *name, const char *value)
{
	strbuf_addf(out, " %s=\"", name);
	add_escaped(out, value);
	strbuf_add_char(out, '"');
}

/* Names of sites in full: test cases have to be told apart. */
static void add_name(struct strbuf *out, const struct check_row *row)
{
	char *title = report_row_title(row, true);
	struct strbuf name = { 0 };

	strbuf_addf(&name, "%s%s", title,
		row->name || row->has_from || row->metric > CHECK_PEAK ? "" : " (budget)");
	add_attribute(out, "name", name.data);
	strbuf_deinit(&name);
	free(title);
}

static void add_case(struct strbuf *out, const struct check_row *row)
{
	struct strbuf sentence = { 0 };

	check_add_sentence(&sentence, row);
	strbuf_add_text(out, "    <testcase classname=\"heapspy.check\"");
	add_name(out, row);
	if (row->place.file && row->place.line) {
		char line[24];

		snprintf(line, sizeof(line), "%u", row->place.line);
		add_attribute(out, "file", row->place.file);
		add_attribute(out, "line", line);
	}
	if (row->verdict == CHECK_PASS) {
		strbuf_add_text(out, ">\n      <system-out>");
		add_escaped(out, sentence.data ? sentence.data : "");
		strbuf_add_text(out, "</system-out>\n");
	} else {
		strbuf_addf(
			out, ">\n      <%s", row->verdict == CHECK_FAIL ? "failure" : "skipped");
		add_attribute(out, "message", sentence.data ? sentence.data : "");
		strbuf_add_text(out, "/>\n");
	}
	strbuf_add_text(out, "    </testcase>\n");
	strbuf_deinit(&sentence);
}

void check_junit(const struct check_view *v, struct strbuf *out)
{
	const struct check_report *r = v->report;
	struct strbuf counts = { 0 };
	size_t i;

	strbuf_addf(&counts, " tests=\"%zu\" failures=\"%zu\" errors=\"0\" skipped=\"%zu\"",
		r->n_rows, report_count(r, CHECK_FAIL), report_count(r, CHECK_SKIP));
	strbuf_addf(out,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites%s>\n"
		"  <testsuite name=\"heapspy check\"%s>\n",
		counts.data, counts.data);
	for (i = 0; i < r->n_rows; i++)
		add_case(out, &r->rows[i]);
	strbuf_add_text(out, "  </testsuite>\n</testsuites>\n");
	strbuf_deinit(&counts);
}
