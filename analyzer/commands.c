/*
 * commands.c - owns the table of subcommands and the texts made from it. What a
 * command does is its own file's business, calling it is main.c's.
 */
#include "analyzer/commands.h"

#include <string.h>

#include "analyzer/suggest.h"
#include "analyzer/target/topics.h"

const struct command *const commands_all[] = {
	&cmd_run,
	&cmd_diff,
	&cmd_top,
	&cmd_trend,
	&cmd_churn,
	&cmd_live,
	&cmd_check,
	&cmd_snapshot,
	&cmd_recover,
	&cmd_dump,
	&cmd_doctor,
	&cmd_completion,
	&cmd_complete,
	NULL,
};

static const struct command *find(const char *name)
{
	const struct command *const *c;

	for (c = commands_all; *c; c++)
		if (!strcmp(name, (*c)->name))
			return *c;
	return NULL;
}

static void add_topics(struct strbuf *out)
{
	size_t i;

	for (i = 0; i < n_topics; i++)
		strbuf_addf(out, "%s%s", i ? ", " : "", topics[i].name);
}

static int fail_unknown(const char *name, bool topic_is_fine, struct fail *f)
{
	const struct command *const *c;
	struct strbuf topic_names = { 0 };
	struct suggest suggest;
	size_t i;

	suggest_init(&suggest, name);
	for (c = commands_all; *c; c++)
		if (!(*c)->hidden)
			suggest_offer(&suggest, (*c)->name);
	for (i = 0; i < n_topics && topic_is_fine; i++)
		suggest_offer(&suggest, topics[i].name);
	suggest_offer(&suggest, "help");
	if (topic_is_fine && !suggest.best) {
		strbuf_add_text(&topic_names, "; the topics are ");
		add_topics(&topic_names);
		strbuf_add_text(&topic_names, ", the commands: heapspy help");
	}
	fail_set(f, EXIT_CODE_USAGE, "unknown %s '%s'%s%s%s",
		name[0] == '-'      ? "option"
		: topic_names.bytes ? "command or topic"
				    : "command",
		name,
		suggest.best        ? "; did you mean "
		: topic_names.bytes ? topic_names.data
				    : "; see heapspy help",
		suggest.best ? suggest.best : "", suggest.best ? "?" : "");
	strbuf_deinit(&topic_names);
	suggest_deinit(&suggest);
	return -1;
}

const struct command *commands_find(const char *name, struct fail *f)
{
	const struct command *command = find(name);

	if (!command)
		fail_unknown(name, false, f);
	return command;
}

void commands_add_overview(struct strbuf *out, const char *library)
{
	const struct command *const *c;

	strbuf_add_text(out, "usage: heapspy COMMAND [OPTION]... ARGUMENT...\n\n");
	for (c = commands_all; *c; c++)
		if (!(*c)->hidden)
			strbuf_addf(out, "  %-11s%-19s%s\n", (*c)->name, (*c)->args, (*c)->brief);
	strbuf_addf(out,
		"\nTo record, start the program under heapspy run, or preload the library into "
		"it.\n"
		"Snapshots come every HEAPSPY_INTERVAL (60s unless set) and at exit:\n"
		"  heapspy run --interval 5s -- ./server\n"
		"  HEAPSPY_INTERVAL=5s%sLD_PRELOAD=%s ./server\n",
		/* An installed path leaves no room for the rest. */
		strlen(library) > 34 ? " \\\n    " : " ", library);
	strbuf_add_text(out,
		"\nA MOMENT is a snapshot file (000001.hspy), a run directory (its last "
		"snapshot),\n"
		"or RUN@WHEN: @first @last @peak, @3 (number), @10m (since start), @-5m (before\n"
		"the end), @14:03 (wall clock), @mark:NAME; the nearest snapshot is taken.\n\n"
		"heapspy help COMMAND lists its options; heapspy --version tells the version.\n"
		"heapspy help TOPIC explains: ");
	add_topics(out);
	strbuf_add_text(out, ".\n");
}

void commands_add_help(struct strbuf *out, const struct command *command)
{
	strbuf_addf(out, "usage: heapspy %s [OPTION]... %s\n\n%s\n", command->name, command->args,
		command->about);
	options_add_help(out, command->rows, command->n_rows);
}

int commands_help(struct strbuf *out, const char *name, struct fail *f)
{
	const struct command *command = find(name);
	const struct topic *topic = topics_find(name);

	if (command)
		commands_add_help(out, command);
	else if (topic)
		strbuf_add_text(out, topic->text);
	else
		return fail_unknown(name, true, f);
	return 0;
}
