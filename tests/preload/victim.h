/*
 * victim.h - what the test programs share. A victim keeps account of its own memory and prints
 * that truth as JSON on stdout; the tests compare it with what heapspy found.
 */
#ifndef VICTIM_H
#define VICTIM_H

#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define KIB (1ul << 10)
#define MIB (1ul << 20)

/* A function that keeps its own frame: neither inlined, nor left by a tail call. */
#define SITE __attribute__((noinline, noclone))
#if defined(__clang__)
#undef SITE
#define SITE __attribute__((noinline, disable_tail_calls))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Hides a block from the optimizer, which might drop a malloc and its free. */
static inline void *keep(void *block)
{
	__asm__ volatile("" : "+r"(block) : : "memory");
	return block;
}

static inline void fail_unless(int good, const char *what)
{
	if (!good) {
		fprintf(stderr, "victim: %s\n", what);
		_Exit(99);
	}
}
#define REQUIRE(condition) fail_unless(!!(condition), #condition)

static inline double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static inline void sleep_s(double s)
{
	struct timespec t;

	t.tv_sec = (time_t)s;
	t.tv_nsec = (long)((s - (double)t.tv_sec) * 1e9);
	while (s > 0 && nanosleep(&t, &t) != 0)
		;
}

/* xorshift64*: seeded, the same everywhere. */
static inline uint64_t draw(uint64_t *seed)
{
	*seed ^= *seed >> 12;
	*seed ^= *seed << 25;
	*seed ^= *seed >> 27;
	return *seed * 0x2545f4914f6cdd1dull;
}

/* Memory of the process's own, that is of no file, in KiB. Exact, and allocates nothing. */
static inline long private_kib(void)
{
	static char text[8192]; /* not for two threads at a time */
	int fd = open("/proc/self/smaps_rollup", O_RDONLY);
	ssize_t n = read(fd, text, sizeof(text) - 1);
	const char *line;

	close(fd);
	text[n > 0 ? n : 0] = '\0';
	line = strstr(text, "\nAnonymous:");
	fail_unless(line != NULL, "no line Anonymous in /proc/self/smaps_rollup");
	return strtol(line + sizeof("\nAnonymous:"), NULL, 10);
}

#ifdef __cplusplus
}
#endif

#endif
