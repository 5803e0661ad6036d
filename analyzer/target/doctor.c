/* doctor.c - owns the report, and what several of its subjects are asked. */
#include "analyzer/target/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "analyzer/alloc.h"
#include "analyzer/suggest.h"
#include "analyzer/target/preload_list.h"
#include "analyzer/target/program.h"
#include "analyzer/units.h"
#include "preload/state/settings.h"

#define SPACE_BYTES_MIN (16u << 20) /* of a snapshot directory; snapshots are some 100 KiB */

void doctor_report_deinit(struct doctor_report *report)
{
	size_t i;

	for (i = 0; i < report->n_checks; i++)
		free(report->checks[i].text);
	free(report->checks);
	strbuf_deinit(&report->verdict);
	strbuf_deinit(&report->next);
	memset(report, 0, sizeof(*report));
}

void doctor_add(struct doctor_report *report, enum doctor_level level, const char *name,
	const char *format, ...)
{
	struct strbuf text = { 0 };
	va_list ap;

	va_start(ap, format);
	strbuf_vaddf(&text, format, ap);
	va_end(ap);
	report->checks = alloc_room(
		report->checks, report->n_checks, &report->capacity, sizeof(*report->checks));
	report->checks[report->n_checks++] =
		(struct doctor_check){ level, name, alloc_text(text.data, text.bytes) };
	strbuf_deinit(&text);
	if (report->level < level)
		report->level = level;
}

static bool is_in_group(const struct doctor_user *user, uint32_t gid)
{
	const char *at = user->groups ? user->groups : "";
	char *end;

	if (user->gid == gid)
		return true;
	for (;; at = end) {
		unsigned long group = strtoul(at, &end, 10);

		if (end == at)
			return false;
		if (group == gid)
			return true;
	}
}

static bool may_write(const char *dir, const struct doctor_user *user)
{
	struct stat st;
	unsigned bits;

	if (stat(dir, &st) < 0 || !S_ISDIR(st.st_mode))
		return false;
	if (!user)
		return access(dir, W_OK | X_OK) == 0;
	bits = user->uid == st.st_uid         ? st.st_mode >> 6
	       : is_in_group(user, st.st_gid) ? st.st_mode >> 3
					      : st.st_mode;
	return user->uid == 0 || (bits & 3) == 3;
}

void doctor_add_directory(struct doctor_report *report, const char *name, const char *path,
	const struct doctor_user *user)
{
	struct strbuf space = { 0 }, who = { 0 };
	char there[PATH_MAX];
	double bytes = 0;
	struct statvfs fs;
	struct stat st;

	snprintf(there, sizeof(there), "%s", path);
	while (stat(there, &st) < 0) {
		char *slash = strrchr(there, '/');

		if (!slash || slash == there) {
			strcpy(there, slash ? "/" : ".");
			break;
		}
		*slash = '\0';
	}
	if (user)
		strbuf_addf(&who, "user %u", user->uid);
	else
		strbuf_add_text(&who, "this user");
	if (statvfs(there, &fs) == 0)
		bytes = (double)fs.f_bavail * (double)fs.f_frsize;
	units_add_bytes(&space, bytes);
	if (!may_write(there, user))
		doctor_add(report, DOCTOR_BAD, name, "%s: %s cannot be written by %s", path, there,
			who.data);
	else if (bytes < SPACE_BYTES_MIN)
		doctor_add(report, DOCTOR_NOTE, name, "%s: writable, but only %s free", path,
			space.data);
	else
		doctor_add(report, DOCTOR_OK, name, "%s: writable, %s free", path, space.data);
	strbuf_deinit(&space);
	strbuf_deinit(&who);
}

const char *doctor_variable(char **environment, const char *name)
{
	size_t n = strlen(name);

	for (; environment && *environment; environment++)
		if (!strncmp(*environment, name, n) && (*environment)[n] == '=')
			return *environment + n + 1;
	return NULL;
}

/* Names that no setting has, with the nearest one that is. */
static void complain(void *context, const char *name, const char *value, const char *expected)
{
	struct doctor_report *report = context;
	const char *known, *what, *standard;
	struct suggest suggest;
	char shown[64];
	unsigned i;

	if (expected) /* told with the settings, below */
		return;
	snprintf(shown, sizeof(shown), "%.*s", (int)strcspn(name, "="), name);
	suggest_init(&suggest, shown);
	for (i = 0; settings_describe(i, &known, &what, &standard); i++)
		suggest_offer(&suggest, known);
	doctor_add(report, DOCTOR_NOTE, "settings", "%s: no such setting; ignored%s%s%s", shown,
		suggest.best ? "; did you mean " : "", suggest.best ? suggest.best : "",
		suggest.best ? "?" : "");
	suggest_deinit(&suggest);
}

