/*
 * input_pair.c - owns which two moments a command line means, and their order. Reading one is
 * input.c's.
 */
#include "analyzer/input_pair.h"

#include <stdlib.h>

/* --since and --until are parts of a run, not of a moment. */
static int check_options(const struct options *o, const char *command, struct fail *f)
{
	struct moment_parts parts = moment_split(o->args[0]);
	bool is_moment = o->n_args > 1 || parts.when;

	free(parts.path);
	if ((o->since || o->until) && is_moment)
		return fail_set(f, EXIT_CODE_USAGE,
			"--since and --until say which part of a RUN: heapspy %s RUN --since 10m",
			command);
	return 0;
}

int input_pair_open(struct input_pair *pair, const struct options *o, const char *command,
	uint32_t need, struct fail *f)
{
	const char *b = o->n_args > 1 ? o->args[1] : o->args[0];

	if (check_options(o, command, f) < 0)
		return -1;
	pair->a_text = moment_join(o->args[0], o->since);
	pair->b_text = moment_join(b, o->until);
	if (input_open(&pair->a, pair->a_text, o->n_args == 1 ? "first" : "last", need, o, f) < 0)
		return -1;
	/* A mistake in the one moment is said before that there should be two. */
	if (o->n_args == 1 && !moment_is_run(b))
		return fail_set(f, EXIT_CODE_USAGE,
			"%s needs two moments, or a run directory for its first and last", command);
	if (input_open(&pair->b, pair->b_text, "last", need, o, f) < 0)
		return -1;
	if (o->since && o->until && pair->a.snapshot->info.cut_ns >= pair->b.snapshot->info.cut_ns)
		return fail_set(f, EXIT_CODE_USAGE,
			"--since %s is not before --until %s: nothing lies between", o->since,
			o->until);
	return 0;
}

void input_pair_order(struct input_pair *pair, const struct options *o, const char *verb)
{
	struct input_pair other = {
		.a_text = pair->b_text, .b_text = pair->a_text, .a = pair->b, .b = pair->a
	};

	if (pair->a.snapshot->info.cut_ns <= pair->b.snapshot->info.cut_ns)
		return;
	*pair = other;
	if (!o->quiet)
		fail_warn("A is later than B: they are %s the other way round", verb);
}

void input_pair_add_arguments(
	struct strbuf *out, const struct input_pair *pair, const struct options *o)
{
	strbuf_add_shell_word(out, pair->a_text);
	if (o->n_args > 1 || o->since || o->until) {
		strbuf_add_char(out, ' ');
		strbuf_add_shell_word(out, pair->b_text);
	}
}

void input_pair_close(struct input_pair *pair)
{
	input_close(&pair->a);
	input_close(&pair->b);
	free(pair->a_text);
	free(pair->b_text);
}
