/*
 * perf_map.c - owns finding, judging and reading of perf map files. Which
 * process is meant is process.c's, which addresses are asked source_frames.c's.
 *
 * Lines may overlap in any way. All their ends cut the addresses into pieces,
 * and each piece is given once, to the last line that covers it: lines are
 * taken from the last to the first, and skip pieces that are given already by
 * links to the next free one, so the whole costs little more than sorting.
 */
#include "analyzer/symbols/perf_map.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* File times are of the last clock tick, and the two clocks were read at different moments. */
enum { CLOCK_SLACK_NS = 1000 * 1000 * 1000 };

struct line {
	uint64_t start, end; /* start < end */
	const char *name;
};

struct perf_map {
	char *text; /* the file, names ended in place */
	struct line *lines;
	size_t n_lines;
	uint64_t *edges;    /* ascending and distinct */
	const char **names; /* of the piece from edges[i] on; NULL: none */
	size_t n_edges;
};

/* Parses hexadecimal digits and the space behind them; false without any, or beyond 64 bits. */
static bool take_number(char **textp, uint64_t *valuep)
{
	char *text = *textp;
	unsigned n_digits = 0;

	*valuep = 0;
	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
		text += 2;
	for (;; text++) {
		int digit = *text >= '0' && *text <= '9'   ? *text - '0'
			    : *text >= 'a' && *text <= 'f' ? *text - 'a' + 10
			    : *text >= 'A' && *text <= 'F' ? *text - 'A' + 10
							   : -1;

		if (digit < 0)
			break;
		if (*valuep >> 60)
			return false;
		*valuep = *valuep << 4 | (uint64_t)digit;
		n_digits++;
	}
	*textp = text + 1;
	return n_digits > 0 && *text == ' ';
}

/* text ends in NUL. False: not a line of a map. */
static bool parse_line(char *text, struct line *line)
{
	uint64_t size_bytes;

	if (!take_number(&text, &line->start) || !take_number(&text, &size_bytes) ||
		__builtin_add_overflow(line->start, size_bytes, &line->end) || size_bytes == 0 ||
		!text[0])
		return false;
	line->name = text;
	return true;
}

static bool add_line(struct perf_map *map, const struct line *line, size_t *capacityp)
{
	if (map->n_lines == *capacityp) {
		size_t n = *capacityp ? 2 * *capacityp : 1024;
		struct line *grown = reallocarray(map->lines, n, sizeof(*grown));

		if (!grown)
			return false;
		map->lines = grown;
		*capacityp = n;
	}
	map->lines[map->n_lines++] = *line;
	return true;
}

/* map->text ends in a NUL of its own behind n_bytes. */
static bool parse_lines(struct perf_map *map, size_t n_bytes)
{
	char *at = map->text, *end = map->text + n_bytes, *newline;
	size_t capacity = 0;

	while (map->n_lines < PERF_MAP_MAX_LINES &&
		(newline = memchr(at, '\n', (size_t)(end - at)))) {
		struct line line;

		*newline = '\0';
		if (parse_line(at, &line) && !add_line(map, &line, &capacity))
			return false;
		at = newline + 1;
	}
	return true;
}

