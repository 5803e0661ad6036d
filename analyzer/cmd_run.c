/*
 * cmd_run.c - heapspy run: starts a command under the profiler and writes the
 * snapshots for it. Here the settings, the checks beforehand and the environment;
 * the running itself is run/session.c's.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyzer/alloc.h"
#include "analyzer/cmd.h"
#include "analyzer/run/preflight.h"
#include "analyzer/run/session.h"
#include "analyzer/run/summary.h"
#include "analyzer/target/allocators.h"
#include "analyzer/target/preload_list.h"
#include "analyzer/target/proc.h"
#include "analyzer/target/program.h"
#include "preload/state/settings.h"

#define COMM_BYTES 15 /* what the kernel keeps of a name */

static const struct options_row rows[] = {
	{ OPTION_SETTING, 0, "dir", "DIR",
		"where snapshots go; %p pid, %c command, %h host;\n"
		"default: heapspy.COMMAND.PID here, else in TMPDIR",
		.setting = "HEAPSPY_DIR" },
	{ OPTION_SETTING, 0, "sample", "SIZE",
		"mean sampling interval (512KiB); 1: every allocation",
		.setting = "HEAPSPY_SAMPLE" },
	{ OPTION_SETTING, 0, "interval", "TIME", "time between snapshots (60s); 0: at the end only",
		.setting = "HEAPSPY_INTERVAL" },
	{ OPTION_SETTING, 0, "writer", "WHO",
		"who writes snapshots: auto (default; this command),\n"
		"external (this command or nobody), thread, inline, off",
		.values = "auto|thread|inline|external|off", .setting = "HEAPSPY_WRITER" },
	{ OPTION_SETTING, 0, "unwind", "HOW",
		"how stacks are walked: cfi (default), fp,\n"
		"libunwind, compare",
		.values = "cfi|fp|libunwind|compare", .setting = "HEAPSPY_UNWIND" },
	{ OPTION_SETTING, 0, "depth", "N", "frames kept of a stack (128)",
		.setting = "HEAPSPY_DEPTH" },
	{ OPTION_SETTING, 0, "state", "DIR", "directory on tmpfs for the live state (/dev/shm)",
		.setting = "HEAPSPY_STATE" },
	{ OPTION_SETTING, 0, "state-max", "SIZE", "cap of the state (32MiB)",
		.setting = "HEAPSPY_STATE_MAX" },
	{ OPTION_SETTING, 0, "cpu-max", "SHARE",
		"CPU that sampling may take, of one core (1%); off: any",
		.setting = "HEAPSPY_CPU_MAX" },
	{ OPTION_SETTING, 0, "keep", "SIZE",
		"disk that snapshots of a process may take (256MiB);\n"
		"then old ones go, ever sparser; off: any",
		.setting = "HEAPSPY_KEEP" },
	{ OPTION_SETTING, 0, "near-limit", "SHARE",
		"a snapshot when so much of the memory limit is used\n"
		"(90%); off: none",
		.setting = "HEAPSPY_NEAR_LIMIT" },
	{ OPTION_SETTING, 0, "children", "WHICH",
		"child processes profiled: all (default), exec, none", .values = "all|exec|none",
		.setting = "HEAPSPY_CHILDREN" },
	{ OPTION_SETTING, 0, "start", "WHEN",
		"on (default), or off: until it calls heapspy_start()", .values = "on|off",
		.setting = "HEAPSPY_START" },
	{ OPTION_ALLOCATOR, 0, "allocator", "NAME",
		"malloc of this machine's jemalloc, tcmalloc,\n"
		"tcmalloc_minimal or mimalloc instead of the program's",
		.values = ALLOCATORS_VALUES },
	{ OPTION_SETTING, 'v', "verbose", NULL, "one line on stderr for each decision",
		.setting = "HEAPSPY_VERBOSE" },
	{ OPTION_QUIET, 'q', "quiet", NULL, "no summary at the end" },
	CMD_ROW_HELP,
};

static void refuse(void *context, const char *name, const char *value, const char *expected)
{
	struct fail *f = context;

	if (expected && !f->exit_code)
		fail_set(f, SESSION_EXIT_FAILED, "%s='%s' cannot be used: expected %s", name, value,
			expected);
}

/* The environment of the command, as a list that grows. */
struct environment {
	char **entries;
	size_t n, capacity;
};

