/*
 * cmd_doctor.c - `heapspy doctor`: what it is asked about. The checks are
 * target/doctor*.c's, the output out/doctor_*.c's.
 */
#include "analyzer/cmd.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "analyzer/out/doctor.h"
#include "analyzer/out/table.h"
#include "analyzer/target/doctor.h"
#include "analyzer/units.h"

static const struct options_row rows[] = {
	{ OPTION_JSON, 0, "json", NULL, "one JSON object: all checks" },
	{ OPTION_COLOR, 0, "color", "auto|always|never", "colours; auto: on a terminal" },
	{ OPTION_OUTPUT, 'o', "output", "FILE", "write to FILE" },
	{ OPTION_QUIET, 'q', "quiet", NULL, "only what is not ok" },
	CMD_ROW_HELP,
};

static void check_host(struct doctor_report *report)
{
	doctor_host(report);
	doctor_settings(report, environ, true);
	if (report->level == DOCTOR_BAD) {
		strbuf_add_text(&report->verdict,
			"heapspy does not work here as asked for: see what is bad above");
	} else {
		strbuf_addf(&report->verdict, "heapspy can profile here%s",
			report->level == DOCTOR_NOTE ? ", within these notes" : "");
		strbuf_add_text(&report->next, "heapspy run -- COMMAND");
	}
}

/* "--" stood before the arguments: they are a command, even one that is called 12. */
static bool is_command(const struct options *o)
{
	return o->n_args && !strcmp(o->args[-1], "--");
}

static int check_process(const struct options *o, struct doctor_report *report, struct fail *f)
{
	uint64_t pid;

	if (!units_parse_number(o->args[0], INT32_MAX, &pid) || !pid)
		return fail_set(f, EXIT_CODE_USAGE,
			"'%s' is no process id; a command stands behind --: heapspy doctor -- %s",
			o->args[0], o->args[0]);
	if (o->n_args > 1)
		return fail_set(f, EXIT_CODE_USAGE,
			"doctor looks at one process at a time (see heapspy help doctor)");
	return doctor_process(report, (uint32_t)pid, f);
}

static int run(const struct options *o, struct strbuf *out, struct fail *f)
{
	struct table_style style = table_style_of(o->output ? -1 : STDOUT_FILENO, o->color);
	struct doctor_report report = { 0 };
	int code = -1;

	if (!o->n_args)
		check_host(&report);
	else if (is_command(o))
		doctor_command(&report, o->args, o->n_args);
	else if (check_process(o, &report, f) < 0)
		goto out;
	if (o->json)
		doctor_json(&report, out);
	else
		doctor_text(&report, &style, o->quiet, out);
	code = report.level == DOCTOR_BAD ? EXIT_CODE_GATE : 0;
out:
	doctor_report_deinit(&report);
	return code;
}

const struct command cmd_doctor = {
	.name = "doctor",
	.brief = "can it be profiled, and if not, why not",
	.args = "[PID|-- COMMAND]",
	.about =
		"Without an argument looks at this machine and this user: what is missing, which\n"
		"settings are in force, which states of dead processes lie about. With the PID of\n"
		"a running process: whether heapspy works in it, and what is in force there. With\n"
		"a command behind --: whether heapspy run could profile it, and where its files\n"
		"would go; nothing is started.\n"
		"One line a check, ok, note or bad; the last line is the verdict. Exit code 1\n"
		"when something is bad.\n",
	.rows = rows,
	.n_rows = CMD_N_ROWS(rows),
	.min_args = 0,
	.max_args = INT_MAX,
	.run = run,
};
