/* exercise.c - runs reader, profile, comparison, ranking and all outputs on given bytes. */
#undef NDEBUG
#include "tests/fuzz/exercise.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/compare.h"
#include "analyzer/out/diff.h"
#include "analyzer/out/dump.h"
#include "analyzer/out/top.h"
#include "analyzer/read/snapshot_reader.h"

static struct snapshot *base_snapshot;

/* Finds a number that no figure may be. */
static void check_rows(const struct comparison *c)
{
	size_t i;

	for (i = 0; i < c->n_rows; i++) {
		const struct growth *g = &c->rows[i].growth;

		assert(g->bytes == g->bytes && g->range.lo == g->range.lo &&
			g->range.hi == g->range.hi);
		assert(g->range.lo <= g->bytes && g->bytes <= g->range.hi);
	}
}

/* Groups for all stacks of p; the weights are those of nothing in particular. */
static int make_sites(struct sites *sites, struct source_frames *sf, const struct profile *p,
	enum sites_by by, const char *hide)
{
	bool *wanted = malloc(p->n_stacks + 1);
	double *weights = malloc((p->n_stacks + 1) * sizeof(*weights));
	struct sites_filter filter = { .ignore = "nothing_is_called_this" };
	struct fail f = { 0 };
	size_t i;
	int rc;

	for (i = 0; i < p->n_stacks; i++) {
		wanted[i] = true;
		weights[i] = 1 + (double)(i % 7);
	}
	rc = source_frames_init(sf, p, hide, wanted, &f);
	assert(rc == 0);
	rc = sites_init(sites, sf, by, &filter, weights, &f);
	if (rc < 0)
		source_frames_deinit(sf);
	free(wanted);
	free(weights);
	return rc;
}

static void run_diff(const struct snapshot *a, const struct snapshot *b, bool same_process)
{
	struct options options = { .n_rows = 5,
		.by = SITES_BY_LINE,
		.has_stacks = true,
		.n_stacks = 2,
		.color = "never" };
	struct input inputs[2] = { { .snapshot = (struct snapshot *)a },
		{ .snapshot = (struct snapshot *)b } };
	struct strbuf out = { 0 };
	struct source_frames sf;
	struct comparison c;
	struct profile p;
	struct sites sites;
	struct diff_view view = { .options = &options,
		.a = &inputs[0],
		.b = &inputs[1],
		.arguments = "A B",
		.comparison = &c,
		.sites = &sites,
		.style = { .columns = 80 } };
	bool *shown;

	profile_init(&p);
	profile_add(&p, a);
	profile_add(&p, b);
	compare_init(&c, &p, same_process);
	if (make_sites(&sites, &sf, &p, SITES_BY_LINE, same_process ? NULL : "none") == 0) {
		compare_group(&c, sites.group_of, sites.n_stacks, sites.n_sites);
		check_rows(&c);
		shown = diff_choose_rows(&view);
		diff_text(&view, shown, &out);
		strbuf_clear(&out);
		diff_json(&view, &out);
		free(shown);
		sites_deinit(&sites);
		source_frames_deinit(&sf);
	}
	strbuf_deinit(&out);
	compare_deinit(&c);
	profile_deinit(&p);
}

static void run_top(const struct snapshot *s, bool allocated, bool by_thread)
{
	struct options options = { .n_rows = 5,
		.by = SITES_BY_SITE,
		.by_thread = by_thread,
		.metric = allocated ? METRIC_ALLOCATED : METRIC_OBJECTS,
		.color = "never" };
	struct input input = { .snapshot = (struct snapshot *)s };
	struct strbuf out = { 0 };
	struct source_frames sf;
	struct ranking r;
	struct profile p;
	struct sites sites;
	struct top_view view = { .options = &options,
		.input = &input,
		.profile = &p,
		.ranking = &r,
		.sites = &sites,
		.style = { .columns = 80 } };

	profile_init(&p);
	profile_add(&p, s);
	ranking_init(&r, &p, allocated);
	if (make_sites(&sites, &sf, &p, SITES_BY_SITE, "none") == 0) {
		ranking_group(&r, &p, sites.group_of, sites.n_sites, by_thread,
			allocated ? RANKING_BY_BYTES : RANKING_BY_BLOCKS);
		view.n_shown = top_choose_rows(&r, &options);
		top_text(&view, &out);
		strbuf_clear(&out);
		top_json(&view, &out);
		sites_deinit(&sites);
		source_frames_deinit(&sf);
	}
	strbuf_deinit(&out);
	ranking_deinit(&r);
	profile_deinit(&p);
}

static void run_dump(const struct snapshot *s)
{
	struct input input = { .snapshot = (struct snapshot *)s };
	struct dump_view view = { .input = &input, .live = true, .stacks = true };
	struct strbuf out = { 0 };
	double estimate, difference;

	dump_text(&view, &out);
	strbuf_clear(&out);
	dump_json(&view, &out);
	strbuf_deinit(&out);
	profile_self_test(s, &estimate, &difference);
}

/* What a reader of many snapshots relies on: samples of this file, and no strings. */
static void check_live(const struct snapshot *s)
{
	size_t i;

	assert(!s->n_stacks && !s->n_modules && !snapshot_string(s, s->info.comm)[0]);
	for (i = 0; i < s->n_samples; i++) {
		assert(HEAPSPY_SAMPLE_BIRTH_NS(&s->samples[i]) <= s->info.cut_ns);
		assert(HEAPSPY_SAMPLE_BIRTH_LEVEL(&s->samples[i]) <= s->level);
	}
}

enum exercise_result exercise_snapshot(
	const uint8_t *data, size_t bytes, const uint8_t *base, size_t base_bytes)
{
	struct snapshot *s = NULL;
	struct fail f = { 0 };

	/* The names that the user's heapspy remembers are not for this. */
	if (!base_snapshot)
		setenv("HEAPSPY_CACHE", "off", 1);
	if (!base_snapshot && snapshot_decode(base, base_bytes, "base", 0, &base_snapshot, &f) < 0)
		abort();
	if (snapshot_decode(data, bytes, "partial", SNAPSHOT_PARTIAL, &s, &f) == 0) {
		run_dump(s);
		snapshot_free(s);
	}
	if (snapshot_decode_live(data, bytes, "mutant", &s, &f) == 0) {
		check_live(s);
		snapshot_free(s);
	}
	if (snapshot_decode(data, bytes, "mutant", 0, &s, &f) < 0) {
		if (f.exit_code == EXIT_CODE_INPUT && f.text[0] && !strchr(f.text, '\n') &&
			strstr(f.text, "'mutant'"))
			return EXERCISE_REFUSED;
		printf("# exit %d: %s\n", f.exit_code, f.text);
		return EXERCISE_WRONG;
	}
	run_diff(base_snapshot, s, true);
	run_diff(s, base_snapshot, false);
	run_top(s, false, true);
	run_top(s, true, false);
	run_dump(s);
	snapshot_free(s);
	return EXERCISE_USED;
}

void exercise_end(void)
{
	snapshot_free(base_snapshot);
	base_snapshot = NULL;
}
