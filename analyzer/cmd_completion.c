/* cmd_completion.c - `heapspy completion`: prints the script for a shell. */
#include "analyzer/cmd.h"

#include "analyzer/out/completion.h"

static const struct options_row rows[] = { CMD_ROW_HELP };

static int run(const struct options *o, struct strbuf *out, struct fail *f)
{
	const char *script = completion_script(o->args[0]);

	if (!script)
		return fail_set(f, EXIT_CODE_USAGE,
			"no completion for '%s'; there is one for bash, zsh and fish", o->args[0]);
	strbuf_add_text(out, script);
	return 0;
}

const struct command cmd_completion = {
	.name = "completion",
	.brief = "lets a shell complete heapspy's words",
	.args = "bash|zsh|fish",
	.about = "Prints a script that completes commands, options, runs, moments and names:\n"
		 "  bash:  source <(heapspy completion bash)\n"
		 "  zsh:   source <(heapspy completion zsh)\n"
		 "  fish:  heapspy completion fish | source\n",
	.rows = rows,
	.n_rows = CMD_N_ROWS(rows),
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
