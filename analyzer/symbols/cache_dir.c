/*
 * cache_dir.c - owns the directory of remembered names as a directory: whose it
 * is, how a file gets in, which ones have to go. What is in a file is
 * names_cache.c's.
 *
 * Path rules: XDG Base Directory Specification 0.8.
 */
#include "analyzer/symbols/cache_dir.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A file being written begins with this; after so long its writer is gone. */
#define PARTIAL_PREFIX ".partial."
enum { PARTIAL_MAX_AGE_SECONDS = 3600 };

char *cache_dir_default_path(void)
{
	const char *off = getenv("HEAPSPY_CACHE");
	const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	char *path = NULL;
	int n = -1;

	if (off && strcmp(off, "off") == 0)
		return NULL;
	/* A relative path is to be ignored. */
	if (cache && cache[0] == '/')
		n = asprintf(&path, "%s/heapspy", cache);
	else if (home && home[0] == '/')
		n = asprintf(&path, "%s/.cache/heapspy", home);
	return n < 0 ? NULL : path;
}

/* A directory of ours that nobody else can write to; with sudo HOME may be another's. */
static bool is_ours(int fd)
{
	struct stat status;

	return fstat(fd, &status) == 0 && status.st_uid == geteuid() && (status.st_mode & 022) == 0;
}

static int open_directory(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0 && !is_ours(fd)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* Makes the last component of path below a directory of ours. */
static bool make_directory(const char *path)
{
	char *parent = strdup(path), *slash = parent ? strrchr(parent, '/') : NULL;
	int fd = -1;
	bool made = false;

	if (slash && slash != parent) {
		*slash = '\0';
		fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		made = fd >= 0 && is_ours(fd) && mkdirat(fd, slash + 1, 0700) == 0;
	}
	if (fd >= 0)
		close(fd);
	free(parent);
	return made;
}

int cache_dir_open(const char *path, bool create)
{
	int fd = open_directory(path);
	char *parent, *slash;

	if (fd >= 0 || !create)
		return fd;
	if (!make_directory(path)) {
		parent = strdup(path);
		slash = parent ? strrchr(parent, '/') : NULL;
		if (slash)
			*slash = '\0';
		if (slash && make_directory(parent))
			make_directory(path);
		free(parent);
	}
	return open_directory(path);
}

/* Reads n_bytes. A file that has become shorter counts as unreadable. */
static bool read_all(int fd, uint8_t *bytes, size_t n_bytes)
{
	size_t n = 0;
	ssize_t got;

	while (n < n_bytes && (got = read(fd, bytes + n, n_bytes - n)) > 0)
		n += (size_t)got;
	return n == n_bytes;
}

uint8_t *cache_dir_read(int directory_fd, const char *name, size_t *n_bytesp)
{
	int fd = openat(directory_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	uint8_t *bytes = NULL;
	struct stat status;

	if (fd < 0)
		return NULL;
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == geteuid() &&
		status.st_size > 0 && status.st_size <= CACHE_DIR_FILE_MAX_BYTES)
		bytes = malloc((size_t)status.st_size);
	if (bytes && !read_all(fd, bytes, (size_t)status.st_size)) {
		free(bytes);
		bytes = NULL;
	}
	if (bytes) {
		*n_bytesp = (size_t)status.st_size;
		futimens(fd, NULL);
	}
	close(fd);
	return bytes;
}

struct cached_file {
	char name[256];
	time_t used;
	uint64_t n_bytes;
};

static int by_use(const void *a, const void *b)
{
	const struct cached_file *left = a, *right = b;

	return (left->used > right->used) - (left->used < right->used);
}

/* Removes the files unused for longest until the others fit, and what broken writers left. */
static void trim(int directory_fd, uint64_t max_bytes)
{
	int fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
	struct cached_file *files = NULL;
	size_t n = 0, n_allocated = 0;
	uint64_t total_bytes = 0;
	struct dirent *entry;

	if (!directory) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((entry = readdir(directory))) {
		struct stat status;

		if (fstatat(directory_fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
			!S_ISREG(status.st_mode))
			continue;
		if (strncmp(entry->d_name, PARTIAL_PREFIX, strlen(PARTIAL_PREFIX)) == 0) {
			if (status.st_mtime < time(NULL) - PARTIAL_MAX_AGE_SECONDS)
				unlinkat(directory_fd, entry->d_name, 0);
			continue;
		}
		if (n == n_allocated) {
			size_t more = n_allocated ? 2 * n_allocated : 64;
			struct cached_file *grown = reallocarray(files, more, sizeof(*grown));

			if (!grown)
				break;
			files = grown;
			n_allocated = more;
		}
		files[n].used = status.st_mtime;
		files[n].n_bytes = (uint64_t)status.st_size;
		total_bytes += files[n].n_bytes;
		snprintf(files[n].name, sizeof(files[n].name), "%s", entry->d_name);
		n++;
	}
	closedir(directory);
	if (n)
		qsort(files, n, sizeof(*files), by_use);
	for (size_t i = 0; i < n && total_bytes > max_bytes; i++) {
		if (unlinkat(directory_fd, files[i].name, 0) == 0)
			total_bytes -= files[i].n_bytes;
	}
	free(files);
}

static bool write_all(int fd, const uint8_t *bytes, size_t n_bytes)
{
	size_t n = 0;
	ssize_t put;

	while (n < n_bytes && (put = write(fd, bytes + n, n_bytes - n)) > 0)
		n += (size_t)put;
	return n == n_bytes;
}

bool cache_dir_write(
	int directory_fd, const char *name, const void *bytes, size_t n_bytes, uint64_t max_bytes)
{
	char partial[64];
	bool ok;
	int fd;

	if (n_bytes > CACHE_DIR_FILE_MAX_BYTES)
		return false;
	snprintf(partial, sizeof(partial), PARTIAL_PREFIX "%d", (int)getpid());
	/* Of another process with our number, on another machine or before: its file is dead. */
	unlinkat(directory_fd, partial, 0);
	fd = openat(
		directory_fd, partial, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return false;
	ok = write_all(fd, bytes, n_bytes);
	/* Without fsync: what a power cut leaves fails the checksum. */
	ok = close(fd) == 0 && ok;
	ok = ok && renameat(directory_fd, partial, directory_fd, name) == 0;
	if (ok)
		trim(directory_fd, max_bytes);
	else
		unlinkat(directory_fd, partial, 0);
	return ok;
}
