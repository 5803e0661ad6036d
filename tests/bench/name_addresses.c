/*
 * name_addresses.c - names the addresses of a program on stdin, hexadecimal and
 * one a line, with nothing of the command around it: for symbols.py.
 *
 *	name_addresses [--cache=DIR] PROGRAM	a line a frame: address, function,
 *						file, line, by tabs; the innermost first
 *	name_addresses --demangle		linker names on stdin as we show them
 *
 * The last line on stderr: seconds of symbols_resolve(), peak memory in KiB before and behind it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "analyzer/symbols/demangle.h"
#include "analyzer/symbols/intern.h"
#include "analyzer/symbols/name.h"
#include "analyzer/symbols/symbols.h"

static double now_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Of this program alone; ru_maxrss begins with that of the one that started it. */
static long peak_kib(void)
{
	FILE *status = fopen("/proc/self/status", "r");
	char line[256];
	long kib = 0;

	while (status && fgets(line, sizeof(line), status)) {
		if (sscanf(line, "VmHWM: %ld", &kib) == 1)
			break;
	}
	if (status)
		fclose(status);
	return kib;
}

static int demangle_all(void)
{
	struct intern *pool = intern_new();
	char *line = NULL;
	size_t line_bytes = 0;
	ssize_t length;

	while ((length = getline(&line, &line_bytes, stdin)) > 0) {
		if (line[length - 1] == '\n')
			length--;
		line[name_without_clone(line, (size_t)length)] = '\0';
		puts(demangle_name(pool, line));
	}
	free(line);
	intern_free(pool);
	return 0;
}

static void print_frames(struct symbols *symbols, uint64_t vaddr)
{
	unsigned n;
	const struct symbol_frame *frames = symbols_lookup(symbols, 0, vaddr, &n);

	for (unsigned i = 0; i < n; i++)
		printf("%lx\t%s\t%s\t%u\n", (unsigned long)vaddr, frames[i].function,
			frames[i].file ? frames[i].file : "", frames[i].line);
}

int main(int argc, char **argv)
{
	static const char cache[] = "--cache=";
	struct symbol_module_ref ref = { .path = argc > 1 ? argv[argc - 1] : "" };
	struct symbols *symbols;
	uint64_t *vaddrs = NULL;
	size_t n = 0, n_allocated = 0;
	unsigned long vaddr;
	double started;
	long before;

	if (argc == 2 && strcmp(argv[1], "--demangle") == 0)
		return demangle_all();
	symbols = symbols_new();
	if (argc < 2 || !symbols || symbols_add_module(symbols, &ref) != 0)
		return 2;
	if (argc == 3 && strncmp(argv[1], cache, strlen(cache)) == 0)
		symbols_set_cache(symbols, argv[1] + strlen(cache), 0);
	while (scanf("%lx", &vaddr) == 1) {
		if (n == n_allocated) {
			n_allocated = n_allocated ? 2 * n_allocated : 1024;
			vaddrs = reallocarray(vaddrs, n_allocated, sizeof(*vaddrs));
			if (!vaddrs)
				return 1;
		}
		vaddrs[n++] = vaddr;
		symbols_request(symbols, 0, vaddr);
	}
	before = peak_kib();
	started = now_seconds();
	if (symbols_resolve(symbols) != 0)
		return 1;
	fprintf(stderr, "%.4f %ld %ld\n", now_seconds() - started, before, peak_kib());
	for (size_t i = 0; i < n; i++)
		print_frames(symbols, vaddrs[i]);
	free(vaddrs);
	symbols_free(symbols);
	return 0;
}
