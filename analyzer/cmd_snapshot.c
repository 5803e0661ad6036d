/* cmd_snapshot.c - heapspy snapshot PID: a snapshot of a running process, taken from outside. */
#include <string.h>

#include "analyzer/cmd.h"
#include "analyzer/target/live_state.h"
#include "analyzer/units.h"

static const struct options_row rows[] = {
	{ OPTION_LABEL, 0, "label", "NAME", "its name, for RUN@mark:NAME" },
	{ OPTION_FILE, 'o', "output", "FILE", "write to FILE, which must not exist" },
	{ OPTION_QUIET, 'q', "quiet", NULL, "do not print what was written, nor notes" },
	CMD_ROW_HELP,
};

static void add_written(struct strbuf *out, const struct live_state_written *written)
{
	strbuf_add_escaped(out, written->path, strlen(written->path));
	strbuf_add_text(out, "  (");
	units_add_bytes(out, (double)written->bytes);
	strbuf_add_text(out, ")\n");
}

/* Of another user's process the files do not go where its own go: see live_state_write(). */
static void tell_place(uint32_t pid)
{
	struct strbuf text = { 0 };

	strbuf_addf(&text,
		"note: process %u belongs to another user, whose choice of a directory is not "
		"followed: written into the working directory",
		pid);
	fail_say(text.data);
	strbuf_deinit(&text);
}

static int run(const struct options *o, struct strbuf *out, struct fail *f)
{
	struct live_state_written written;
	struct live_state *live;
	uint64_t pid;
	int ret;

	if (!units_parse_number(o->args[0], INT32_MAX, &pid) || !pid)
		return fail_set(f, EXIT_CODE_USAGE,
			"'%s' is not a process id; snapshot takes the number of a running process",
			o->args[0]);
	if (live_state_open((uint32_t)pid, &live, f) < 0)
		return -1;
	live_state_doubt_places(live);
	ret = live_state_write(live, HEAPSPY_REASON_REQUEST, o->label, o->file, &written, f);
	if (!ret && !o->quiet) {
		if (live_state_is_foreign(live) && !o->file)
			tell_place((uint32_t)pid);
		add_written(out, &written);
	}
	live_state_close(live);
	return ret;
}

const struct command cmd_snapshot = {
	.name = "snapshot",
	.brief = "a snapshot of a running process, from outside",
	.args = "PID",
	.about =
		"Writes a snapshot of a process that runs under heapspy, and prints its name. The\n"
		"process does nothing for it and is not paused; it may also be a stopped one.\n",
	.rows = rows,
	.n_rows = CMD_N_ROWS(rows),
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
