/* symbols_progress.c - owns the line of progress. When there is any is symbols/'s to say. */
#include "analyzer/symbols_progress.h"

#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "analyzer/clock.h"
#include "analyzer/strbuf.h"
#include "analyzer/units.h"

/* Back to the first column, and clear from there. */
#define ERASE "\r\033[K"

static bool is_allowed = true;

void symbols_progress_allow(bool allowed)
{
	is_allowed = allowed;
}

void symbols_progress_begin(struct symbols_progress *progress, int fd)
{
	*progress = (struct symbols_progress){ .fd = -1 };
	if (!is_allowed || !isatty(fd))
		return;
	progress->fd = fd;
	progress->next_ns = clock_ns(CLOCK_MONOTONIC) + SYMBOLS_PROGRESS_DELAY_NS;
}

/* What cannot be written is not missed. */
static void put(int fd, const char *text, size_t bytes)
{
	ssize_t ignored = write(fd, text, bytes);

	(void)ignored;
}

static int columns_of(int fd)
{
	struct winsize size;

	return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/* at: what is at work just now; "": that has no name. */
static void show(struct symbols_progress *progress, const char *what, size_t n_done,
	size_t n_wanted, const char *at)
{
	struct strbuf name = { 0 }, line = { 0 };
	uint64_t now;

	if (progress->fd < 0)
		return;
	now = clock_ns(CLOCK_MONOTONIC);
	if (now < progress->next_ns)
		return;
	progress->next_ns = now + SYMBOLS_PROGRESS_STEP_NS;
	strbuf_add_escaped(&name, at, strlen(at));
	strbuf_addf(&line, ERASE "heapspy: %s: ", what);
	units_add_count(&line, n_done);
	strbuf_add_text(&line, " of ");
	units_add_count(&line, n_wanted);
	/* A line that wraps could not be erased: the name is left out where it does not fit. */
	if (name.bytes &&
		strbuf_columns(line.data + strlen(ERASE)) + 2 + strbuf_columns(name.data) <
			columns_of(progress->fd))
		strbuf_addf(&line, ", %s", name.data);
	put(progress->fd, line.data, line.bytes);
	progress->shown = true;
	strbuf_deinit(&line);
	strbuf_deinit(&name);
}

void symbols_progress_show(void *data, const char *module, size_t n_done, size_t n_wanted)
{
	const char *slash = strrchr(module, '/');

	show(data, "names", n_done, n_wanted, slash && slash[1] ? slash + 1 : module);
}

void symbols_progress_show_count(void *data, const char *what, size_t n_done, size_t n_wanted)
{
	show(data, what, n_done, n_wanted, "");
}

void symbols_progress_end(struct symbols_progress *progress)
{
	if (progress->shown)
		put(progress->fd, ERASE, strlen(ERASE));
	progress->fd = -1;
	progress->shown = false;
}
