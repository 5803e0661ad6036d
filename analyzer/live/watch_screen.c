/*
 * watch_screen.c - owns the loop between keys, figures and the terminal. What a key
 * means is view.c's, what the screen shows screen.c's.
 */
#include "analyzer/live/watch.h"

#include <stdio.h>
#include <string.h>

#include "analyzer/live/keys.h"
#include "analyzer/live/paint.h"
#include "analyzer/live/terminal.h"
#include "analyzer/live/view.h"
#include "analyzer/live/worker.h"
#include "analyzer/out/table.h"
#include "analyzer/units.h"

/* The bytes of one key follow each other faster than this. */
#define KEY_GAP_MS 50

struct show {
	struct watch *watch;
	struct worker *worker;
	struct view view;
	struct keys keys;
	struct figures *figures; /* NULL: none yet */
	struct screen screen;    /* as it stands on the terminal */
	bool is_painted;         /* the terminal shows screen */
	bool color;
	bool quit;
	bool failed;
	struct fail *f;
};

static void paint(struct show *show)
{
	struct strbuf bytes = { 0 };
	struct screen next;

	screen_init(&next, show->figures, &show->view);
	show->view.n_lines = next.n_scroll;
	paint_add(&bytes, &next, show->is_painted ? &show->screen : NULL, show->color);
	if (bytes.bytes && !terminal_write(bytes.data, bytes.bytes))
		show->quit = true;
	screen_deinit(&show->screen);
	show->screen = next;
	show->is_painted = true;
	strbuf_deinit(&bytes);
}

static void take_figures(struct show *show)
{
	uint64_t n_readings;
	struct figures *fig = worker_take(show->worker, &n_readings, &show->failed, show->f);

	if (fig) {
		figures_free(show->figures);
		show->figures = fig;
		view_set_figures(&show->view, fig);
	}
	worker_take_message(show->worker, show->view.message, sizeof(show->view.message));
	if (show->failed ||
		(show->watch->options->count && n_readings >= show->watch->options->count))
		show->quit = true;
}

static void say_marked(struct show *show)
{
	struct strbuf text = { 0 };

	if (!show->figures)
		return;
	strbuf_add_text(&text, "marked ");
	units_add_clock(&text, show->figures->now->snapshot->info.cut_ns);
	strbuf_add_text(&text, ": d sorts by growth since then");
	snprintf(show->view.message, sizeof(show->view.message), "%s", text.data);
	strbuf_deinit(&text);
}

static void obey(struct show *show, enum view_action action)
{
	switch (action) {
	case VIEW_NOTHING:
		break;
	case VIEW_QUIT:
		show->quit = true;
		break;
	case VIEW_MARK:
		worker_mark(show->worker);
		say_marked(show);
		break;
	case VIEW_SET_FILTER:
		worker_set_focus(show->worker, show->view.filter);
		break;
	case VIEW_PAUSE:
		show->view.paused = !show->view.paused;
		worker_pause(show->worker, show->view.paused);
		break;
	case VIEW_WRITE:
		worker_write(show->worker);
		break;
	case VIEW_REPAINT:
		show->is_painted = false;
		break;
	}
}

static void take_keys(struct show *show, bool all_is_there)
{
	struct key key;

	while (!show->quit && keys_next(&show->keys, all_is_there, &key))
		obey(show, view_key(&show->view, &key, show->figures));
}

static void read_keys(struct show *show)
{
	char bytes[64];
	size_t n = terminal_read(bytes, sizeof(bytes));

	keys_add(&show->keys, bytes, n);
	take_keys(show, false);
}

static void loop(struct show *show)
{
	int columns, lines;
	unsigned seen = TERMINAL_REPAINT;

	while (!show->quit) {
		if (seen & TERMINAL_REPAINT) {
			terminal_size(&columns, &lines);
			view_set_size(&show->view, columns, lines);
			show->is_painted = false;
		}
		paint(show);
		if (show->quit)
			break;
		seen = terminal_wait(worker_fd(show->worker), show->keys.n ? KEY_GAP_MS : -1);
		if (seen & TERMINAL_ENDED)
			break;
		if (seen & TERMINAL_OTHER)
			take_figures(show);
		if (seen & TERMINAL_KEYS)
			read_keys(show);
		else if (!seen)
			take_keys(show, true);
	}
}

int watch_screen(struct watch *watch, struct fail *f)
{
	struct show show = { .watch = watch, .f = f };

	show.color = table_style_of(1, watch->options->color).color;
	if (terminal_open(f) < 0)
		return -1;
	show.worker = worker_start(watch->feed, watch->model, watch->every_ns, f);
	if (!show.worker) {
		terminal_close();
		return -1;
	}
	view_init(&show.view, watch->ascii, watch->options->filter.focus);
	loop(&show);
	terminal_close();
	watch->is_abandoned = !worker_stop(show.worker);
	terminal_obey_signal();
	screen_deinit(&show.screen);
	figures_free(show.figures);
	view_deinit(&show.view);
	return show.failed ? -1 : 0;
}
