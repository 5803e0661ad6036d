/* test_live_screen.c - the screens of heapspy live, from made-up readings, without a terminal. */
#undef NDEBUG
#include "tests/unit/tap.h"
#include "tests/unit/snapshot_fixture.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "analyzer/live/model.h"
#include "analyzer/live/ndjson.h"
#include "analyzer/live/paint.h"
#include "analyzer/live/screen.h"
#include "analyzer/live/view.h"

#define MINUTE  60000000000ull
#define N_SITES 40

static const struct options no_options = { .color = "never", .hide = "none" };

/* A reading: site i holds (N_SITES - i) samples of 4 KiB, site 0 `more` besides, born just before.
 */
static struct feed_reading reading_at(uint64_t cut_ns, unsigned more, uint64_t bytes_seen)
{
	struct feed_reading reading = { 0 };
	struct fixture_bytes file;
	struct fixture x;
	struct fail f = { 0 };
	unsigned i, j;

	fixture_init(&x, 1, cut_ns);
	x.info.bytes_seen = x.info.bytes_seen_end = bytes_seen;
	x.info.rss_bytes = 100 << 20;
	x.info.self_ns = cut_ns / 1000 * 3;
	fixture_add_module(&x, 1, "/usr/bin/api", 0x400000);
	for (i = 0; i < N_SITES; i++)
		fixture_add_stack(&x, i + 1, 0x401000 + 0x1000 * i, 3);
	for (i = 0; i < N_SITES; i++)
		for (j = 0; j < N_SITES - i + (i ? 0 : more); j++) {
			struct heapspy_sample s = fixture_sample(0x100000 * (i + 1) + 16 * j, 4096,
				j < N_SITES ? 1 : cut_ns - 1, i + 1, j * 2654435769u);

			fixture_add_sample(&x, &s);
		}
	file = fixture_build(&x, 0);
	if (snapshot_decode(file.data, file.bytes, "file", 0, &reading.snapshot, &f) < 0)
		printf("# %s\n", f.text);
	free(file.data);
	fixture_deinit(&x);
	return reading;
}

static struct figures *figures_of(struct model *model)
{
	struct fail f = { 0 };
	struct figures *fig = model_figures(model, &f);

	if (!fig)
		printf("# %s\n", f.text);
	return fig;
}

/* Three readings a minute apart; site 0 grows by 60 samples in each. */
static struct figures *three_readings(struct model **modelp)
{
	struct fail f = { 0 };
	struct figures *fig = NULL;
	unsigned i;

	*modelp = model_new(&no_options, &f);
	for (i = 0; i < 3; i++) {
		struct feed_reading reading =
			reading_at((i + 1) * MINUTE, 60 * i, 6000000000ull * (i + 1));

		model_add(*modelp, &reading);
		figures_free(fig);
		fig = figures_of(*modelp);
	}
	return fig;
}

static bool shows(const struct screen *screen, const char *words)
{
	int i;

	for (i = 0; i < screen->n_lines; i++)
		if (screen->lines[i].text.data && strstr(screen->lines[i].text.data, words))
			return true;
	return false;
}

static void print(const struct screen *screen)
{
	int i;

	for (i = 0; i < screen->n_lines; i++)
		printf("# |%s\n", screen->lines[i].text.data ? screen->lines[i].text.data : "");
}

/* As many lines as the view has, none too wide, nothing that steers a terminal. */
static bool is_whole(const struct screen *screen, const struct view *view)
{
	bool good = screen->n_lines == view->lines && screen->cursor_column < view->columns;
	int i;

	for (i = 0; i < screen->n_lines; i++) {
		const char *p = screen->lines[i].text.data ? screen->lines[i].text.data : "";

		good = good && strbuf_columns(p) <= view->columns;
		for (; *p; p++)
			good = good && (unsigned char)*p >= 0x20 && *p != 0x7f;
	}
	return good;
}

static void press(struct view *view, const struct figures *fig, enum key_kind kind, uint32_t code)
{
	struct key key = { kind, code };

	view_key(view, &key, fig);
}

static void type(struct view *view, const struct figures *fig, const char *text)
{
	for (; *text; text++)
		press(view, fig, KEY_CHARACTER, (unsigned char)*text);
}

