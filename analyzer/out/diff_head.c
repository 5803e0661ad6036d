/* diff_head.c - owns what `heapspy diff` says before its table: what was compared, and the answer.
 */
#include <string.h>

#include "analyzer/out/diff.h"
#include "analyzer/out/moment_json.h"
#include "analyzer/units.h"

bool diff_noise_is_joint(const struct comparison *c)
{
	return !compare_is_still(&c->noise.sums) &&
	       (c->noise.growth.range.lo > 0 || c->noise.growth.range.hi < 0);
}

void diff_add_range(struct strbuf *out, const struct diff_view *v, const struct growth *g)
{
	if (v->comparison->exact)
		strbuf_add_text(out, "exact");
	else
		units_add_range(out, g->range.lo, g->range.hi, g->bytes);
}

void diff_add_growth(
	struct strbuf *out, const struct diff_view *v, const struct growth *g, bool is_signed)
{
	struct growth shown = *g;

	if (!is_signed && g->bytes < 0)
		shown = (struct growth){ -g->bytes, { -g->range.hi, -g->range.lo } };
	units_add_bytes(out, shown.bytes);
	strbuf_add_text(out, " (");
	diff_add_range(out, v, &shown);
	strbuf_add_char(out, ')');
}

static void add_process(struct strbuf *out, const struct snapshot *s)
{
	const char *comm = input_comm(s);

	strbuf_add_escaped(out, comm, strlen(comm));
	strbuf_addf(out, " (pid %u)", s->info.pid);
}

static void add_notes(struct strbuf *out, const struct diff_view *v)
{
	static const char *const names[] = { "A", "B", "C" };
	const struct input *inputs[] = { v->a, v->b, v->third };
	unsigned i;

	for (i = 0; i < 3; i++) {
		if (!inputs[i])
			continue;
		if (inputs[i]->moment.note[0]) {
			strbuf_addf(out, "%s: ", names[i]);
			strbuf_add_escaped(
				out, inputs[i]->moment.note, strlen(inputs[i]->moment.note));
			strbuf_add_char(out, '\n');
		}
		if (inputs[i]->snapshot->info.reason == HEAPSPY_REASON_PEAK)
			strbuf_addf(out,
				"%s: taken when the heap was at its highest so far; that is "
				"rather too much than too little\n",
				names[i]);
	}
}

/* When, and how it is called if it has a name. */
static void add_time(struct strbuf *out, const struct snapshot *s)
{
	const char *label = snapshot_string(s, s->info.label);

	units_add_clock(out, s->info.cut_ns);
	/* The others are what a reader expects, or have a label. */
	if (s->info.reason == HEAPSPY_REASON_EXIT || s->info.reason >= HEAPSPY_REASON_PEAK)
		strbuf_addf(out, " (%s)", moment_reason_text(s->info.reason));
	if (!label[0])
		return;
	strbuf_add_text(out, " (");
	strbuf_add_escaped(out, label, strlen(label));
	strbuf_add_char(out, ')');
}

/* What RSS and sizes of blocks owe to the allocator, nobody should look for in the program. */
static void add_allocators(struct strbuf *out, const struct snapshot *a, const struct snapshot *b)
{
	const char *of_a = input_allocator(a), *of_b = input_allocator(b);

	if (!of_a[0] || !of_b[0] || !strcmp(of_a, of_b))
		return;
	strbuf_add_text(out, "Different allocators: malloc of ");
	strbuf_add_escaped(out, of_a, strlen(of_a));
	strbuf_add_text(out, " before, of ");
	strbuf_add_escaped(out, of_b, strlen(of_b));
	strbuf_add_text(out, " after.\n");
}

static void add_title(struct strbuf *out, const struct diff_view *v)
{
	const struct snapshot *a = v->a->snapshot, *b = v->b->snapshot;
	const struct comparison *c = v->comparison;
	uint64_t first_bytes = profile_interval_bytes(a, a->level);

	add_process(out, a);
	strbuf_add_text(out, "  ");
	add_time(out, a);
	strbuf_add_text(out, " -> ");
	if (!c->same_process) {
		add_process(out, b);
		strbuf_add_text(out, "  ");
	}
	add_time(out, b);
	if (v->third) {
		strbuf_add_text(out, ", still live at ");
		add_time(out, v->third->snapshot);
	}
	strbuf_add_text(out, "   ");
	input_add_interval(out, c->interval_bytes[1]);
	if (first_bytes != c->interval_bytes[1]) {
		strbuf_add_text(out, " (before: ");
		input_add_interval(out, first_bytes);
		strbuf_add_char(out, ')');
	}
	strbuf_add_char(out, '\n');
	if (!c->same_process)
		strbuf_add_text(out, "Different processes: nothing cancels, ranges are those of "
				     "two estimates.\n");
	add_allocators(out, a, b);
	add_notes(out, v);
}

