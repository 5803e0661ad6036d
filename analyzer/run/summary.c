/*
 * summary.c - owns the choice of the process that matters and the words about a
 * run. Figures come from its state, as it was read last.
 */
#include "analyzer/run/summary.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "analyzer/clock.h"
#include "analyzer/out/peak_text.h"
#include "analyzer/stats/trend_plan.h"
#include "analyzer/units.h"

#define NS_PER_S 1000000000ull

/* From as many snapshots on trend has verdicts; with fewer it shows what diff does. */
#define TREND_SNAPSHOTS (TREND_PLAN_INTERVALS_MIN + 1)
#define SHORT_NS        NS_PER_S

/* The one that holds, or held, most; snapshots count before none. */
static const struct target *choose(const struct targets *t)
{
	const struct target *best = NULL;
	size_t i;

	for (i = 0; i < t->n; i++) {
		const struct target *one = &t->all[i];

		if (!best || (one->n_snapshots != 0) > (best->n_snapshots != 0) ||
			((one->n_snapshots != 0) == (best->n_snapshots != 0) &&
				one->peak.bytes > best->peak.bytes))
			best = one;
	}
	return best;
}

/* path as seen from the working directory, as a word of the shell. */
static void add_path(struct strbuf *out, const char *path)
{
	char cwd[PATH_MAX];
	size_t n;

	if (getcwd(cwd, sizeof(cwd))) {
		n = strlen(cwd);
		if (!strncmp(path, cwd, n) && path[n] == '/' && path[n + 1])
			path += n + 1;
	}
	strbuf_add_shell_word(out, path);
}

static void add_plural(struct strbuf *out, uint64_t n, const char *word)
{
	units_add_count(out, n);
	strbuf_addf(out, " %s%s", word, n == 1 ? "" : "s");
}

/* All snapshots of a directory: those of the process itself (by label) too. */
static void count_files(const char *path, uint64_t *n_filesp, uint64_t *bytesp)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	struct stat st;

	*n_filesp = 0;
	*bytesp = 0;
	while (dir && (entry = readdir(dir))) {
		size_t n = strlen(entry->d_name);

		if (n < 6 || strcmp(entry->d_name + n - 5, ".hspy") ||
			fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) ||
			!S_ISREG(st.st_mode))
			continue;
		++*n_filesp;
		*bytesp += (uint64_t)st.st_size;
	}
	if (dir)
		closedir(dir);
}

static void add_end(struct strbuf *out, const struct session *s, const char *name)
{
	const char *base = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;

	strbuf_add_escaped(out, base, strlen(base));
	if (WIFSIGNALED(s->wait_status))
		strbuf_addf(out, " killed by %s%s%s", "SIG",
			sigabbrev_np(WTERMSIG(s->wait_status))
				? sigabbrev_np(WTERMSIG(s->wait_status))
				: "?",
			WCOREDUMP(s->wait_status) ? " (core dumped)" : "");
	else
		strbuf_addf(out, " exited %d", WEXITSTATUS(s->wait_status));
	strbuf_add_text(out, " after ");
	units_add_clock(out, s->end_ns - s->begin_ns);
	strbuf_add_text(out, ".");
}

static void add_figures(struct strbuf *out, const struct session *s, const struct target *main)
{
	bool is_command = main->pid == s->pid;
	uint64_t n_files, bytes;

	if (!is_command) {
		strbuf_add_text(out, " Most memory: ");
		strbuf_add_escaped(out, main->comm, strlen(main->comm));
		strbuf_addf(out, " (pid %u).", main->pid);
	}
	strbuf_add_text(out, " Peak ");
	peak_text_add(out, &main->peak, main->rss_peak_bytes);
	strbuf_addf(out, ", live at %s ",
		main->live || main->wrote_end               ? "the last look"
		: WIFSIGNALED(s->wait_status) && is_command ? "the end"
							    : "exit");
	units_add_bytes(out, (double)main->live_bytes);
	strbuf_add_text(out, ", ");
	add_plural(out, main->samples, "sample");
	count_files(main->dir, &n_files, &bytes);
	strbuf_add_text(out, ", ");
	add_plural(out, n_files, "snapshot");
	strbuf_add_text(out, ", ");
	units_add_bytes(out, (double)bytes);
	strbuf_add_text(out, " in ");
	add_path(out, main->dir);
	strbuf_add_char(out, '\n');
}

