/*
 * cmd_recover.c - heapspy recover: which places are looked at, and what is said. What
 * is done with a state is recover/recover.c's business.
 */
#include "analyzer/cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "analyzer/alloc.h"
#include "analyzer/out/recover.h"
#include "preload/state/settings.h"

#define SAID_MAX 10 /* states in whose way something stands, each on a line of its own */

static const struct options_row rows[] = {
	{ OPTION_STATE_DIR, 0, "state", "DIR",
		"directory of the states, as run has it; default:\n"
		"HEAPSPY_STATE, else /dev/shm" },
	{ OPTION_DIR, 'o', "dir", "DIR",
		"write into DIR, each process into a directory of its\n"
		"own; default: where its snapshots went" },
	{ OPTION_DRY_RUN, 0, "dry-run", NULL, "only tell what there is" },
	{ OPTION_KEEP_STATES, 0, "keep", NULL, "do not remove the states" },
	{ OPTION_REMOVE_DAMAGED, 0, "remove-damaged", NULL,
		"remove states of dead processes that cannot be read" },
	{ OPTION_JSON, 0, "json", NULL, "one JSON object" },
	{ OPTION_QUIET, 'q', "quiet", NULL, "print nothing but errors" },
	CMD_ROW_HELP,
};

struct recovery {
	struct recover_how how;
	struct recovered *all;
	size_t n, capacity;
	size_t n_failures;
	bool quiet;
};

/* What stands in the way is said at once; a note where it is nobody's fault. */
static void say(struct recovery *recovery, const struct recovered *r)
{
	if (r->f.exit_code && recovery->n_failures++ < SAID_MAX)
		fail_print(&r->f);
	if (recovery->quiet)
		return;
	if (r->state.kind == DEAD_STATE_UNCLEAR)
		fail_warn("'%s' is left alone: it %s", r->file, r->state.reason);
	if (r->is_elsewhere && r->is_written)
		fail_warn("note: '%s' belongs to another user, or to another view of the files: "
			  "written into the working directory",
			r->file);
}

static void take(
	struct recovery *recovery, int dir_fd, const char *dir, const struct dead_state *state)
{
	struct recovered *r;

	recovery->all =
		alloc_room(recovery->all, recovery->n, &recovery->capacity, sizeof(*recovery->all));
	r = &recovery->all[recovery->n++];
	recover_one(dir_fd, dir, state, &recovery->how, r);
	if (r->state.kind == DEAD_STATE_NONE && state->kind != DEAD_STATE_NONE)
		recovery->n--; /* gone meanwhile */
	else
		say(recovery, r);
}

static int take_dir(struct recovery *recovery, const char *dir, struct fail *f)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dead_state *states = NULL;
	ssize_t n = fd < 0 ? -1 : dead_states_list(fd, &states), i;

	if (n < 0)
		fail_set(f, EXIT_CODE_INPUT,
			"cannot list the state directory '%s': %s; name another one (--state)", dir,
			strerror(errno));
	for (i = 0; i < n; i++)
		take(recovery, fd, dir, &states[i]);
	free(states);
	if (fd >= 0)
		close(fd);
	return n < 0 ? -1 : 0;
}

/* A state by its name: with its directory, or one in the state directory. */
static int take_file(
	struct recovery *recovery, const char *word, const char *state_dir, struct fail *f)
{
	const char *slash = strrchr(word, '/'), *name = slash ? slash + 1 : word;
	char *dir = slash ? alloc_text(word, slash == word ? 1 : (size_t)(slash - word)) : NULL;
	struct dead_state state;
	struct stat st;
	int fd, ret = -1;

	if (!dir)
		dir = lstat(word, &st) ? alloc_text(state_dir, strlen(state_dir))
				       : alloc_text(".", 1);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW)) {
		fail_set(f, EXIT_CODE_INPUT, "cannot find the state '%s': %s", word,
			strerror(errno));
	} else {
		dead_states_judge(fd, name, true, &state);
		take(recovery, fd, dir, &state);
		ret = 0;
		if (state.kind == DEAD_STATE_ALIVE || state.kind == DEAD_STATE_CLAIMED)
			ret = fail_set(f, EXIT_CODE_INPUT,
				state.kind == DEAD_STATE_ALIVE
					? "the process of '%s' is alive: heapspy snapshot %u"
					: "heapspy run is about to write the last snapshot of "
					  "'%s', of process %u",
				word, state.pid);
	}
	if (fd >= 0)
		close(fd);
	free(dir);
	return ret;
}

