/* cmd_dump.c - `heapspy dump`: its options and its moment. The output is out/dump_*.c's. */
#include "analyzer/cmd.h"

#include "analyzer/input.h"
#include "analyzer/out/dump.h"

static const struct options_row rows[] = {
	{ OPTION_LIVE, 0, "live", NULL, "list the live samples" },
	{ OPTION_ALL_STACKS, 0, "stacks", NULL,
		"list the stacks with raw frames and counters\n(counters alone always are in the "
		"JSON)" },
	CMD_ROWS_OUTPUT,
	CMD_ROW_HELP,
};

static int run(const struct options *o, struct strbuf *out, struct fail *f)
{
	struct input input;
	struct dump_view view = { .input = &input, .live = o->dump_live, .stacks = o->dump_stacks };

	if (input_open(&input, o->args[0], "last", 0, o, f) < 0)
		return -1;
	if (o->json)
		dump_json(&view, out);
	else
		dump_text(&view, out);
	input_warn(&input, o);
	input_close(&input);
	return 0;
}

const struct command cmd_dump = {
	.name = "dump",
	.brief = "what a snapshot file holds, raw",
	.args = "MOMENT",
	.about = "Shows the sections of a snapshot as they are, for bug reports. It holds\n"
		 "addresses, paths and names, but never the contents of memory.\n",
	.rows = rows,
	.n_rows = CMD_N_ROWS(rows),
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
