/* test_names_progress.c - analyzer/symbols_progress.c on a pseudo-terminal and away from one. */
#include "analyzer/symbols_progress.h"

#include <fcntl.h>
#include <pty.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tests/unit/tap.h"

static int ours, theirs;

/* Written behind what is to be read: the kernel hands on to our end when it comes to it. */
#define MARK '\001'

/* What has come out on the terminal since the last call. */
static const char *shown(void)
{
	static char text[4096];
	const char mark = MARK;
	size_t n = 0;

	CHECK(write(theirs, &mark, 1) == 1);
	while (n < sizeof(text) && read(ours, &text[n], 1) == 1 && text[n] != MARK)
		n++;
	CHECK(n < sizeof(text));
	text[n < sizeof(text) ? n : 0] = '\0';
	return text;
}

static void set_columns(unsigned short columns)
{
	struct winsize size = { .ws_row = 20, .ws_col = columns };

	CHECK(ioctl(theirs, TIOCSWINSZ, &size) == 0);
}

static void test_line(void)
{
	struct symbols_progress progress;
	const char *text;

	set_columns(80);
	symbols_progress_begin(&progress, theirs);
	CHECK(progress.fd == theirs);
	/* A far too early first step: nothing yet, and nothing to erase. */
	progress.next_ns = UINT64_MAX;
	symbols_progress_show(&progress, "/usr/lib/libbig.so.1", 1, 5000);
	symbols_progress_end(&progress);
	CHECK(strcmp(shown(), "") == 0);

	symbols_progress_begin(&progress, theirs);
	progress.next_ns = 0;
	symbols_progress_show(&progress, "/usr/lib/libbig.so.1", 1204, 5000);
	CHECK(strcmp(shown(), "\r\033[Kheapspy: names: 1 204 of 5 000, libbig.so.1") == 0);
	/* The next one is not due for a while. */
	progress.next_ns = UINT64_MAX;
	symbols_progress_show(&progress, "/usr/lib/libbig.so.1", 1300, 5000);
	CHECK(strcmp(shown(), "") == 0);
	progress.next_ns = 0;
	symbols_progress_show(&progress, "a\033[2Jb", 5000, 5000);
	text = shown();
	CHECK(strstr(text, "of 5 000, a") && !strstr(text, "\033[2J"));
	symbols_progress_end(&progress);
	CHECK(strcmp(shown(), "\r\033[K") == 0);
	symbols_progress_end(&progress);
	CHECK(strcmp(shown(), "") == 0);
}

static void test_narrow(void)
{
	struct symbols_progress progress;

	set_columns(40);
	symbols_progress_begin(&progress, theirs);
	progress.next_ns = 0;
	symbols_progress_show(&progress, "/x/a_library_with_a_long_name.so", 1, 2);
	CHECK(strcmp(shown(), "\r\033[Kheapspy: names: 1 of 2") == 0);
	symbols_progress_end(&progress);
	shown();
}

static void test_not_a_terminal(void)
{
	struct symbols_progress progress;
	int ends[2];
	char byte;

	CHECK(pipe2(ends, O_NONBLOCK) == 0);
	symbols_progress_begin(&progress, ends[1]);
	progress.next_ns = 0;
	symbols_progress_show(&progress, "/x/y", 1, 2);
	symbols_progress_end(&progress);
	CHECK(read(ends[0], &byte, 1) < 0);
	close(ends[0]);
	close(ends[1]);
	symbols_progress_allow(false);
	symbols_progress_begin(&progress, theirs);
	progress.next_ns = 0;
	symbols_progress_show(&progress, "/x/y", 1, 2);
	symbols_progress_end(&progress);
	CHECK(strcmp(shown(), "") == 0);
	symbols_progress_allow(true);
}

int main(void)
{
	if (openpty(&ours, &theirs, NULL, NULL, NULL) != 0) {
		printf("Bail out! no pseudo-terminal\n");
		return 1;
	}
	TAP_RUN(test_line);
	TAP_RUN(test_narrow);
	TAP_RUN(test_not_a_terminal);
	return tap_done();
}