/* Sets name to value; the entry that had the name is replaced. Returns its place. */
static size_t set_variable(struct environment *e, const char *name, const char *value)
{
	size_t length = strlen(name), i;
	char *entry;

	if (asprintf(&entry, "%s=%s", name, value) < 0)
		abort();
	for (i = 0; i < e->n; i++)
		if (!strncmp(e->entries[i], name, length) && e->entries[i][length] == '=') {
			free(e->entries[i]);
			e->entries[i] = entry;
			return i;
		}
	e->entries = alloc_room(e->entries, e->n + 1, &e->capacity, sizeof(*e->entries));
	e->entries[e->n] = entry;
	e->entries[e->n + 1] = NULL;
	return e->n++;
}

static void copy_environment(struct environment *e)
{
	char **entry;

	for (entry = environ; *entry; entry++) {
		e->entries = alloc_room(e->entries, e->n + 1, &e->capacity, sizeof(*e->entries));
		e->entries[e->n++] = alloc_text(*entry, strlen(*entry));
		e->entries[e->n] = NULL;
	}
}

static void environment_deinit(struct environment *e)
{
	size_t i;

	for (i = 0; i < e->n; i++)
		free(e->entries[i]);
	free(e->entries);
}

/* Options first, then the user's own environment; a value that is wrong ends it here. */
static int set_settings(struct environment *e, const struct options *o, struct fail *f)
{
	size_t i;

	for (i = 0; i < o->n_settings; i++) {
		const struct options_setting *setting = &o->settings[i];
		const char *expected = settings_refuse(setting->variable, setting->value);

		if (expected)
			return fail_set(f, SESSION_EXIT_FAILED,
				"--%s '%s' cannot be used: expected %s", setting->row->name,
				setting->value, expected);
		set_variable(e, setting->variable, setting->value);
	}
	return 0;
}

static int set_lease(struct environment *e, struct fail *f)
{
	struct proc_stat self;
	char lease[48];

	if (!proc_read_stat((uint32_t)getpid(), &self))
		return fail_set(
			f, SESSION_EXIT_FAILED, "cannot read /proc/self/stat: is /proc there?");
	snprintf(lease, sizeof(lease), "%d.%llu", (int)getpid(),
		(unsigned long long)self.start_ticks);
	set_variable(e, SETTINGS_LEASE_NAME, lease);
	return 0;
}

/*
 * The directory by a full path, since the processes of one run may start in
 * different places. Without one the session makes it up when it knows the pid.
 */
static char *set_dir(struct environment *e, struct session *s, const char *name)
{
	const char *base = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;
	const char *dir = NULL;
	char cwd[PATH_MAX], *text = NULL;
	size_t i;

	for (i = 0; i < e->n; i++)
		if (!strncmp(e->entries[i], "HEAPSPY_DIR=", 12))
			dir = e->entries[i] + 12;
	if ((dir && dir[0] == '/') || !getcwd(cwd, sizeof(cwd)) || strchr(cwd, '%') ||
		strchr(base, '%'))
		return NULL;
	if (dir) {
		if (asprintf(&text, "%s/%s", cwd, dir) < 0)
			abort();
		set_variable(e, "HEAPSPY_DIR", text);
		free(text);
		return NULL;
	}
	if (asprintf(&text, "HEAPSPY_DIR=%s/heapspy.%.*s", cwd, COMM_BYTES, base) < 0)
		abort();
	s->dir_prefix = text;
	s->dir_slot = &e->entries[set_variable(e, "HEAPSPY_DIR", "")];
	return text;
}

/* Before anything is started: the places that were named. */
static int check_places(
	const struct environment *e, const struct settings *settings, struct fail *f)
{
	size_t i;

	if (!settings->state_anon && preflight_state_dir(settings->state_dir, f) < 0)
		return -1;
	for (i = 0; i < e->n; i++)
		if (!strncmp(e->entries[i], "HEAPSPY_DIR=", 12))
			return preflight_dir(e->entries[i] + 12, f);
	return 0;
}

/* Of the user's own choice no part may stay unsaid: calls that were bound at link time, above all.
 */
