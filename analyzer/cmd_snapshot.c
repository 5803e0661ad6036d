/* cmd_snapshot.c - heapspy snapshot PID: a snapshot of a running process, taken from outside. */
#include <string.h>

#include "analyzer/cmd.h"
#include "analyzer/target/live_state.h"
#include "analyzer/units.h"

static const struct options_row rows[] = {
	{ OPTION_LABEL, 0, "label", "NAME", "its name, for RUN@mark:NAME" },
	{ OPTION_FILE, 'o', "output", "FILE", "write to FILE, which must not exist" },
	{ OPTION_QUIET, 'q', "quiet", NULL, "do not print what was written" },
	CMD_ROW_HELP,
};

static void add_written(struct strbuf *out, const struct live_state_written *written)
{
	strbuf_add_escaped(out, written->path, strlen(written->path));
	strbuf_add_text(out, "  (");
	units_add_bytes(out, (double)written->bytes);
	strbuf_add_text(out, ")\n");
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
	ret = live_state_write(live, HEAPSPY_REASON_REQUEST, o->label, o->file, &written, f);
	live_state_close(live);
	if (!ret && !o->quiet)
		add_written(out, &written);
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
