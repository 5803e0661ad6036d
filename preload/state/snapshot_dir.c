/*
 * snapshot_dir.c - owns the choice of the output directory and the question
 * whose it is. It is made at the first snapshot, so that a process which writes
 * none leaves nothing behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include "preload/atomics.h"
#include "preload/file_limit.h"
#include "preload/log.h"
#include "preload/rawsys.h"
#include "preload/state/snapshot_dir.h"

/*
 * Gives a directory that we have made its mode, whatever the umask says. Not what a link leads to
 * that has taken its place: root may be at work in a directory of others.
 */
static int open_up(const char *path)
{
	long fd = rawsys(SYS_open, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), ret;

	if (fd == -EACCES) /* by that very umask, and never for root */
		return (int)rawsys(SYS_chmod, path, 0700);
	if (fd < 0)
		return (int)fd;
	ret = rawsys(SYS_fchmod, fd, 0700);
	rawsys(SYS_close, fd);
	return (int)ret;
}

/* Makes path, or accepts it if it is there; only_ours: not somebody else's. */
static int make_dir(const char *path, int only_ours)
{
	struct stat st;
	long ret = rawsys(SYS_mkdir, path, 0700);

	if (!ret)
		return open_up(path);
	if (ret != -EEXIST)
		return (int)ret;
	ret = only_ours ? rawsys(SYS_lstat, path, &st) : rawsys(SYS_stat, path, &st);
	if (ret < 0)
		return (int)ret;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	return only_ours && st.st_uid != (uid_t)rawsys(SYS_geteuid, 0) ? -EPERM : 0;
}

#define OWNER_FILE "/.owner"

/*
 * 1: dir belongs to this process image, by an .owner file made now or before; 0:
 * to another. dir has SNAPSHOT_DIR_BYTES, and is the same afterwards.
 */
static int own_dir(const struct state_header *state, char *dir)
{
	size_t length = strlen(dir), n;
	char mine[24], theirs[24];
	long fd, got;

	n = log_format(mine, sizeof(mine), "%lu\n", state->start_id);
	if (length + sizeof(OWNER_FILE) > SNAPSHOT_DIR_BYTES)
		return -ENAMETOOLONG;
	if (file_limit_bytes() < n)
		return -EFBIG;
	memcpy(dir + length, OWNER_FILE, sizeof(OWNER_FILE));
	fd = rawsys(SYS_open, dir, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0) {
		/* We are to read it again, whatever the umask says. */
		rawsys(SYS_fchmod, fd, 0600);
		got = rawsys(SYS_pwrite64, fd, mine, n, 0);
		rawsys(SYS_close, fd);
		if (got != (long)n)
			rawsys(SYS_unlink, dir); /* a nameless owner would lock us out */
		dir[length] = '\0';
		return got == (long)n ? 1 : got < 0 ? (int)got : -ENOSPC;
	}
	if (fd == -EEXIST)
		fd = rawsys(SYS_open, dir, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	dir[length] = '\0';
	if (fd < 0)
		return fd == -EACCES || fd == -ELOOP ? 0 : (int)fd;
	got = rawsys(SYS_read, fd, theirs, sizeof(theirs));
	rawsys(SYS_close, fd);
	/* No file, or a FIFO that somebody holds: put there by whoever the directory is for. */
	if (got == -EISDIR || got == -EAGAIN)
		return 0;
	return got < 0 ? (int)got : got == (long)n && !memcmp(mine, theirs, n);
}

/* 1: base is a directory of our own inside what it was, n bytes long; 0: it is another's, too. */
static int take_inside(const struct state_header *state, char *base, size_t n, uint64_t unit_ns)
{
	int ret;

	if (log_format(base + n, SNAPSHOT_DIR_BYTES - n, "/%s.%u.%lu", state->comm, state->pid,
		    state->start_ns / unit_ns) >= SNAPSHOT_DIR_BYTES - n)
		return -ENAMETOOLONG;
	for (n++; base[n]; n++)
		if (base[n] == '/')
			base[n] = '_';
	ret = make_dir(base, 1);
	return ret < 0 ? ret : own_dir(state, base);
}

/* Settles for base, unless it is for somebody else, or for a directory of our own inside it. */
static int take(const struct state_header *state, int only_ours, int is_parents, char *base)
{
	size_t n = strlen(base);
	int ret = make_dir(base, only_ours);

	if (ret < 0)
		return ret;
	ret = is_parents ? 0 : own_dir(state, base);
	/*
	 * Milliseconds of uptime: short, and another one after an exec. Of containers that are
	 * started together several may begin in one, with one pid.
	 */
	if (!ret)
		ret = take_inside(state, base, n, 1000000);
	if (!ret)
		ret = take_inside(state, base, n, 1);
	return ret == 1 ? 0 : ret < 0 ? ret : -EEXIST;
}

/* An error that another place would not have; a full disk, say, may pass. */
static int is_about_the_place(int error)
{
	return error == -ENOENT || error == -ENOTDIR || error == -EACCES || error == -EPERM ||
	       error == -EROFS || error == -ENAMETOOLONG || error == -ELOOP;
}

/* heapspy.<comm>.<pid> in the first of the usual places that takes it. */
static int take_usual(const struct state_header *state, char *out)
{
	const char *bases[] = { state->cwd, state->tmpdir, "/tmp" };
	char comm[STATE_NAME_BYTES];
	int ret = -ENOENT;
	unsigned i;

	memcpy(comm, state->comm, sizeof(comm));
	for (i = 0; comm[i]; i++)
		if (comm[i] == '/')
			comm[i] = '_';
	for (i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
		if (!bases[i][0])
			continue;
		log_format(out, SNAPSHOT_DIR_BYTES, "%s/heapspy.%s.%u", bases[i][1] ? bases[i] : "",
			comm, state->pid);
		ret = take(state, 1, 0, out);
		if (!ret)
			break;
	}
	return ret;
}

int snapshot_dir_prepare(const struct state_header *state, char *out)
{
	static uint32_t said;
	int is_absolute = state->dir[0] == '/', ret = -ENOENT;

	if (!state->dir[0])
		return take_usual(state, out);
	/* A relative one has no meaning without the directory of the start. */
	if (is_absolute || state->cwd[0]) {
		log_format(out, SNAPSHOT_DIR_BYTES, "%s%s%s", is_absolute ? "" : state->cwd,
			is_absolute ? "" : "/", state->dir);
		ret = take(state, 0, state->dir_is_parents, out);
	}
	if (!is_about_the_place(ret))
		return ret;
	if (!hs_add_relaxed(&said, 1))
		log_verbose("HEAPSPY_DIR='%s' cannot be used (%e); snapshots go to "
			    "heapspy.%s.%u in the working directory, $TMPDIR or /tmp",
			state->dir, ret, state->comm, state->pid);
	return take_usual(state, out);
}
