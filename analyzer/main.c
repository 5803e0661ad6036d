/*
 * main.c - the heapspy command: finds the subcommand, and carries its output and
 * its errors out. Everything else is the library's.
 */
#include <errno.h>
#include <limits.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyzer/commands.h"
#include "analyzer/out/table.h"
#include "analyzer/target/library.h"
#include "analyzer/source_frames.h"
#include "analyzer/symbols_progress.h"

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

static int check_count(const struct command *command, const struct options *o, struct fail *f)
{
	if (o->n_args >= command->min_args && o->n_args <= command->max_args)
		return 0;
	return fail_set(f, command->usage_code ? command->usage_code : EXIT_CODE_USAGE,
		"usage: heapspy %s [OPTION]... %s (see heapspy help %s)", command->name,
		command->args, command->name);
}

static int run_parsed(
	const struct command *command, const struct options *o, struct strbuf *out, struct fail *f)
{
	int code;

	if (o->help) {
		commands_add_help(out, command);
		return write_out(out, NULL, f);
	}
	fail_use_color(table_style_of(STDERR_FILENO, o->color).color);
	if (check_count(command, o, f) < 0)
		return -1;
	if (o->json && o->csv)
		return fail_set(f, EXIT_CODE_USAGE, "--json and --csv exclude each other");
	source_frames_allow_debuginfod(!o->no_debuginfod);
	symbols_progress_allow(!o->quiet);
	code = command->run(o, out, f);
	if (code < 0 || write_out(out, o->output, f) < 0)
		return -1;
	return code;
}

static int run_command(
	const struct command *command, int argc, char **argv, struct strbuf *out, struct fail *f)
{
	struct options o;
	int code = -1;

	if (options_parse(
		    &o, command->rows, command->n_rows, command->stops_at_word, argc, argv, f) == 0)
		code = run_parsed(command, &o, out, f);
	else if (command->usage_code)
		f->exit_code = command->usage_code;
	options_deinit(&o);
	return code;
}

static const char *library_path(void)
{
	static char path[PATH_MAX];
	struct fail ignored;

	return library_find(path, sizeof(path), &ignored) < 0 ? "libheapspy.so" : path;
}

static int help(int argc, char **argv, struct strbuf *out, struct fail *f)
{
	if (argc > 2)
		return fail_set(f, EXIT_CODE_USAGE, "usage: heapspy help [COMMAND]");
	if (argc < 2)
		commands_add_overview(out, library_path());
	else if (commands_help(out, argv[1], f) < 0)
		return -1;
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
		commands_add_overview(&out, library_path());
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
		command = commands_find(argv[1], &f);
		if (command)
			code = run_command(command, argc - 1, argv + 1, &out, &f);
	}
	strbuf_deinit(&out);
	return code < 0 ? fail_print(&f) : code;
}
