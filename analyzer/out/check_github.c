/*
 * check_github.c - owns the workflow commands by which GitHub marks lines of a change.
 *
 *	::error file=NAME,line=N,title=TEXT::TEXT
 *
 * In texts '%', CR and LF come as %25, %0D, %0A; in properties ':' and ',' as %3A, %2C as well
 * ("Workflow commands for GitHub Actions", and escapeData() and escapeProperty() of its toolkit).
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyzer/out/check.h"

static void add_escaped(struct strbuf *out, const char *text, bool is_property)
{
	struct strbuf safe = { 0 };
	size_t i;

	/* Escapes of terminals mean nothing there, and neither do bytes that are no text. */
	strbuf_add_escaped(&safe, text, strlen(text));
	for (i = 0; i < safe.bytes; i++) {
		char c = safe.data[i];

		if (c == '%' || c == '\r' || c == '\n' || (is_property && (c == ':' || c == ',')))
			strbuf_addf(out, "%%%02X", (unsigned)c);
		else
			strbuf_add_char(out, c);
	}
	strbuf_deinit(&safe);
}

/* Files are named from the top of the checkout, which debug information does not know. */
static const char *relative(const char *file)
{
	const char *workspace = getenv("GITHUB_WORKSPACE");
	char cwd[PATH_MAX];
	size_t bytes;

	if (!workspace || !workspace[0])
		workspace = getcwd(cwd, sizeof(cwd));
	bytes = workspace ? strlen(workspace) : 0;
	if (bytes && !strncmp(file, workspace, bytes) && file[bytes] == '/')
		return file + bytes + 1;
	return strncmp(file, "./", 2) ? file : file + 2;
}

/* A site where its code is, everything else at its line of the budget. */
static void add_place(struct strbuf *out, const struct check_view *v, const struct check_row *row)
{
	const char *file = NULL;
	unsigned line = 0;

	if (row->place.file && row->place.line) {
		file = relative(row->place.file);
		line = row->place.line;
	} else if (v->budget_path && row->budget_line) {
		file = relative(v->budget_path);
		line = row->budget_line;
	}
	if (!file)
		return;
	strbuf_add_text(out, "file=");
	add_escaped(out, file, true);
	strbuf_addf(out, ",line=%u,", line);
}

void check_github(const struct check_view *v, struct strbuf *out)
{
	size_t i;

	for (i = 0; i < v->report->n_rows; i++) {
		const struct check_row *row = &v->report->rows[i];
		struct strbuf sentence = { 0 }, title = { 0 };
		char *name;

		if (row->verdict != CHECK_FAIL)
			continue;
		name = report_row_title(row, false);
		strbuf_addf(&title, "heapspy: %s", name);
		check_add_sentence(&sentence, row);
		strbuf_add_text(out, "::error ");
		add_place(out, v, row);
		strbuf_add_text(out, "title=");
		add_escaped(out, title.data, true);
		strbuf_add_text(out, "::");
		add_escaped(out, sentence.data ? sentence.data : title.data, false);
		strbuf_add_char(out, '\n');
		strbuf_deinit(&sentence);
		strbuf_deinit(&title);
		free(name);
	}
}
