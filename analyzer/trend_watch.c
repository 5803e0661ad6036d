/*
 * trend_watch.c - owns the loop between a run that grows and the looks at it. What a look is,
 * trend_look.c knows.
 */
#include "analyzer/trend_watch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "analyzer/live/terminal.h"
#include "analyzer/read/run_dir.h"
#include "analyzer/trend_look.h"

#define POLL_MS 500

struct watch {
	struct options options;
	struct trend_watching watching;
	struct trend_look *look;
	uint64_t last_number; /* of the files when the look was taken */
	uint64_t n_looks;
	bool on_terminal;
	bool quit;
};

/*
 * How many bytes of a line go on one of the screen: broken at a space where it is longer. Rows of
 * the table fit, and colours are only in these.
 */
static size_t bytes_that_fit(const char *line, size_t bytes, int columns)
{
	size_t i, space = 0;

	for (i = 0; i < bytes && line[i] != '\033'; i++) {
		if (line[i] == ' ')
			space = i;
		columns -= ((unsigned char)line[i] & 0xc0) != 0x80;
		if (columns < 0)
			return space ? space : bytes;
	}
	return bytes;
}

/* The lines of a look that fit, and how to leave. */
static int paint(struct watch *w, struct fail *f)
{
	struct strbuf text = { 0 }, screen = { 0 };
	const char *line;
	int columns, lines, n = 0;

	terminal_size(&columns, &lines);
	if (trend_look_show(w->look, columns, &text, f) < 0) {
		strbuf_deinit(&text);
		return -1;
	}
	strbuf_add_text(&screen, "\033[H");
	for (line = text.data; line && *line && n < lines - 1; n++) {
		size_t bytes = bytes_that_fit(line, strcspn(line, "\n"), columns);

		strbuf_add(&screen, line, bytes);
		strbuf_add_text(&screen, "\033[0m\033[K\r\n");
		line += bytes;
		line += *line == '\n' || *line == ' ';
	}
	strbuf_addf(&screen, "\033[J%s%sq quit", line && *line ? "... " : "",
		trend_look_has_ended(w->look) ? "the run has ended   " : "");
	if (!terminal_write(screen.data, screen.bytes))
		w->quit = true;
	strbuf_deinit(&text);
	strbuf_deinit(&screen);
	return 0;
}

static int print(struct watch *w, struct fail *f)
{
	struct strbuf text = { 0 };
	int rc = 0;

	if (w->n_looks && !w->options.json)
		strbuf_add_char(&text, '\n');
	rc = trend_look_show(w->look, 0, &text, f);
	/* Who reads along must not wait for a buffer to fill. */
	if (rc == 0 && (fwrite(text.data, 1, text.bytes, stdout) < text.bytes || fflush(stdout)))
		rc = fail_set(
			f, EXIT_CODE_OTHER, "cannot write 'standard output': %s", strerror(errno));
	/* What is said of a run is said once. */
	if (rc == 0 && !w->n_looks)
		trend_look_warn(w->look);
	w->options.quiet = true;
	strbuf_deinit(&text);
	return rc;
}

static int take(struct watch *w, struct fail *f)
{
	struct trend_look *look;

	/* A file that comes while the others are read makes the next look. */
	w->last_number = run_dir_last_number(w->options.args[0]);
	if (trend_look_take(&w->options, &w->watching, &look, f) < 0)
		return -1;
	trend_look_free(w->look);
	w->look = look;
	if ((w->on_terminal ? paint(w, f) : print(w, f)) < 0)
		return -1;
	w->n_looks++;
	if (w->options.count && w->n_looks >= w->options.count)
		w->quit = true;
	return 0;
}

static int obey_terminal(struct watch *w, struct fail *f)
{
	unsigned seen = terminal_wait(-1, POLL_MS);
	char keys[64];
	size_t i, n;

	if (seen & TERMINAL_ENDED)
		w->quit = true;
	if (seen & TERMINAL_KEYS) {
		n = terminal_read(keys, sizeof(keys));
		for (i = 0; i < n; i++)
			w->quit |= keys[i] == 'q' || keys[i] == 'Q';
	}
	return seen & TERMINAL_REPAINT ? paint(w, f) : 0;
}

static int loop(struct watch *w, struct fail *f)
{
	const struct timespec pause = { .tv_nsec = POLL_MS * 1000000l };

	if (take(w, f) < 0)
		return -1;
	while (!w->quit && (w->on_terminal || !trend_look_has_ended(w->look))) {
		if (w->on_terminal) {
			if (obey_terminal(w, f) < 0)
				return -1;
		} else {
			nanosleep(&pause, NULL);
		}
		if (!w->quit && run_dir_last_number(w->options.args[0]) != w->last_number &&
			take(w, f) < 0)
			return -1;
	}
	return 0;
}

/* The last look stays on the screen, with what could not be said across it. */
static int leave(struct watch *w, bool quiet, struct fail *f)
{
	struct strbuf text = { 0 };
	int rc;

	w->options.quiet = quiet;
	rc = trend_look_show(w->look, 0, &text, f);
	if (rc == 0) {
		terminal_write(text.data, text.bytes);
		trend_look_warn(w->look);
		terminal_obey_signal();
	}
	strbuf_deinit(&text);
	return rc;
}

int trend_watch(const struct options *o, struct fail *f)
{
	struct watch w = { .options = *o,
		.watching.in_watch = true,
		.on_terminal = terminal_is_there() && !o->json };
	int rc;

	w.watching.symbols = symbols_new();
	if (!w.watching.symbols)
		return fail_set(f, EXIT_CODE_OTHER, "out of memory for symbols");
	/* Warnings would lie across the screen. */
	w.options.quiet |= w.on_terminal;
	if (w.on_terminal && terminal_open(f) < 0) {
		symbols_free(w.watching.symbols);
		return -1;
	}
	rc = loop(&w, f);
	if (w.on_terminal) {
		terminal_close();
		if (rc == 0)
			rc = leave(&w, o->quiet, f);
	}
	if (rc == 0 && o->exit_code && trend_look_has_leaks(w.look))
		rc = EXIT_CODE_GATE;
	trend_look_free(w.look);
	symbols_free(w.watching.symbols);
	return rc;
}
