/* recover_text.c - owns the words of `heapspy recover`. */
#include "analyzer/out/recover.h"

#include <string.h>

#include "analyzer/units.h"

/* Whether there is a line for it. */
static bool is_shown(const struct recover_view *v, const struct recovered *r)
{
	return r->is_told && (r->is_written || v->how->dry_run);
}

static void add_row(struct table *t, const struct recover_view *v, const struct recovered *r)
{
	const char *path = v->how->dry_run ? r->file : r->written.path;
	struct strbuf cell = { 0 };

	strbuf_add_escaped(&cell, r->state.comm, strlen(r->state.comm));
	table_add_buffer(t, &cell);
	strbuf_addf(&cell, "%u", r->info.pid);
	table_add_buffer(t, &cell);
	units_add_wall_time(&cell, r->info.cut_wall_ns);
	table_add_buffer(t, &cell);
	units_add_bytes(&cell, r->live_bytes);
	table_add_buffer(t, &cell);
	if (r->live_range.lo == r->live_range.hi)
		strbuf_add_text(&cell, "exact");
	else
		units_add_range(&cell, r->live_range.lo, r->live_range.hi, r->live_bytes);
	table_add_buffer(t, &cell);
	strbuf_add_escaped(&cell, path, strlen(path));
	table_add_buffer(t, &cell);
	strbuf_deinit(&cell);
}

static void add_table(
	const struct recover_view *v, const struct table_style *style, struct strbuf *out)
{
	static const char *const heads[] = { "program", "pid", "last seen", "live", "95 % range" };
	size_t i, row, n_rows = 1;
	struct table t;

	table_init(&t, "lrlrrl");
	for (i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
		table_add(&t, heads[i]);
	table_add(&t, v->how->dry_run ? "state" : "snapshot");
	for (i = 0; i < v->n; i++)
		if (is_shown(v, &v->all[i])) {
			add_row(&t, v, &v->all[i]);
			n_rows++;
		}
	for (row = 0; n_rows > 1 && row < n_rows; row++)
		table_render(&t, row, 2, style, TABLE_PLAIN, out);
	if (n_rows > 1)
		strbuf_add_char(out, '\n');
	table_deinit(&t);
}

/* What to look at: the one that held most. Where it has company, what grew. */
static void add_next(const struct recover_view *v, struct strbuf *out)
{
	const struct recovered *most = NULL;
	struct strbuf dir = { 0 };
	size_t i;

	for (i = 0; i < v->n; i++)
		if (v->all[i].is_written && (!most || v->all[i].live_bytes > most->live_bytes))
			most = &v->all[i];
	if (!most)
		return;
	strbuf_add(&dir, most->written.path,
		(size_t)(strrchr(most->written.path, '/') - most->written.path));
	strbuf_addf(out, "Next: heapspy %s ", most->written.number > 1 ? "diff" : "top");
	strbuf_add_shell_word(out, dir.data);
	strbuf_add_char(out, '\n');
	strbuf_deinit(&dir);
}

static void add_count(struct strbuf *out, size_t n, const char *after)
{
	if (out->bytes)
		strbuf_add_text(out, ", ");
	units_add_count(out, n);
	strbuf_addf(out, " state%s %s", n == 1 ? "" : "s", after);
}

void recover_text(const struct recover_view *v, const struct table_style *style, struct strbuf *out)
{
	size_t n_shown = 0, n_nothing = 0, n_failed = 0, i;
	struct strbuf words = { 0 };

	for (i = 0; i < v->n; i++) {
		const struct recovered *r = &v->all[i];

		n_shown += is_shown(v, r);
		n_nothing += dead_state_is_left(&r->state) && r->state.kind != DEAD_STATE_TELLS &&
			     r->state.kind != DEAD_STATE_DAMAGED &&
			     (r->is_removed || v->how->dry_run);
		n_failed += r->f.exit_code != 0;
	}
	if (!n_shown && !n_nothing && !n_failed) {
		strbuf_add_text(out, "No states of dead processes");
		if (v->where[0]) {
			strbuf_add_text(out, " in ");
			strbuf_add_escaped(out, v->where, strlen(v->where));
		}
		strbuf_add_text(out, ".\n");
		return;
	}
	add_table(v, style, out);
	if (n_shown)
		add_count(&words, n_shown, v->how->dry_run ? "to recover" : "recovered");
	if (n_nothing)
		add_count(&words, n_nothing,
			v->how->dry_run ? "to remove, with nothing more to tell"
					: "removed, which had nothing more to tell");
	if (n_failed)
		add_count(&words, n_failed, "not, see above");
	strbuf_add(out, words.data, words.bytes);
	strbuf_deinit(&words);
	strbuf_add_text(out, v->how->dry_run || n_shown ? ".  " : ".\n");
	if (v->how->dry_run)
		strbuf_add_text(out, "Next: heapspy recover\n");
	else if (n_shown)
		add_next(v, out);
}
