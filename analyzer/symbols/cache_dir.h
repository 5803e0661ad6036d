/*
 * cache_dir.h - the directory with remembered names: finding it, reading and
 * replacing its files, and keeping it small.
 *
 * Names of programs are their owner's business: the directory is 0700, files
 * are 0600, and nothing that belongs to anybody else is read or written.
 */
#ifndef HEAPSPY_SYMBOLS_CACHE_DIR_H
#define HEAPSPY_SYMBOLS_CACHE_DIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Larger files are neither read nor written. */
#define CACHE_DIR_FILE_MAX_BYTES (64u << 20)
/* What all files may take together; beyond, those unused for longest go. */
#define CACHE_DIR_MAX_BYTES      (256ull << 20)

/*
 * The path of the user's cache: $XDG_CACHE_HOME/heapspy, else
 * $HOME/.cache/heapspy; for free(). NULL: HEAPSPY_CACHE is "off", neither is
 * an absolute path, or no memory.
 */
char *cache_dir_default_path(void);

/*
 * Opens the directory, and makes it where create says so, with the one it lies
 * in. Returns a descriptor or -1: not there, not ours, or open to others.
 */
int cache_dir_open(const char *path, bool create);

/*
 * Reads a file of the directory and marks it as used. Returns its bytes for
 * free(), or NULL: not there, not a regular file of ours, empty, too large.
 */
uint8_t *cache_dir_read(int directory_fd, const char *name, size_t *n_bytesp);

/*
 * Puts a file into the directory, in place of one of that name, all at once,
 * and then removes old ones beyond max_bytes. Returns false, with nothing
 * changed, when it cannot.
 */
bool cache_dir_write(
	int directory_fd, const char *name, const void *bytes, size_t n_bytes, uint64_t max_bytes);

#endif