static void add_rss(struct strbuf *out, const struct diff_view *v)
{
	double a = (double)v->a->snapshot->info.rss_bytes;
	double b = (double)v->b->snapshot->info.rss_bytes;

	if (!(a > 0) || !(b > 0))
		return;
	strbuf_add_text(out, b < a ? " RSS " : " RSS +");
	units_add_bytes(out, b - a);
	strbuf_add_char(out, '.');
}

static void add_sites(struct strbuf *out, size_t n, const char *did)
{
	units_add_count(out, n);
	strbuf_addf(out, " site%s %s", n == 1 ? "" : "s", did);
}

static void add_counts(struct strbuf *out, const struct diff_view *v)
{
	const struct comparison *c = v->comparison;

	strbuf_add_char(out, ' ');
	if (c->is_one_sided) {
		add_sites(out, c->n_rows, c->what == COMPARE_KEPT ? "kept some.\n" : "did.\n");
		return;
	}
	add_sites(out, c->n_grew, "grew, ");
	units_add_count(out, c->n_shrank);
	strbuf_add_text(out, " shrank, ");
	units_add_count(out, c->n_noise);
	strbuf_add_text(out, diff_noise_is_joint(c) ? " uncertain.\n" : " unchanged.\n");
}

/* "Live heap", or of what part. */
static const char *what_grew(const struct diff_view *v)
{
	const struct sites_filter *filter = &v->options->filter;
	bool part = filter->focus || filter->ignore || filter->module;

	if (v->comparison->what == COMPARE_ALLOCATED)
		return part ? "The matching part of what was allocated" : "What was allocated";
	return part ? "The matching part of the live heap" : "Live heap";
}

static void add_still(struct strbuf *out, const struct diff_view *v)
{
	const struct comparison *c = v->comparison;

	strbuf_add_text(out, "No change seen (");
	if (c->exact) {
		strbuf_add_text(out, "exact");
	} else {
		strbuf_add_text(out, "resolution +-");
		units_add_bytes(out, growth_resolution_bytes(c->interval_bytes[1], INTERVAL_Z95));
	}
	strbuf_addf(out, "). %s: ", what_grew(v));
	units_add_bytes(out, c->total.sums.after.bytes);
	strbuf_add_char(out, '.');
}

static void add_grown(struct strbuf *out, const struct diff_view *v)
{
	const struct compare_row *total = &v->comparison->total;

	strbuf_addf(out, "%s %s by ", what_grew(v),
		total->verdict == COMPARE_GREW     ? "grew"
		: total->verdict == COMPARE_SHRANK ? "shrank"
						   : "changed within noise,");
	diff_add_growth(out, v, &total->growth, total->verdict == COMPARE_NOISE);
	strbuf_add_text(out, ", from ");
	units_add_bytes(out, total->sums.before.bytes);
	strbuf_add_text(out, " to ");
	units_add_bytes(out, total->sums.after.bytes);
	strbuf_add_char(out, '.');
}

/* What was allocated between two moments of a process is known to the byte, all sites together. */
static void add_allocated(struct strbuf *out, const struct diff_view *v)
{
	const struct sites_filter *filter = &v->options->filter;

	diff_add_growth(out, v, &v->comparison->total.growth, false);
	strbuf_add_text(out, " was allocated in between");
	if (!filter->focus && !filter->ignore && !filter->module) {
		strbuf_add_text(out, ", exact count ");
		units_add_bytes(out, (double)v->b->snapshot->info.bytes_seen -
					     (double)v->a->snapshot->info.bytes_seen);
	}
	strbuf_add_char(out, '.');
}

void diff_add_head(const struct diff_view *v, struct strbuf *out)
{
	const struct comparison *c = v->comparison;

	add_title(out, v);
	if (c->what == COMPARE_KEPT) {
		diff_add_growth(out, v, &c->total.growth, false);
		strbuf_add_text(out, " of what A to B allocated was still live at C.");
	} else if (c->is_one_sided) {
		add_allocated(out, v);
	} else if (compare_is_still(&c->total.sums)) {
		add_still(out, v);
	} else {
		add_grown(out, v);
	}
	if (c->what == COMPARE_LIVE)
		add_rss(out, v);
	add_counts(out, v);
}