static void warn_of_rest(const struct options *o, const struct program_facts *facts)
{
	static const enum program_kind kinds[] = { PROGRAM_HAS_WRAPPER, PROGRAM_HIDES_MALLOC,
		PROGRAM_HAS_ALLOCATOR, PROGRAM_IS_GO };
	const struct program_finding *finding;
	unsigned i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		finding = program_finding(facts, kinds[i]);
		if (finding && !o->quiet)
			fail_warn("--allocator=%s reaches only a part: %s", o->allocator,
				finding->text);
	}
}

/* Under -v: what the command will find in LD_PRELOAD, and why. */
static void say_allocator(const struct preload_list *list, const char *program)
{
	struct strbuf text = { 0 };

	strbuf_addf(&text, "allocator of %s: ", program_path_base(program));
	preload_list_describe(list, &text);
	strbuf_addf(&text, "\nLD_PRELOAD=%s", list->text.data);
	fail_say(text.data);
	strbuf_deinit(&text);
}

/* Whether the command can be profiled, and the LD_PRELOAD that does it. */
static int set_preload(struct environment *e, const struct options *o, bool verbose, struct fail *f)
{
	struct program_facts *facts = alloc_array(1, sizeof(*facts));
	struct preload_list *list = alloc_array(1, sizeof(*list));
	struct program_environment env, with_list;
	int ret;

	program_environment_init(&env);
	with_list = env;
	ret = preload_list_init(list, o->allocator, &env, f);
	if (ret < 0) {
		f->exit_code = SESSION_EXIT_FAILED;
	} else {
		with_list.preload = list->text.data;
		ret = program_check(o->args[0], &with_list, facts, f);
	}
	if (ret == 0 && preload_list_fit(list, facts->path.program, &env, f) < 0) {
		f->exit_code = SESSION_EXIT_FAILED;
		ret = -1;
	}
	if (ret == 0) {
		set_variable(e, "LD_PRELOAD", list->text.data);
		if (o->allocator)
			warn_of_rest(o, facts);
		if (verbose)
			say_allocator(list, facts->path.program);
	}
	preload_list_deinit(list);
	free(list);
	free(facts);
	return ret;
}

static int run_with(struct environment *e, const struct options *o, struct fail *f)
{
	struct settings_names names = { "c", "h", 1 };
	struct session s = { .argv = o->args, .quiet = o->quiet };
	struct settings settings;
	char *dir, *dir_entry = NULL;
	struct strbuf text = { 0 };
	int code = -1;

	if (set_settings(e, o, f) < 0 || set_lease(e, f) < 0)
		return -1;
	settings_read(&settings, e->entries, names, refuse, f);
	if (f->exit_code || set_preload(e, o, settings.verbose, f) < 0 ||
		check_places(e, &settings, f) < 0)
		return -1;
	dir = set_dir(e, &s, o->args[0]);
	if (dir)
		dir_entry = *s.dir_slot;
	s.environment = e->entries;
	s.state_dir = settings.state_dir;
	s.state_is_private = settings.state_anon;
	s.nobody_writes = settings.writer == WRITER_OFF;
	s.follows_forks = settings.children == CHILDREN_ALL;
	if (session_run(&s, f) == 0) {
		code = session_exit_code(&s);
		if (!o->quiet)
			summary_add(&text, &s, o->args[0]);
	}
	session_deinit(&s);
	if (code >= 0 && text.bytes)
		fail_say(text.data);
	strbuf_deinit(&text);
	if (dir)
		*s.dir_slot = dir_entry;
	free(dir);
	return code;
}

static int run(const struct options *o, struct strbuf *out, struct fail *f)
{
	struct environment e = { 0 };
	int code;

	copy_environment(&e);
	code = run_with(&e, o, f);
	environment_deinit(&e);
	return code;
}

const struct command cmd_run = {
	.name = "run",
	.brief = "start a command under the profiler",
	.args = "COMMAND",
	.about =
		"Starts COMMAND with the library preloaded and writes the snapshots of it and of\n"
		"its child processes, so that they do no work and hold no thread for it. Ends\n"
		"with the command's exit code; 125: heapspy failed, 126: not executable, 127: not\n"
		"found.\n",
	.rows = rows,
	.n_rows = CMD_N_ROWS(rows),
	.min_args = 1,
	.max_args = INT_MAX,
	.stops_at_word = true,
	.usage_code = SESSION_EXIT_FAILED,
	.run = run,
};
