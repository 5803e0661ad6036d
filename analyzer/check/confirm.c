/*
 * confirm.c - owns the running of the command of --confirm and the directories it writes to. What
 * the batch says is baseline.c's.
 */
#include "analyzer/check/confirm.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "analyzer/alloc.h"
#include "analyzer/read/run_near.h"
#include "analyzer/strbuf.h"

static char *join(const char *dir, const char *name)
{
	struct strbuf path = { 0 };

	strbuf_addf(&path, "%s/%s", dir, name);
	return path.data;
}

static int make_dir(const char *path, struct fail *f)
{
	if (mkdir(path, 0777) == 0)
		return 0;
	return fail_set(f, EXIT_CODE_OTHER, "cannot make '%s': %s", path, strerror(errno));
}

static int make_place(struct confirm *c, struct fail *f)
{
	const char *tmpdir = getenv("TMPDIR");
	char *path = join(tmpdir && tmpdir[0] ? tmpdir : "/tmp", "heapspy-check.XXXXXX");

	if (!mkdtemp(path)) {
		fail_set(f, EXIT_CODE_OTHER, "--confirm: cannot make '%s': %s", path,
			strerror(errno));
		free(path);
		return -1;
	}
	c->dir = path;
	c->base_path = join(path, "baseline");
	c->candidate_path = join(path, "candidate");
	if (make_dir(c->base_path, f) < 0 || make_dir(c->candidate_path, f) < 0)
		return -1;
	return 0;
}

static _Noreturn void be_command(
	const char *command, const char *side, const char *number, const char *dir)
{
	setenv("HEAPSPY_CHECK_SIDE", side, 1);
	setenv("HEAPSPY_CHECK_RUN", number, 1);
	setenv("HEAPSPY_DIR", dir, 1);
	/* Our own output may be a report that somebody parses. */
	dup2(STDERR_FILENO, STDOUT_FILENO);
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(127);
}

static int run_one(
	const char *command, const char *side, const char *side_path, size_t number, struct fail *f)
{
	char text[24], *dir;
	int status, rc = 0;
	pid_t pid, got;

	snprintf(text, sizeof(text), "%zu", number);
	dir = join(side_path, text);
	if (make_dir(dir, f) < 0) {
		free(dir);
		return -1;
	}
	pid = fork();
	if (pid == 0)
		be_command(command, side, text, dir);
	do {
		got = pid < 0 ? -1 : waitpid(pid, &status, 0);
	} while (got < 0 && pid > 0 && errno == EINTR);
	if (got < 0)
		rc = fail_set(
			f, EXIT_CODE_OTHER, "--confirm: cannot start /bin/sh: %s", strerror(errno));
	else if (WIFSIGNALED(status))
		rc = fail_set(f, EXIT_CODE_OTHER,
			"--confirm: run %s of the %s was ended by signal %d: %s", text, side,
			WTERMSIG(status), command);
	else if (WEXITSTATUS(status))
		rc = fail_set(f, EXIT_CODE_OTHER, "--confirm: run %s of the %s exited %d: %s", text,
			side, WEXITSTATUS(status), command);
	free(dir);
	return rc;
}

static int count_snapshot(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	return type == FTW_D && run_near_holds_snapshots(path);
}

static int check_left_snapshots(
	const char *side, const char *side_path, size_t number, struct fail *f)
{
	char text[24], *dir;
	int found;

	snprintf(text, sizeof(text), "%zu", number);
	dir = join(side_path, text);
	found = nftw(dir, count_snapshot, 16, FTW_PHYS);
	if (found != 1)
		fail_set(f, EXIT_CODE_OTHER,
			"--confirm: run %s of the %s left no snapshot in HEAPSPY_DIR ('%s'): "
			"start its program under heapspy run, without --dir",
			text, side, dir);
	free(dir);
	return found == 1 ? 0 : -1;
}

static int run_side(const char *command, const char *side, const char *side_path, size_t number,
	bool quiet, struct fail *f)
{
	if (!quiet)
		fprintf(stderr, "heapspy: confirming: run %zu of the %s\n", number, side);
	if (run_one(command, side, side_path, number, f) < 0)
		return -1;
	return check_left_snapshots(side, side_path, number, f);
}

int confirm_run(struct confirm *c, const char *command, size_t n_base, size_t n_candidate,
	bool quiet, struct fail *f)
{
	size_t i, n = n_base > n_candidate ? n_base : n_candidate;

	memset(c, 0, sizeof(*c));
	if (make_place(c, f) < 0)
		return -1;
	/* Turn about, so that what changes with time changes both sides alike. */
	for (i = 1; i <= n; i++) {
		if (i <= n_base && run_side(command, "baseline", c->base_path, i, quiet, f) < 0)
			return -1;
		if (i <= n_candidate &&
			run_side(command, "candidate", c->candidate_path, i, quiet, f) < 0)
			return -1;
	}
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	remove(path);
	return 0;
}

void confirm_remove(const struct confirm *c)
{
	if (c->dir)
		nftw(c->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void confirm_deinit(struct confirm *c)
{
	free(c->dir);
	free(c->base_path);
	free(c->candidate_path);
	memset(c, 0, sizeof(*c));
}
