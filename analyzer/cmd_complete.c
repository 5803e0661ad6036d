/*
 * cmd_complete.c - `heapspy complete`, which the scripts of `heapspy completion`
 * call at each TAB: reads a line that is not finished yet by the tables that parse
 * finished ones. Words from outside the tables are candidates.c's.
 *
 * Prints "WORD\tDESCRIPTION" lines, whole words, and lines that begin with a tab
 * for what the shell itself knows: "\tfiles"; "\tcommand N": the N-th word (0: the
 * first behind heapspy) begins another command line.
 */
#include "analyzer/commands.h"

#include <stdlib.h>
#include <string.h>

#include "analyzer/alloc.h"
#include "analyzer/candidates.h"
#include "analyzer/target/topics.h"

static const struct options_row rows[] = { CMD_ROW_HELP };

/* A line as far as it is typed. */
struct line {
	const struct command *command;
	char **words; /* behind "heapspy": the command first, the word at the cursor last */
	int n_words;
	const struct options_row *waiting; /* the last word is the value of this one; NULL: not */
	bool ended;                        /* by "--" */
	int first_argument;                /* index of a word; 0: none yet */
	int n_arguments;                   /* before the last word */
};

/* A long option, exact or cut short to what only one has in common with it, as getopt does. */
static const struct options_row *find_long(const struct command *c, const char *name, size_t bytes)
{
	const struct options_row *found = NULL;
	size_t i, n = 0;

	for (i = 0; i < c->n_rows; i++) {
		const struct options_row *row = &c->rows[i];

		if (!row->name || strncmp(row->name, name, bytes))
			continue;
		if (!row->name[bytes])
			return row;
		found = row;
		n++;
	}
	return n == 1 ? found : NULL;
}

static const struct options_row *find_letter(const struct command *c, char letter)
{
	size_t i;

	for (i = 0; i < c->n_rows; i++)
		if (c->rows[i].letter == letter)
			return &c->rows[i];
	return NULL;
}

/* The option that takes the word behind this one as its value; NULL: none. */
static const struct options_row *option_waiting(const struct command *c, const char *word)
{
	const struct options_row *row;

	if (!strncmp(word, "--", 2)) {
		if (strchr(word, '='))
			return NULL;
		row = find_long(c, word + 2, strlen(word + 2));
		return row && row->arg ? row : NULL;
	}
	while (*++word) {
		row = find_letter(c, *word);
		if (row && row->arg)
			return word[1] ? NULL : row;
	}
	return NULL;
}

static bool options_ended(const struct line *line)
{
	return line->ended || (line->command->stops_at_word && line->n_arguments);
}

static void read_line(struct line *line)
{
	int i;

	for (i = 1; i < line->n_words - 1; i++) {
		const char *word = line->words[i];

		if (line->waiting) {
			line->waiting = NULL;
		} else if (word[0] == '-' && word[1] && !options_ended(line)) {
			if (!strcmp(word, "--"))
				line->ended = true;
			else
				line->waiting = option_waiting(line->command, word);
		} else {
			if (!line->n_arguments++)
				line->first_argument = i;
		}
	}
}

static void add_value(struct candidates *c, const struct line *line, const struct options_row *row)
{
	const char *values = options_values(row);
	const char *moment = line->n_arguments ? line->words[line->first_argument] : NULL;

	if (values)
		candidates_add_list(c, values);
	else if (!row->arg)
		return;
	else if (!strcmp(row->arg, "FILE") || !strcmp(row->arg, "DIR"))
		strbuf_add_text(c->out, "\tfiles\n");
	else if (row->id == OPTION_THIRD)
		candidates_add_moments(c);
	else if ((row->id == OPTION_SINCE || row->id == OPTION_UNTIL) && moment)
		candidates_add_moments_in(c, moment);
	else if (row->id == OPTION_MODULE && moment)
		candidates_add_names(c, moment, CANDIDATES_MODULES);
	else if (!strcmp(row->arg, "RE") && moment)
		candidates_add_names(c, moment, CANDIDATES_FUNCTIONS);
}