static void test_every_size_is_whole(void)
{
	static const char *const states[] = { "", "g", "d", "a", "j", "?", "/",
		"/abcdefghijklmnop" };
	struct model *model;
	struct figures *fig = three_readings(&model);
	int columns, lines;
	size_t i;

	for (i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		for (columns = 1; columns < 220; columns += columns < 90 ? 1 : 13)
			for (lines = 1; lines < 60; lines += lines < 8 ? 1 : 17) {
				struct screen screen;
				struct view view;

				view_init(&view, false, NULL);
				view_set_size(&view, columns, lines);
				view_set_figures(&view, fig);
				type(&view, fig, states[i]);
				if (i == 4)
					press(&view, fig, KEY_ENTER, 0);
				screen_init(&screen, fig, &view);
				CHECK(is_whole(&screen, &view));
				if (!is_whole(&screen, &view)) {
					printf("# %d x %d in '%s'\n", columns, lines, states[i]);
					print(&screen);
				}
				screen_deinit(&screen);
				view_deinit(&view);
			}
	figures_free(fig);
	model_free(model);
}

static struct screen render(const struct figures *fig, int columns, int lines, const char *keys)
{
	struct screen screen;
	struct view view;

	view_init(&view, true, NULL);
	view_set_size(&view, columns, lines);
	if (fig)
		view_set_figures(&view, fig);
	type(&view, fig, keys);
	screen_init(&screen, fig, &view);
	view_deinit(&view);
	return screen;
}

static void test_narrow_and_wide(void)
{
	struct model *model;
	struct figures *fig = three_readings(&model);
	struct screen screen = render(fig, 60, 15, "");

	CHECK(!strcmp(screen.lines[0].text.data,
		"api  pid 4121  0:03:00  cpu 0.3 %  per 512 KiB  lost 0"));
	CHECK(!strncmp(screen.lines[1].text.data, "live 472 MiB (", 14));
	CHECK(shows(&screen, "rss 100 MiB   alloc 95.4 MiB/s"));
	CHECK(!strcmp(screen.lines[2].text.data, "       live  95 % range       +/min  where"));
	/* 160 samples of 526339 bytes; 60 of them, 30.1 MiB, in the last minute. */
	CHECK(!strcmp(screen.lines[3].text.data, "   80.3 MiB  68.4..93.7    30.1 MiB  api+0xfff"));
	/* Nine more rows fit: 30 of 40 are left out, and counted. */
	CHECK(!strncmp(screen.lines[12].text.data, "   15.6 MiB", 11));
	CHECK(!strncmp(screen.lines[13].text.data, "-- 30 more sites, ", 18));
	CHECK(screen.lines[13].text.bytes == 60);
	screen_deinit(&screen);

	screen = render(fig, 200, 50, "");
	CHECK(shows(&screen, "CPU of profiler 0.3 %  interval 512 KiB  lost 0"));
	CHECK(!strcmp(screen.lines[0].text.data + 194, "[q]uit"));
	CHECK(!strcmp(screen.lines[2].text.data,
		"       live  95 % range       +/min  since mark   alloc/s  where"));
	CHECK(!strncmp(screen.lines[3].text.data,
		"   80.3 MiB  68.4..93.7    30.1 MiB    60.2 MiB            api+0xfff", 60));
	CHECK(shows(&screen, "api+0x27fff") && !shows(&screen, "more site"));
	CHECK(shows(&screen, "w write snapshot"));
	screen_deinit(&screen);
	figures_free(fig);
	model_free(model);
}

static void test_columns_go_one_by_one(void)
{
	static const char *const titles[] = { "+/min", "since mark", "alloc/s" };
	struct model *model;
	struct figures *fig = three_readings(&model);
	int columns, i, last = 3;

	for (columns = 120; columns > 30; columns--) {
		struct screen screen = render(fig, columns, 15, "");
		int n = 0;

		/* What is there are the first ones, and never more on a narrower screen. */
		while (n < 3 && strstr(screen.lines[2].text.data, titles[n]))
			n++;
		for (i = n; i < 3; i++)
			CHECK(!strstr(screen.lines[2].text.data, titles[i]));
		CHECK(n <= last && n + 1 >= last);
		last = n;
		CHECK(columns < 45 || strstr(screen.lines[2].text.data, "where"));
		screen_deinit(&screen);
	}
	CHECK(last == 0);
	figures_free(fig);
	model_free(model);
}

static void test_orders(void)
{
	struct model *model;
	struct figures *fig = three_readings(&model);
	struct screen screen = render(fig, 100, 15, "g");

	CHECK(!strncmp(screen.lines[2].text.data, "       +/min   95 % range      live", 35));
	CHECK(!strncmp(screen.lines[3].text.data, " +  30.1 MiB", 12));
	CHECK(screen.lines[3].mark == TABLE_RED);
	CHECK(!screen.lines[4].text.bytes);
	CHECK(!strncmp(screen.lines[13].text.data, "-- 39 unchanged -", 17));
	screen_deinit(&screen);
	screen = render(fig, 100, 15, "d");
	CHECK(!strncmp(screen.lines[2].text.data, "   since mark   95 % range", 26));
	CHECK(!strncmp(screen.lines[3].text.data, " +   60.2 MiB", 13));
	screen_deinit(&screen);
	screen = render(fig, 100, 15, "a");
	CHECK(shows(&screen, "No allocation was sampled."));
	screen_deinit(&screen);

	/* Marked now: nothing has grown since then. */
	figures_free(fig);
	model_mark(model);
	fig = figures_of(model);
	screen = render(fig, 100, 15, "d");
	CHECK(shows(&screen, "Marked; waiting for the next reading."));
	screen_deinit(&screen);
	figures_free(fig);
	model_free(model);
}

static void test_without_figures(void)
{
	struct screen screen = render(NULL, 80, 24, "jkg\x0cq");

	CHECK(shows(&screen, "reading the process and its symbols ..."));
	CHECK(shows(&screen, "q quit"));
	screen_deinit(&screen);
}

static void test_first_reading(void)
{
	struct fail f = { 0 };
	struct model *model = model_new(&no_options, &f);
	struct feed_reading reading = reading_at(MINUTE, 0, 1000);
	struct figures *fig;
	struct screen screen;

	model_add(model, &reading);
	fig = figures_of(model);
	screen = render(fig, 100, 15, "");
	CHECK(shows(&screen, "alloc -"));
	CHECK(!shows(&screen, "growth over") && !shows(&screen, "watched for"));
	screen_deinit(&screen);
	screen = render(fig, 100, 15, "g");
	CHECK(shows(&screen, "Waiting for a second reading."));
	screen_deinit(&screen);
	figures_free(fig);
	model_free(model);
}

/* What lies between two words of the second line. */
static size_t n_drawn_between(const struct screen *screen, const char *from, const char *to)
{
	const char *p = strstr(screen->lines[1].text.data, from), *end = p ? strstr(p, to) : NULL;
	size_t n = 0;

	for (p = p ? p + strlen(from) : end; p && p < end; p++)
		n += *p != ' ';
	return n;
}

static void test_rss_that_is_not_known(void)
{
	struct fail f = { 0 };
	struct model *model = model_new(&no_options, &f);
	struct feed_reading reading = reading_at(MINUTE, 0, 1000);
	struct figures *fig;
	struct screen screen;

	/* Never known: neither a word nor a picture; that of what is live is one reading wide. */
	reading.snapshot->info.rss_bytes = 0;
	model_add(model, &reading);
	fig = figures_of(model);
	screen = render(fig, 100, 15, "");
	CHECK(!shows(&screen, "rss"));
	CHECK(n_drawn_between(&screen, ")", "alloc -") == 1);
	screen_deinit(&screen);
	figures_free(fig);

	/* Not known any more: the last that was. */
	reading = reading_at(2 * MINUTE, 0, 2000);
	model_add(model, &reading);
	reading = reading_at(3 * MINUTE, 0, 3000);
	reading.snapshot->info.rss_bytes = 0;
	reading.ended = true;
	model_add(model, &reading);
	fig = figures_of(model);
	screen = render(fig, 100, 15, "");
	CHECK(shows(&screen, "ended") && shows(&screen, "rss 100 MiB"));
	CHECK(fig->series[2].rss_bytes == fig->series[1].rss_bytes);
	screen_deinit(&screen);
	figures_free(fig);
	model_free(model);
}

static void test_run_that_has_ended(void)
{
	struct fail f = { 0 };
	struct model *model = model_new(&no_options, &f);
	struct feed_reading first = reading_at(MINUTE, 0, 1000);
	struct feed_reading reading = reading_at(3 * MINUTE, 60, 2000);
	struct figures *fig;
	struct screen screen;

	reading.first = first.snapshot;
	reading.ended = reading.from_files = true;
	model_add(model, &reading);
	fig = figures_of(model);
	CHECK(fig->n_series == 1);
	screen = render(fig, 100, 15, "g");
	/* 30.1 MiB in two minutes. */
	CHECK(!strncmp(screen.lines[3].text.data, " +  15.1 MiB", 12));
	CHECK(shows(&screen, "growth over 2 min"));
	screen_deinit(&screen);
	screen = render(fig, 100, 15, "d");
	CHECK(!strncmp(screen.lines[3].text.data, " +   30.1 MiB", 13));
	screen_deinit(&screen);
	figures_free(fig);
	model_mark(model);
	fig = figures_of(model);
	screen = render(fig, 100, 15, "d");
	CHECK(shows(&screen, "The process has ended: there is nothing to compare with."));
	screen_deinit(&screen);
	figures_free(fig);
	model_free(model);
}

static void test_selection_stays_with_its_site(void)
{
	struct model *model;
	struct figures *fig = three_readings(&model), *later;
	struct feed_reading reading = reading_at(4 * MINUTE, 0, 24000000000ull);
	struct screen screen;
	struct view view;

	view_init(&view, true, NULL);
	view_set_size(&view, 100, 15);
	view_set_figures(&view, fig);
	press(&view, fig, KEY_DOWN, 0);
	CHECK(view.selected == 0 && view.has_selection);
	press(&view, fig, KEY_PAGE_DOWN, 0);
	CHECK(view.selected == 10 && view.first == 1);
	press(&view, fig, KEY_END, 0);
	CHECK(view.selected == N_SITES - 1 && view.first == N_SITES - 10);
	press(&view, fig, KEY_HOME, 0);
	CHECK(view.selected == 0 && view.first == 0);
	type(&view, fig, "j");
	screen_init(&screen, fig, &view);
	CHECK(!strncmp(screen.lines[4].text.data, ">  19.6 MiB", 11));
	CHECK(screen.lines[4].look == SCREEN_SELECTED);
	CHECK(shows(&screen, "-- 1..10 of 40, others "));
	screen_deinit(&screen);

	/* Sorted by growth the site has no row: the selection takes what there is. */
	type(&view, fig, "g");
	CHECK(view.n_rows == 1 && view.selected == 0);
	type(&view, fig, "l");
	CHECK(view.selected == 0);
	type(&view, fig, "j");

	/* The first site shrinks to where it was; the second, which is selected, stays. */
	model_add(model, &reading);
	later = figures_of(model);
	view_set_figures(&view, later);
	CHECK(view.selected == 1);
	press(&view, later, KEY_ENTER, 0);
	CHECK(view.mode == VIEW_STACKS);
	screen_init(&screen, later, &view);
	CHECK(shows(&screen, "1 stack of api+0x1fff"));
	CHECK(shows(&screen, "19.6 MiB (13.9..26.7) live, 39 samples"));
	CHECK(screen.n_scroll == 4);
	screen_deinit(&screen);
	press(&view, later, KEY_ESCAPE, 0);
	CHECK(view.mode == VIEW_TABLE && view.has_selection);
	press(&view, later, KEY_ESCAPE, 0);
	CHECK(!view.has_selection);
	view_deinit(&view);
	figures_free(fig);
	figures_free(later);
	model_free(model);
}

static void test_filter(void)
{
	struct model *model;
	struct figures *fig = three_readings(&model), *less;
	struct screen screen;
	struct view view;
	struct key enter = { KEY_ENTER, 0 }, escape = { KEY_ESCAPE, 0 };

	view_init(&view, true, NULL);
	view_set_size(&view, 100, 15);
	view_set_figures(&view, fig);
	type(&view, fig, "/api[+]0xfff$");
	screen_init(&screen, fig, &view);
	CHECK(!strcmp(screen.lines[14].text.data, "filter /api[+]0xfff$"));
	CHECK(screen.cursor_column == 20);
	screen_deinit(&screen);
	CHECK(view_key(&view, &enter, fig) == VIEW_SET_FILTER &&
		!strcmp(view.filter, "api[+]0xfff$"));
	model_set_focus(model, view.filter);
	less = figures_of(model);
	view_set_figures(&view, less);
	screen_init(&screen, less, &view);
	CHECK(shows(&screen, "/api[+]0xfff$/: 1 of 40 sites"));
	CHECK(view.n_rows == 1);
	/* The header is still about everything. */
	CHECK(less->total.sum.bytes == fig->total.sum.bytes);
	screen_deinit(&screen);
	figures_free(less);

	model_set_focus(model, "there is no such thing");
	less = figures_of(model);
	view_set_figures(&view, less);
	screen_init(&screen, less, &view);
	CHECK(shows(&screen, "no samples match"));
	CHECK(is_whole(&screen, &view));
	screen_deinit(&screen);
	figures_free(less);

	/* A mistake leaves what was typed, and the filter as it was. */
	type(&view, fig, "/(");
	CHECK(view_key(&view, &enter, fig) == VIEW_NOTHING && view.editing && view.message[0]);
	CHECK(!strcmp(view.filter, "api[+]0xfff$"));
	/* Escape ends the editing, then the filter, and then has nothing more to end. */
	CHECK(view_key(&view, &escape, fig) == VIEW_NOTHING && !view.editing && view.filter);
	CHECK(view_key(&view, &escape, fig) == VIEW_SET_FILTER && !view.filter);
	CHECK(view_key(&view, &escape, fig) == VIEW_NOTHING);
	view_deinit(&view);
	figures_free(fig);
	model_free(model);
}

/* Growth is measured from a minute ago, whatever the time between readings. */
static void test_span_of_growth(void)
{
	struct fail f = { 0 };
	struct model *model = model_new(&no_options, &f);
	struct figures *fig;
	unsigned i;

	for (i = 0; i < 200; i++) {
		struct feed_reading reading = reading_at((i + 1) * MINUTE / 60, 0, i);

		model_add(model, &reading);
		if (i % 50)
			continue;
		fig = figures_of(model);
		CHECK(i ? fig->recent_s >= fmin(i, 60) && fig->recent_s < 66
			: isnan(fig->recent_s));
		CHECK(i ? fig->mark_s == i : isnan(fig->mark_s));
		figures_free(fig);
	}
	model_free(model);
}

static void test_another_process_starts_afresh(void)
{
	struct model *model;
	struct figures *fig = three_readings(&model);
	struct feed_reading reading = reading_at(4 * MINUTE, 0, 10);

	figures_free(fig);
	reading.snapshot->info.start_id++;
	model_add(model, &reading);
	fig = figures_of(model);
	CHECK(isnan(fig->recent_s) && isnan(fig->mark_s) && fig->n_series == 1);
	figures_free(fig);
	model_free(model);
}

static size_t count(const struct strbuf *text, const char *what)
{
	size_t n = 0;
	const char *p;

	for (p = text->data ? text->data : ""; (p = strstr(p, what)) != NULL; p++)
		n++;
	return n;
}

static void test_paint(void)
{
	struct model *model;
	struct figures *fig = three_readings(&model);
	struct screen one = render(fig, 80, 24, ""), same = render(fig, 80, 24, "");
	struct screen moved = render(fig, 80, 24, "j"), edited = render(fig, 80, 24, "/ab");
	struct strbuf out = { 0 };

	paint_add(&out, &one, NULL, true);
	CHECK(count(&out, ";1H") == 24 && !strstr(out.data, "\033[2J"));
	strbuf_clear(&out);
	paint_add(&out, &same, &one, true);
	CHECK(out.bytes == 0);
	/* The selected row, and the rule that now counts. */
	paint_add(&out, &moved, &one, true);
	CHECK(count(&out, ";1H") == 2 && count(&out, "\033[7m") == 1);
	strbuf_clear(&out);
	paint_add(&out, &edited, &one, true);
	CHECK(strstr(out.data, "\033[24;11H\033[?25h"));
	strbuf_clear(&out);
	paint_add(&out, &one, &edited, true);
	CHECK(!strncmp(out.data, "\033[?25l", 6));
	strbuf_deinit(&out);
	screen_deinit(&one);
	screen_deinit(&same);
	screen_deinit(&moved);
	screen_deinit(&edited);
	figures_free(fig);
	model_free(model);
}

static void test_line_of_json(void)
{
	struct model *model;
	struct figures *fig = three_readings(&model);
	struct strbuf out = { 0 };

	ndjson_add(&out, fig);
	CHECK(strchr(out.data, '\n') == out.data + out.bytes - 1);
	CHECK(strstr(
		out.data, "{\"schema\":\"heapspy.live/1\", \"program\":\"api\", \"pid\":4121"));
	CHECK(strstr(out.data, "\"profiler_cpu\":0.003000"));
	CHECK(strstr(out.data, "\"growth_per_minute\":{\"bytes\":31580340"));
	CHECK(strstr(out.data, "\"bytes_per_second\":100000000"));
	CHECK(count(&out, "\"where\":") == N_SITES);
	strbuf_deinit(&out);
	figures_free(fig);
	model_free(model);
}

int main(void)
{
	TAP_RUN(test_every_size_is_whole);
	TAP_RUN(test_narrow_and_wide);
	TAP_RUN(test_columns_go_one_by_one);
	TAP_RUN(test_orders);
	TAP_RUN(test_without_figures);
	TAP_RUN(test_first_reading);
	TAP_RUN(test_rss_that_is_not_known);
	TAP_RUN(test_run_that_has_ended);
	TAP_RUN(test_selection_stays_with_its_site);
	TAP_RUN(test_filter);
	TAP_RUN(test_span_of_growth);
	TAP_RUN(test_another_process_starts_afresh);
	TAP_RUN(test_paint);
	TAP_RUN(test_line_of_json);
	return tap_done();
}
