/* watch_lines.c - owns the loop that prints a line for each refresh. What is in it is ndjson.c's.
 */
#include "analyzer/live/watch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "analyzer/live/ndjson.h"

#define NS_PER_S 1000000000ull

static int print(const struct figures *fig, struct fail *f)
{
	struct strbuf line = { 0 };
	int rc = 0;

	ndjson_add(&line, fig);
	/* Who reads along must not wait for a buffer to fill. */
	if (fwrite(line.data, 1, line.bytes, stdout) < line.bytes || fflush(stdout))
		rc = fail_set(
			f, EXIT_CODE_OTHER, "cannot write 'standard output': %s", strerror(errno));
	strbuf_deinit(&line);
	return rc;
}

/* One refresh; *endedp is set behind the last one, *printedp when there was news. */
static int refresh(struct watch *watch, bool is_first, bool *endedp, bool *printedp, struct fail *f)
{
	struct feed_reading reading;
	struct figures *fig;
	int rc;

	*printedp = false;
	if (feed_read(watch->feed, &reading, f) < 0) {
		if (is_first)
			return -1;
		/* What cannot be read any more has ended; its last figures are known. */
		reading.ended = true;
	}
	*endedp = reading.ended;
	if (!reading.snapshot && !reading.ended)
		return 0;
	model_add(watch->model, &reading);
	fig = model_figures(watch->model, f);
	if (!fig)
		return -1;
	rc = print(fig, f);
	figures_free(fig);
	*printedp = true;
	return rc;
}

int watch_lines(struct watch *watch, struct fail *f)
{
	struct timespec due;
	bool ended = false, printed;
	uint64_t n = 0;

	clock_gettime(CLOCK_MONOTONIC, &due);
	for (;;) {
		if (refresh(watch, n == 0, &ended, &printed, f) < 0)
			return -1;
		n += printed;
		if (ended || (watch->options->count && n >= watch->options->count))
			return 0;
		due.tv_sec += (time_t)(watch->every_ns / NS_PER_S);
		due.tv_nsec += (long)(watch->every_ns % NS_PER_S);
		if (due.tv_nsec >= (long)NS_PER_S) {
			due.tv_nsec -= (long)NS_PER_S;
			due.tv_sec++;
		}
		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) == EINTR)
			;
	}
}