static void add_next(struct strbuf *out, const struct session *s, const struct target *main)
{
	const struct targets *t = &s->targets;
	uint64_t n_files, bytes;
	size_t others = 0, i;

	count_files(main->dir, &n_files, &bytes);
	for (i = 0; i < t->n; i++)
		others += &t->all[i] != main && (t->all[i].n_snapshots || t->all[i].wrote_some);
	strbuf_addf(out, "next: heapspy %s ",
		n_files >= TREND_SNAPSHOTS ? "trend"
		: n_files > 1              ? "diff"
					   : "top");
	add_path(out, main->dir);
	strbuf_add_text(out, "     (profiler: ");
	if (main->lifetime_ns < SHORT_NS) /* a share of it would say nothing */
		units_add_duration(out, (double)main->self_ns);
	else
		strbuf_addf(
			out, "%.2g %%", 100.0 * (double)main->self_ns / (double)main->lifetime_ns);
	strbuf_add_text(out, " CPU, ");
	units_add_bytes(out, (double)main->own_bytes);
	strbuf_add_text(out, ", ");
	units_add_count(out, main->lost);
	strbuf_add_text(out, " lost");
	if (others) {
		strbuf_add_text(out, "; ");
		units_add_count(out, others);
		strbuf_addf(out, " more process%s with snapshots", others == 1 ? "" : "es");
	}
	strbuf_add_text(out, ")\n");
}

/* Whether there are snapshots in the run's own directory, which may be one used before. */
static bool has_files(const struct session *s)
{
	uint64_t ran_ns = clock_ns(CLOCK_MONOTONIC) - s->begin_ns, n_files = 0, bytes;
	struct stat st;

	/* A file that was made since has changed the directory. */
	if (!s->targets.dir[0] || stat(s->targets.dir, &st) ||
		(uint64_t)st.st_mtime * NS_PER_S + NS_PER_S < clock_ns(CLOCK_REALTIME) - ran_ns)
		return false;
	count_files(s->targets.dir, &n_files, &bytes);
	return n_files != 0;
}

static void add_wrote_itself(struct strbuf *out, const struct session *s)
{
	strbuf_add_text(out, "it wrote its snapshots itself");
	if (has_files(s)) {
		strbuf_add_text(out, "; next: heapspy diff ");
		add_path(out, s->targets.dir);
	}
	strbuf_add_char(out, '\n');
}

/* Why there is nothing to look at. */
static void add_nothing(struct strbuf *out, const struct session *s, const struct target *main)
{
	if (main && main->not_interposed)
		strbuf_add_text(out,
			"nothing was seen: the program's own malloc stands before heapspy's; "
			"heapspy doctor -- COMMAND tells more\n");
	else if (s->nobody_writes)
		strbuf_add_text(out, "no snapshot: --writer off, HEAPSPY_WRITER=off\n");
	else if ((main && main->writes_itself) || s->state_is_private)
		add_wrote_itself(out, s);
	else if (has_files(s))
		/* A state that could not be seen from here: no room for its file, or another
		 * /dev/shm. */
		add_wrote_itself(out, s);
	else if (main && main->is_damaged)
		strbuf_add_text(out, "no snapshot: the program wrote over the profiler's state\n");
	else if (s->n_left)
		strbuf_add_text(
			out, "no snapshot yet: what goes on alone writes its own from now on\n");
	else if (s->targets.n_untold)
		strbuf_add_text(out,
			"no snapshot: it was brief and allocated too little for a sample; "
			"--sample 1 counts every allocation\n");
	else
		strbuf_add_text(out,
			"nothing was profiled: no process of it came under the library; "
			"heapspy doctor -- COMMAND tells why\n");
}

void summary_add(struct strbuf *out, const struct session *s, const char *name)
{
	const struct target *main = choose(&s->targets);

	add_end(out, s, name);
	if (main && main->n_snapshots) {
		add_figures(out, s, main);
		add_next(out, s, main);
	} else {
		strbuf_add_char(out, '\n');
		add_nothing(out, s, main);
	}
	if (main && main->n_snapshots && main->is_damaged)
		strbuf_add_text(out,
			"the last snapshot may not be of the end: the program wrote over "
			"the profiler's state\n");
	if (s->targets.n_failures) {
		units_add_count(out, s->targets.n_failures);
		strbuf_addf(out, " snapshot%s could not be written; the first: %s\n",
			s->targets.n_failures == 1 ? "" : "s", s->targets.first_failure.text);
	}
}
