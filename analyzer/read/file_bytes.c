/* file_bytes.c - owns opening and reading of input files. What the bytes mean is the readers'. */
#include "analyzer/read/file_bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int file_bytes_open(const char *path, uint64_t *bytesp, struct fail *f)
{
	struct stat st;
	int fd = -1;

	/*
	 * Somebody else may have put it there. Some devices do things when they are opened, so it
	 * is looked at first; and once more, for it may have been changed: a FIFO opens at once.
	 */
	if (stat(path, &st) < 0 ||
		(S_ISREG(st.st_mode) &&
			(fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)) < 0))
		return fail_set(f, EXIT_CODE_INPUT, "cannot open '%s': %s", path, strerror(errno));
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		if (fd >= 0)
			close(fd);
		return fail_set(f, EXIT_CODE_INPUT, "cannot read '%s': not a regular file", path);
	}
	if ((uint64_t)st.st_size > FILE_BYTES_MAX) {
		close(fd);
		return fail_set(f, EXIT_CODE_INPUT,
			"cannot read '%s': %llu bytes, more than any snapshot can have (4 GiB)",
			path, (unsigned long long)st.st_size);
	}
	*bytesp = (uint64_t)st.st_size;
	return fd;
}

int file_bytes_read(int fd, const char *path, uint64_t offset, void *out, size_t bytes,
	size_t *gotp, struct fail *f)
{
	size_t got = 0;
	ssize_t n = 1;

	while (got < bytes && n) {
		n = pread(fd, (char *)out + got, bytes - got, (off_t)(offset + got));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		got += (size_t)n;
	}
	if (gotp)
		*gotp = got;
	if (got == bytes)
		return 0;
	if (n < 0)
		return fail_set(f, EXIT_CODE_INPUT, "cannot read '%s' at byte %llu: %s", path,
			(unsigned long long)(offset + got), strerror(errno));
	return fail_set(f, EXIT_CODE_INPUT, "'%s' became shorter while it was read", path);
}

static bool is_text(const uint8_t *head, size_t bytes)
{
	size_t i;

	for (i = 0; i < bytes; i++)
		if (head[i] < 0x20 && !memchr("\t\n\r\f", head[i], 4))
			return false;
	return true;
}

const char *file_bytes_guess(const uint8_t *head, size_t bytes)
{
	static const struct {
		const char *magic;
		size_t bytes;
		const char *name;
	} known[] = {
		{ "\x1f\x8b", 2, "looks like a gzip file" },
		{ "\x28\xb5\x2f\xfd", 4, "looks like a zstd file" },
		{ "\xfd"
		  "7zXZ",
			5, "looks like an xz file" },
		{ "PK\x03\x04", 4, "looks like a zip file" },
		{ "heap profile:", 13, "looks like a gperftools heap profile" },
		{ "heap_v2/", 8, "looks like a jemalloc heap profile" },
		{ "\x89HSPY\n", 6, "was copied as text, which damages it: copy it as binary" },
	};
	unsigned i;

	if (bytes == 0)
		return "is empty";
	if (bytes >= 18 && !memcmp(head,
				   "\x7f"
				   "ELF",
				   4))
		return head[16] == 4 ? "looks like an ELF core file" : "looks like an ELF file";
	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (bytes >= known[i].bytes && !memcmp(head, known[i].magic, known[i].bytes))
			return known[i].name;
	return is_text(head, bytes) ? "looks like text" : "unknown content";
}