static void add_options(struct candidates *c, const struct command *command)
{
	struct strbuf word = { 0 }, about = { 0 };
	size_t i;

	for (i = 0; i < command->n_rows; i++) {
		const struct options_row *row = &command->rows[i];

		strbuf_clear(&word);
		strbuf_clear(&about);
		if (row->name)
			strbuf_addf(&word, "--%s", row->name);
		else
			strbuf_addf(&word, "-%c", row->letter);
		/* The first line of the help says enough. */
		strbuf_add(&about, row->help, strcspn(row->help, "\n"));
		candidates_offer(c, word.data, about.data);
	}
	strbuf_deinit(&word);
	strbuf_deinit(&about);
}

static bool has_kind(const char *args, const char *kind)
{
	size_t bytes = strlen(kind);
	const char *at;

	for (at = args; (at = strstr(at, kind)) != NULL; at++)
		if ((at == args || strchr(" |[", at[-1])) && strchr(" |].", at[bytes]))
			return true;
	return false;
}

/* The words in small letters among the kinds of arguments stand for themselves. */
static void add_literals(struct candidates *c, const char *args)
{
	while (*args) {
		size_t bytes = strcspn(args, " |[]");
		char *word = alloc_text(args, bytes);

		if (bytes && word[0] >= 'a' && word[0] <= 'z')
			candidates_offer(c, word, "");
		free(word);
		args += bytes + (args[bytes] != '\0');
	}
}

static void add_arguments(struct candidates *c, const struct line *line)
{
	const struct command *command = line->command;
	const char *args = command->args;

	/* "-- COMMAND": only behind the dashes, and nothing else is there. */
	if (has_kind(args, "COMMAND") && (line->ended || !strstr(args, "-- COMMAND"))) {
		strbuf_addf(c->out, "\tcommand %d\n",
			line->n_arguments ? line->first_argument : line->n_words - 1);
		return;
	}
	if (line->n_arguments >= command->max_args)
		return;
	add_literals(c, args);
	if (has_kind(args, "MOMENT") || has_kind(args, "RUN") || has_kind(args, "A"))
		candidates_add_moments(c);
	if (has_kind(args, "FILE"))
		strbuf_add_text(c->out, "\tfiles\n");
	if (has_kind(args, "PID"))
		candidates_add_processes(c);
}

static void add_commands(struct candidates *c)
{
	const struct command *const *command;

	for (command = commands_all; *command; command++)
		if (!(*command)->hidden)
			candidates_offer(c, (*command)->name, (*command)->brief);
}

static void add_topics(struct candidates *c)
{
	size_t i;

	for (i = 0; i < n_topics; i++)
		candidates_offer(c, topics[i].name, topics[i].brief);
}

static void complete_line(struct candidates *c, struct line *line)
{
	const char *word = line->words[line->n_words - 1];
	const char *value = strchr(word, '=');

	read_line(line);
	if (line->waiting) {
		add_value(c, line, line->waiting);
	} else if (word[0] != '-' || options_ended(line)) {
		add_arguments(c, line);
	} else if (!strncmp(word, "--", 2) && value) {
		const struct options_row *row =
			find_long(line->command, word + 2, (size_t)(value - word - 2));
		char *before = alloc_text(word, (size_t)(value + 1 - word));

		c->before = before;
		c->typed = value + 1;
		if (row)
			add_value(c, line, row);
		c->before = "";
		free(before);
	} else {
		add_options(c, line->command);
	}
}

static int run(const struct options *o, struct strbuf *out, struct fail *f)
{
	struct line line = { .words = o->args, .n_words = o->n_args };
	const char *word = o->args[o->n_args - 1];
	struct candidates c = { .out = out, .before = "", .typed = word };
	struct fail ignored;

	if (o->n_args == 1 || (o->n_args == 2 && !strcmp(o->args[0], "help"))) {
		add_commands(&c);
		if (o->n_args == 1)
			candidates_add_list(&c, "help|--help|--version");
		else
			add_topics(&c);
		return 0;
	}
	line.command = commands_find(o->args[0], &ignored);
	if (line.command)
		complete_line(&c, &line);
	return 0;
}

const struct command cmd_complete = {
	.name = "complete",
	.brief = "what the last word may become",
	.args = "WORD...",
	.about = "Used by the scripts of heapspy completion: prints what the last of the words\n"
		 "behind \"heapspy\" may become.\n",
	.rows = rows,
	.n_rows = CMD_N_ROWS(rows),
	.min_args = 1,
	.max_args = 1 << 20,
	.stops_at_word = true,
	.hidden = true,
	.run = run,
};
