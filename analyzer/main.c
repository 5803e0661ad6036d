/*
 * main.c - the heapspy command: finds the subcommand, and carries its output and
 * its errors out. Everything else is the library's.
 */
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyzer/cmd.h"
#include "analyzer/out/table.h"
#include "analyzer/suggest.h"

static const struct command *const commands[] = { &cmd_diff, &cmd_top, &cmd_dump };

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void add_overview(struct strbuf *out)
{
	const char *library =
		access(HEAPSPY_LIBRARY, R_OK) == 0 ? HEAPSPY_LIBRARY : "libheapspy.so";
	size_t i;

	strbuf_add_text(out, "usage: heapspy COMMAND [OPTION]... MOMENT...\n\n");
	for (i = 0; i < N_COMMANDS; i++)
		strbuf_addf(out, "  %-6s%-16s%s\n", commands[i]->name, commands[i]->args,
			commands[i]->brief);
	strbuf_add_text(out,
		"\nTo record, preload the library into a program's start. Snapshots come every\n"
		"HEAPSPY_INTERVAL (60s unless set) and at exit; README.md has all variables:\n");
	strbuf_addf(out, "  HEAPSPY_INTERVAL=5s%sLD_PRELOAD=%s ./server\n",
		/* An installed path leaves no room for the rest. */
		strlen(library) > 34 ? " \\\n    " : " ", library);
	strbuf_add_text(out,
		"\nA MOMENT is a snapshot file (000001.hspy), a run directory (its last "
		"snapshot),\n"
		"or RUN@WHEN: @first @last @peak, @3 (number), @10m (since start), @-5m (before\n"
		"the end), @14:03 (wall clock), @mark:NAME; the nearest snapshot is taken.\n\n"
		"heapspy help COMMAND lists its options; heapspy --version tells the version.\n");
}

static void add_command_help(struct strbuf *out, const struct command *command)
{
	strbuf_addf(out, "usage: heapspy %s [OPTION]... %s\n\n%s\n", command->name, command->args,
		command->about);
	options_add_help(out, command->rows, command->n_rows);
}

static const struct command *find_command(const char *name, struct fail *f)
{
	struct suggest suggest;
	size_t i;

	suggest_init(&suggest, name);
	for (i = 0; i < N_COMMANDS; i++) {
		if (!strcmp(name, commands[i]->name)) {
			suggest_deinit(&suggest);
			return commands[i];
		}
		suggest_offer(&suggest, commands[i]->name);
	}
	suggest_offer(&suggest, "help");
	fail_set(f, EXIT_CODE_USAGE, "unknown %s '%s'%s%s%s", name[0] == '-' ? "option" : "command",
		name, suggest.best ? "; did you mean " : "; see heapspy help",
		suggest.best ? suggest.best : "", suggest.best ? "?" : "");
	suggest_deinit(&suggest);
	return NULL;
}

static int write_out(const struct strbuf *out, const char *path, struct fail *f)
{
	FILE *stream = path ? fopen(path, "we") : stdout;
	int error = 0;

	if (!stream)
		return fail_set(f, EXIT_CODE_OTHER, "cannot write '%s': %s", path, strerror(errno));
	if (out->bytes && fwrite(out->data, 1, out->bytes, stream) < out->bytes)
		error = errno;
	if ((path ? fclose(stream) : fflush(stream)) && !error)
		error = errno;
	if (error)
		return fail_set(f, EXIT_CODE_OTHER, "cannot write '%s': %s",
			path ? path : "standard output", strerror(error));
	return 0;
}

static int run_command(
	const struct command *command, int argc, char **argv, struct strbuf *out, struct fail *f)
{
	struct options o;
	int code;

	if (options_parse(&o, command->rows, command->n_rows, argc, argv, f) < 0)
		return -1;
	if (o.help) {
		add_command_help(out, command);
		return write_out(out, NULL, f);
	}
	fail_use_color(table_style_of(STDERR_FILENO, o.color).color);
	if (o.n_args < command->min_args || o.n_args > command->max_args)
		return fail_set(f, EXIT_CODE_USAGE,
			"usage: heapspy %s [OPTION]... %s (see heapspy help %s)", command->name,
			command->args, command->name);
	code = command->run(&o, out, f);
	if (code < 0 || write_out(out, o.output, f) < 0)
		return -1;
	return code;
}

static int help(int argc, char **argv, struct strbuf *out, struct fail *f)
{
	const struct command *command;

	if (argc < 2) {
		add_overview(out);
	} else {
		command = find_command(argv[1], f);
		if (!command)
			return -1;
		add_command_help(out, command);
	}
	return write_out(out, NULL, f);
}

int main(int argc, char **argv)
{
	struct strbuf out = { 0 };
	struct fail f = { 0 };
	const struct command *command;
	int code = -1;

	setlocale(LC_CTYPE, "");
	if (argc < 2) {
		add_overview(&out);
		fwrite(out.data, 1, out.bytes, stderr);
		code = EXIT_CODE_USAGE;
	} else if (!strcmp(argv[1], "help") || !strcmp(argv[1], "--help") ||
		   !strcmp(argv[1], "-h")) {
		code = help(argc - 1, argv + 1, &out, &f);
	} else if (!strcmp(argv[1], "--version")) {
		strbuf_addf(&out, "heapspy %s (reads snapshot format %d)\n", HEAPSPY_VERSION,
			HEAPSPY_FORMAT_VERSION);
		code = write_out(&out, NULL, &f);
	} else {
		command = find_command(argv[1], &f);
		if (command)
			code = run_command(command, argc - 1, argv + 1, &out, &f);
	}
	strbuf_deinit(&out);
	return code < 0 ? fail_print(&f) : code;
}