static int take_all(
	struct recovery *recovery, const struct options *o, const char *state_dir, struct fail *f)
{
	struct stat st;
	int i;

	if (!o->n_args)
		return take_dir(recovery, state_dir, f);
	for (i = 0; i < o->n_args; i++)
		if ((!stat(o->args[i], &st) && S_ISDIR(st.st_mode)
				    ? take_dir(recovery, o->args[i], f)
				    : take_file(recovery, o->args[i], state_dir, f)) < 0)
			return -1;
	return 0;
}

/* Errors of reading before others: exit code 3 says that a state is lost. */
static int exit_code(const struct recovery *recovery)
{
	int code = 0;
	size_t i;

	for (i = 0; i < recovery->n; i++)
		if (recovery->all[i].f.exit_code && code != EXIT_CODE_INPUT)
			code = recovery->all[i].f.exit_code;
	return code;
}

static int run(const struct options *o, struct strbuf *out, struct fail *f)
{
	struct recovery recovery = { .how = { NULL, o->dry_run, o->keep_states, o->remove_damaged },
		.quiet = o->quiet };
	struct settings_names names = { "c", "h", 1 };
	struct settings *settings = alloc_array(1, sizeof(*settings));
	struct table_style style = table_style_of(STDOUT_FILENO, "never");
	struct recover_view view = { .how = &recovery.how, .where = "" };
	const char *state_dir = o->state_dir;
	char *dir = NULL;
	int ret;

	settings_read(settings, environ, names, NULL, NULL);
	if (!state_dir)
		state_dir = settings->state_dir;
	/* Snapshots are told by full paths. */
	if (o->dir) {
		if (mkdir(o->dir, 0700) && errno != EEXIST)
			ret = fail_set(f, EXIT_CODE_OTHER, "cannot make the directory '%s': %s",
				o->dir, strerror(errno));
		else if (!(dir = realpath(o->dir, NULL)) || strlen(dir) >= STATE_PATH_BYTES)
			ret = fail_set(f, EXIT_CODE_OTHER, "cannot use the directory '%s': %s",
				o->dir, dir ? "its path is too long" : strerror(errno));
		else
			ret = 0;
		recovery.how.dir = dir;
	} else {
		ret = 0;
	}
	if (!ret)
		ret = take_all(&recovery, o, state_dir, f);
	if (recovery.n_failures > SAID_MAX)
		fail_warn(
			"%zu states more cannot be dealt with; heapspy recover --json tells of all",
			recovery.n_failures - SAID_MAX);
	if (!ret) {
		view.all = recovery.all;
		view.n = recovery.n;
		view.where = o->n_args == 0 ? state_dir : o->n_args == 1 ? o->args[0] : "";
		if (o->json)
			recover_json(&view, out);
		else if (!o->quiet)
			recover_text(&view, &style, out);
		ret = exit_code(&recovery);
	}
	free(recovery.all);
	free(settings);
	free(dir);
	return ret;
}

const struct command cmd_recover = {
	.name = "recover",
	.brief = "last snapshots of processes that were killed",
	.args = "[DIR|FILE]...",
	.about =
		"What a process had sampled when it was killed is still in its state. Finds the\n"
		"states of dead processes in the state directory, or in DIR, or takes the state\n"
		"FILE; writes of each the last snapshot of its run, and then removes it. Those of\n"
		"the living, and those that heapspy run comes for, are left alone. Exit code 3\n"
		"when one cannot be read.\n",
	.rows = rows,
	.n_rows = CMD_N_ROWS(rows),
	.min_args = 0,
	.max_args = INT_MAX,
	.run = run,
};