void doctor_settings(struct doctor_report *report, char **environment, bool all)
{
	struct settings_names names = { "command", "host", 1 };
	const char *name, *expected, *standard;
	struct settings settings;
	unsigned i, n_set = 0;

	for (i = 0; settings_describe(i, &name, &expected, &standard); i++) {
		const char *value = doctor_variable(environment, name), *wanted;

		wanted = value ? settings_refuse(name, value) : NULL;
		n_set += value != NULL;
		if (wanted)
			doctor_add(report, DOCTOR_BAD, "settings",
				"%s='%s' cannot be used: expected %s; the default serves (%s)",
				name, value, wanted, standard);
		else if (value || all)
			doctor_add(report, DOCTOR_OK, "settings", "%s=%s (%s)", name,
				value ? value : standard, value ? "set" : "default");
	}
	if (!n_set && !all)
		doctor_add(report, DOCTOR_OK, "settings", "all at their defaults");
	settings_read(&settings, environment, names, complain, report);
}

/* Whose malloc will stand behind heapspy's. */
static void add_allocator(struct doctor_report *report, struct preload_list *list,
	const char *program, const struct program_environment *env)
{
	struct strbuf text = { 0 };
	struct fail ignored; /* only --allocator can fail to fit */

	preload_list_fit(list, program, env, &ignored);
	preload_list_describe(list, &text);
	doctor_add(report,
		list->uses_extended && list->has_extended && !list->extension[0] ? DOCTOR_NOTE
										 : DOCTOR_OK,
		"allocator", "%s", text.data);
	strbuf_deinit(&text);
}

void doctor_command(struct doctor_report *report, char **words, int n_words)
{
	struct program_environment env, with_list;
	struct preload_list list;
	struct program_facts facts;
	struct fail f;
	bool has_list;
	int ret, word;
	unsigned i;

	report->subject = "command";
	program_environment_init(&env);
	with_list = env;
	/* As run starts it: heapspy first, then what is there already. */
	has_list = preload_list_init(&list, NULL, &env, &f) == 0;
	if (has_list) {
		with_list.preload = list.text.data;
		doctor_add(report, DOCTOR_OK, "library", "%s", list.library);
	} else {
		doctor_add(report, DOCTOR_BAD, "library", "%s", f.text);
	}
	ret = program_check(words[0], &with_list, &facts, &f);
	if (facts.path.file[0] && (ret == 0 || facts.n_findings))
		doctor_add(report, DOCTOR_OK, "file", "%s", facts.path.file);
	if (facts.path.n_scripts)
		doctor_add(report, DOCTOR_OK, "interpreter", "%s", facts.path.program);
	if (facts.elf.has_loader)
		doctor_add(report, DOCTOR_OK, "loader", "%s", facts.elf.loader);
	if (facts.elf.is_cut)
		doctor_add(report, DOCTOR_NOTE, "program",
			"some of its tables could not be read: what is said of its malloc may be "
			"wrong");
	for (i = 0; i < facts.n_findings; i++)
		doctor_add(report,
			facts.findings[i].verdict == PROGRAM_CANNOT ? DOCTOR_BAD : DOCTOR_NOTE,
			program_kind_name(facts.findings[i].kind), "%s", facts.findings[i].text);
	if (ret == 0 && has_list)
		add_allocator(report, &list, facts.path.program, &env);
	if (ret < 0 && !facts.n_findings)
		doctor_add(report, DOCTOR_BAD, "start", "%s", f.text);
	doctor_places(report);
	if (report->level == DOCTOR_BAD) {
		strbuf_addf(&report->verdict, "%s cannot be profiled",
			program_path_base(facts.path.file[0] ? facts.path.file : words[0]));
	} else {
		strbuf_addf(&report->verdict, "%s can be profiled%s",
			program_path_base(facts.path.file),
			report->level == DOCTOR_NOTE ? ", within these notes" : "");
		strbuf_add_text(&report->next, "heapspy run --");
		for (word = 0; word < n_words; word++) {
			strbuf_add_char(&report->next, ' ');
			strbuf_add_shell_word(&report->next, words[word]);
		}
	}
	preload_list_deinit(&list);
}
