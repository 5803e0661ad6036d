/*
 * file_bytes.h - bytes of a file somebody else may have made.
 *
 * Files are read, never mapped: another party could cut a mapped one short and
 * end the reader with SIGBUS. Only regular files, so that a FIFO cannot hang it.
 */
#ifndef HEAPSPY_ANALYZER_FILE_BYTES_H
#define HEAPSPY_ANALYZER_FILE_BYTES_H

#include <stddef.h>
#include <stdint.h>

#include "analyzer/fail.h"

/* Larger files are refused. */
#define FILE_BYTES_MAX (4ull << 30)

/*
 * Opens the regular file at path for reading. Returns its descriptor, the
 * caller's to close, and its size in bytes; or -1 with f filled (EXIT_CODE_INPUT).
 */
int file_bytes_open(const char *path, uint64_t *bytesp, struct fail *f);

/*
 * Reads bytes from offset on. Returns 0, or -1 with f filled when the file cannot be
 * read or ends before; *gotp (may be NULL) is what was there either way.
 */
int file_bytes_read(int fd, const char *path, uint64_t offset, void *out, size_t bytes,
	size_t *gotp, struct fail *f);

/* What a file that is no snapshot looks like, from its first bytes: "looks like a gzip file". */
const char *file_bytes_guess(const uint8_t *head, size_t bytes);

#endif