static int by_value(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

static size_t edge_at(const struct perf_map *map, uint64_t value)
{
	size_t low = 0, high = map->n_edges;

	/* The last edge that is not above value; the first is not by promise of the callers. */
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (map->edges[middle] <= value)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* The first piece from i on that nobody has; shortens the way for the next. */
static size_t next_free(uint32_t *links, size_t i)
{
	while (links[i] != i) {
		links[i] = links[links[i]];
		i = links[i];
	}
	return i;
}

static bool give_pieces(struct perf_map *map)
{
	uint32_t *links;
	size_t n = 0;

	if (map->n_lines == 0)
		return true;
	map->edges = calloc(2 * map->n_lines, sizeof(*map->edges));
	map->names = calloc(2 * map->n_lines, sizeof(*map->names));
	links = calloc(2 * map->n_lines, sizeof(*links));
	if (!map->edges || !map->names || !links) {
		free(links);
		return false;
	}
	for (size_t i = 0; i < map->n_lines; i++) {
		map->edges[n++] = map->lines[i].start;
		map->edges[n++] = map->lines[i].end;
	}
	qsort(map->edges, n, sizeof(*map->edges), by_value);
	for (size_t i = 0; i < n; i++) {
		if (map->n_edges == 0 || map->edges[map->n_edges - 1] != map->edges[i])
			map->edges[map->n_edges++] = map->edges[i];
	}
	for (size_t i = 0; i < map->n_edges; i++)
		links[i] = (uint32_t)i;
	for (size_t i = map->n_lines; i-- > 0;) {
		const struct line *line = &map->lines[i];
		size_t end = edge_at(map, line->end);

		for (size_t piece = next_free(links, edge_at(map, line->start)); piece < end;
			piece = next_free(links, piece)) {
			map->names[piece] = line->name;
			/* There is one behind: end is an edge, and no piece begins at the last. */
			links[piece] = (uint32_t)piece + 1;
		}
	}
	free(links);
	return true;
}

/* Takes text over, n_bytes and one more. */
static struct perf_map *make(char *text, size_t n_bytes)
{
	struct perf_map *map = calloc(1, sizeof(*map));

	if (!map) {
		free(text);
		return NULL;
	}
	map->text = text;
	text[n_bytes] = '\0';
	if (parse_lines(map, n_bytes) && give_pieces(map))
		return map;
	perf_map_free(map);
	return NULL;
}

struct perf_map *perf_map_parse(const char *text, size_t n_bytes)
{
	char *copy = malloc(n_bytes + 1);

	if (!copy)
		return NULL;
	if (n_bytes)
		memcpy(copy, text, n_bytes);
	return make(copy, n_bytes);
}

struct perf_map *perf_map_read(int fd, uid_t owner, int64_t not_before_ns)
{
	struct stat status;
	size_t n = 0, size_bytes;
	ssize_t got;
	char *text;

	if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_uid != owner ||
		(int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec <
			not_before_ns)
		return NULL;
	/* It may grow under our hands; the rest is for the next time. */
	size_bytes =
		status.st_size < PERF_MAP_MAX_BYTES ? (size_t)status.st_size : PERF_MAP_MAX_BYTES;
	text = malloc(size_bytes + 1);
	if (!text)
		return NULL;
	while (n < size_bytes && (got = pread(fd, text + n, size_bytes - n, (off_t)n)) > 0)
		n += (size_t)got;
	return make(text, n);
}

const char *perf_map_find(const struct perf_map *map, uint64_t pc)
{
	if (map->n_edges == 0 || pc < map->edges[0])
		return NULL;
	return map->names[edge_at(map, pc)];
}

void perf_map_free(struct perf_map *map)
{
	if (!map)
		return;
	free(map->text);
	free(map->lines);
	free(map->edges);
	free(map->names);
	free(map);
}

struct perf_map *perf_map_open(
	const struct process_id *id, uint64_t started_wall_ns, uid_t dead_uid)
{
	int64_t not_before_ns = (int64_t)started_wall_ns - CLOCK_SLACK_NS;
	struct perf_map *map = NULL;
	struct process process;
	char path[64], entry[32];
	uid_t owner = dead_uid;
	int fd = -1;

	snprintf(path, sizeof(path), "/tmp/perf-%u.map", id->pid);
	if (process_open(&process, id)) {
		owner = process.uid;
		fd = process_open_file(&process, path, O_NOFOLLOW);
		process_close(&process);
	} else {
		snprintf(entry, sizeof(entry), "/proc/%u", id->pid);
		if (process_same_boot(id) && access(entry, F_OK) != 0)
			fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	}
	if (fd >= 0) {
		map = perf_map_read(fd, owner, not_before_ns);
		close(fd);
	}
	return map;
}
