/*
 * snapshot_reader.h - a snapshot file of format 1 as checked, plain memory.
 *
 * The file is hostile: every offset, count and reference is checked before it
 * is used, nothing is allocated by a count that the bytes behind it do not
 * carry, and what comes out can be walked without further checks. The bytes are
 * described in include/heapspy/snapshot.h and docs/format.md.
 */
#ifndef HEAPSPY_ANALYZER_SNAPSHOT_READER_H
#define HEAPSPY_ANALYZER_SNAPSHOT_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyzer/fail.h"
#include "heapspy/snapshot.h"

/* Cumulative allocations of a stack; the letters are those of snapshot.h. */
struct snapshot_counters {
	uint64_t n, S, B, V, C;
};

/* What thinning took from the live sums; may be negative where weights grew. */
struct snapshot_thinned {
	int64_t n, S, B, V, C;
};

struct snapshot_death {
	uint32_t bucket; /* 0..HEAPSPY_LIFETIME_BUCKETS-1 */
	uint64_t n, B, C;
};

struct snapshot_stack {
	uint32_t id;
	uint32_t flags;       /* HEAPSPY_STACK_* */
	uint32_t approx_from; /* frame index, with HEAPSPY_STACK_APPROX */
	uint32_t n_frames;
	size_t first_frame; /* into snapshot.frames; leaf first */
	size_t first_death; /* into snapshot.deaths, by bucket */
	uint32_t n_deaths;
	struct snapshot_counters allocated;
	struct snapshot_thinned thinned;
};

/*
 * Invariants: samples[i].stack is an index into stacks (not the id of the
 * file); module serials of frames are 0 or name an entry of modules; string
 * offsets lie inside strings and their text ends there; thread ids of samples
 * are below n_threads; birth <= cut; birth level <= level <= HEAPSPY_LEVEL_MAX.
 */
struct snapshot {
	char *path; /* as given */
	uint64_t file_bytes;
	uint32_t sections; /* bit k: section kind k was there and is whole */
	struct heapspy_info info;
	uint32_t level; /* highest level that info or any sample stands at */
	char *strings;  /* NUL-terminated at strings_bytes */
	size_t strings_bytes;
	struct heapspy_module *modules;
	size_t n_modules;
	uint16_t *module_of_serial; /* HEAPSPY_MODULE_SERIAL_MAX + 1 entries: index + 1, 0 none */
	uint32_t *threads;          /* string offsets */
	size_t n_threads;           /* at least 1 */
	struct snapshot_stack *stacks;
	size_t n_stacks;
	uint64_t *frames; /* HEAPSPY_FRAME_* */
	size_t n_frames;
	struct snapshot_death *deaths;
	size_t n_deaths;
	struct heapspy_sample *samples;
	size_t n_samples;
	struct heapspy_tick *ticks;
	size_t n_ticks;
};

#define SNAPSHOT_HAS(s, kind) (((s)->sections >> (kind)) & 1)

/* flags: use the sections of a cut or damaged file that are whole. INFO and STRINGS must be. */
#define SNAPSHOT_PARTIAL (1u << 0)

/*
 * Reads the file at path. On success *snapshotp is the caller's, to be freed by
 * snapshot_free(). Returns -1 with f filled otherwise, one line naming the file.
 */
int snapshot_read(const char *path, unsigned flags, struct snapshot **snapshotp, struct fail *f);

/*
 * The same for bytes in memory, which are copied; name stands for the path.
 * The file on disk must be the bytes and nothing more.
 */
int snapshot_decode(const uint8_t *data, size_t bytes, const char *name, unsigned flags,
	struct snapshot **snapshotp, struct fail *f);

/*
 * Reads only INFO and the live samples, for one of many snapshots whose stacks are known. In *s
 * samples[i].stack is then the id of the file, and may be any; thread ids name nothing. Whatever
 * else the file holds is neither read nor checked.
 */
int snapshot_read_live(const char *path, struct snapshot **snapshotp, struct fail *f);

/* The same for bytes in memory, as snapshot_decode(). */
int snapshot_decode_live(const uint8_t *data, size_t bytes, const char *name,
	struct snapshot **snapshotp, struct fail *f);

/*
 * Reads only the header, INFO and the label of the file at path: enough to
 * choose among many. label is cut to label_bytes, which is at least 1.
 */
int snapshot_peek(const char *path, struct heapspy_info *infop, char *label, size_t label_bytes,
	struct fail *f);

/* NULL is fine. */
void snapshot_free(struct snapshot *s);

/* The string at an offset of this snapshot; "" where there is none. */
const char *snapshot_string(const struct snapshot *s, uint32_t offset);

/* "INFO", "LIVE", ...; NULL for a kind of a later writer. */
const char *snapshot_section_name(uint32_t kind);

#endif
