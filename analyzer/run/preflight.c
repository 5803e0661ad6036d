/* preflight.c - owns the checks of directories before a run. */
#include "analyzer/run/preflight.h"

#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "analyzer/run/session.h"
#include "analyzer/units.h"

#define STATE_FILE_BYTES_MIN (1u << 20)

static int refuse(struct fail *f, const char *what, const char *path, int error)
{
	return fail_set(f, SESSION_EXIT_FAILED, "%s '%s' cannot be used: %s; name another one",
		what, path, strerror(error));
}

/* 0700, whatever the umask says; or it is there. Returns 0 or an errno value. */
static int make_dir(const char *path)
{
	if (!mkdir(path, 0700))
		return chmod(path, 0700) ? errno : 0;
	return errno == EEXIST ? 0 : errno;
}

/* mkdir -p of all but the last component of path. */
static int make_parents(char *path)
{
	char *slash;
	int error = 0;

	for (slash = strchr(path + 1, '/'); slash && !error; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		error = make_dir(path);
		*slash = '/';
	}
	return error;
}

int preflight_dir(const char *dir, struct fail *f)
{
	static const char what[] = "the snapshot directory";
	const char *last = strrchr(dir, '/') ? strrchr(dir, '/') + 1 : dir;
	const char *percent = strchr(dir, '%');
	char path[PATH_MAX], *end;
	struct stat st;
	int error;

	/* What a % in the middle stands for, only the process will know. */
	if ((percent && percent < last) ||
		(size_t)snprintf(path, sizeof(path), "%s", dir) >= sizeof(path))
		return 0;
	error = make_parents(path);
	if (error)
		return refuse(f, what, dir, error);
	end = strrchr(path, '/');
	if (percent || !*last) {
		if (end)
			*end = '\0';
		if (end && end > path && !stat(path, &st) && !S_ISDIR(st.st_mode))
			return refuse(f, what, dir, ENOTDIR);
		return access(end ? (end == path ? "/" : path) : ".", W_OK | X_OK)
			       ? refuse(f, what, dir, errno)
			       : 0;
	}
	if (!stat(path, &st)) {
		if (!S_ISDIR(st.st_mode))
			return refuse(f, what, dir, ENOTDIR);
		return access(path, W_OK | X_OK) ? refuse(f, what, dir, errno) : 0;
	}
	/* Asking is not enough: /proc says yes and means no. */
	if (!mkdir(path, 0700))
		rmdir(path);
	else if (errno != EEXIST || stat(path, &st) || !S_ISDIR(st.st_mode))
		return refuse(
			f, what, dir, errno == EEXIST ? ENOTDIR : errno); /* a dangling link */
	/* Another run may have come in between: then it is there. */
	return 0;
}

int preflight_state_dir(const char *dir, struct fail *f)
{
	static const char what[] = "the state directory";
	struct rlimit limit;
	struct statfs fs;

	if (statfs(dir, &fs))
		return refuse(f, what, dir, errno);
	if (fs.f_type != TMPFS_MAGIC && fs.f_type != RAMFS_MAGIC)
		return fail_set(f, SESSION_EXIT_FAILED,
			"the state directory '%s' cannot be used: it is not on tmpfs; name another "
			"one, such "
			"as /dev/shm (--state)",
			dir);
	if (access(dir, W_OK | X_OK))
		return refuse(f, what, dir, errno);
	if (!getrlimit(RLIMIT_FSIZE, &limit) && limit.rlim_cur < STATE_FILE_BYTES_MIN)
		return fail_set(f, SESSION_EXIT_FAILED,
			"files may not be larger than %llu bytes here, which leaves no room for a "
			"state; "
			"raise the limit (ulimit -f)",
			(unsigned long long)limit.rlim_cur);
	return 0;
}
