/*
 * names_cache.h - names of one module as found before, in a file of their own.
 *
 * A file belongs to a build id and to the very files the names came from (size,
 * time and inode of each): when a debug package is installed, replaced or
 * removed, the next question is another one and goes unanswered.
 */
#ifndef HEAPSPY_SYMBOLS_NAMES_CACHE_H
#define HEAPSPY_SYMBOLS_NAMES_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyzer/symbols/symbols_backend.h"

struct debug_file;

/* Raise it whenever the same files would give other names than before. */
enum { NAMES_CACHE_REVISION = 2 };

struct names_cache_key {
	uint8_t build_id[SYMBOLS_BUILD_ID_MAX];
	size_t build_id_len;  /* 0: names of this module are not remembered */
	uint64_t source_hash; /* of all that says which files were read */
};

/* What is remembered of a module; all zero: nothing. */
struct names_cache {
	uint8_t *bytes;
	size_t n_bytes;
};

/*
 * The key of a module with these files, each of which may be not open. debug_root
 * is where the shared part of a file that dwz has been over may lie.
 */
void names_cache_key_init(struct names_cache_key *key, const struct debug_file *own,
	const struct debug_file *separate, const char *debug_root);

/*
 * Opens what is remembered for key in the directory at path. Returns false,
 * with *cache all zero, when that is nothing or does not hold together.
 */
bool names_cache_open(
	struct names_cache *cache, const char *path, const struct names_cache_key *key);

/* Closing an all-zero cache is fine. */
void names_cache_close(struct names_cache *cache);

/*
 * Answers the addresses of job that cache knows and marks them answered; sets
 * job->source. Returns how many it did.
 */
size_t names_cache_answer(const struct names_cache *cache, struct symbols_job *job);

/*
 * Remembers the addresses of job, all of them answered, and what cache knew
 * before, in the directory at path, which is made if need be. That it cannot
 * is no error; max_bytes as in cache_dir_write().
 */
void names_cache_store(const struct names_cache *cache, const char *path,
	const struct names_cache_key *key, const struct symbols_job *job, uint64_t max_bytes);

#endif
