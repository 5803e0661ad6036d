/*
 * candidates.c - owns the words that completion finds outside the command's own
 * tables: in directories, in /proc, in snapshots. Which of them a command line
 * wants is cmd_complete.c's business.
 */
#include "analyzer/candidates.h"

#include <ctype.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "analyzer/alloc.h"
#include "analyzer/moment.h"
#include "analyzer/profile.h"
#include "analyzer/ranking.h"
#include "analyzer/read/run_dir.h"
#include "analyzer/read/run_near.h"
#include "analyzer/read/snapshot_reader.h"
#include "analyzer/sites.h"
#include "analyzer/symbols/name.h"
#include "analyzer/symbols_progress.h"
#include "analyzer/target/processes.h"
#include "analyzer/units.h"

/* Of a run with more snapshots, numbers are offered once a digit is typed. */
#define NUMBERS_MAX 20
#define NAMES_MAX   2000

/* Whether text can stand on a line of its own: shells split at what is not. */
static bool is_printable(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 127)
			return false;
	return true;
}

void candidates_offer(struct candidates *c, const char *word, const char *description)
{
	if (strncmp(word, c->typed, strlen(c->typed)) || !is_printable(word))
		return;
	strbuf_addf(c->out, "%s%s\t", c->before, word);
	strbuf_add_escaped(c->out, description, strlen(description));
	strbuf_add_char(c->out, '\n');
	c->n++;
}

void candidates_add_list(struct candidates *c, const char *list)
{
	while (*list) {
		const char *end = strchrnul(list, '|');
		char *word = alloc_text(list, (size_t)(end - list));

		candidates_offer(c, word, "");
		free(word);
		list = *end ? end + 1 : end;
	}
}

static bool is_snapshot_name(const char *name)
{
	size_t bytes = strlen(name);

	return bytes > 5 && !strcmp(name + bytes - 5, ".hspy");
}

/* The path that a word means: "~/" is the home directory, which shells hand over unexpanded. */
static char *path_of(const char *word, size_t bytes)
{
	const char *home = getenv("HOME");
	struct strbuf path = { 0 };

	if (bytes >= 2 && !strncmp(word, "~/", 2) && home) {
		strbuf_add_text(&path, home);
		word++;
		bytes--;
	}
	strbuf_add(&path, word, bytes);
	return path.data ? path.data : alloc_text("", 0);
}

static void offer_number(struct candidates *c, const char *before, const struct run_entry *entry)
{
	struct strbuf word = { 0 }, about = { 0 };

	strbuf_addf(&word, "%s%llu", before, (unsigned long long)entry->number);
	strbuf_add_text(&about, "at ");
	units_add_clock(&about, entry->info.cut_ns);
	if (entry->label[0])
		strbuf_addf(&about, ", %s", entry->label);
	candidates_offer(c, word.data, about.data);
	strbuf_deinit(&word);
	strbuf_deinit(&about);
}

/* The first snapshot with its mark stands for all of them. */
static void offer_mark(
	struct candidates *c, const char *before, const struct run_dir *run, size_t i)
{
	const char *label = run->entries[i].label;
	struct strbuf word = { 0 };
	size_t j;

	for (j = 0; j < i; j++)
		if (!label[0] || !strcmp(run->entries[j].label, label))
			return;
	if (!label[0])
		return;
	strbuf_addf(&word, "%smark:%s", before, label);
	candidates_offer(c, word.data, "snapshot with this mark");
	strbuf_deinit(&word);
}

static void offer_moment(
	struct candidates *c, const char *before, const char *when, const char *description)
{
	struct strbuf word = { 0 };

	strbuf_addf(&word, "%s%s", before, when);
	candidates_offer(c, word.data, description);
	strbuf_deinit(&word);
}

/* The moments of the run at path, each behind the text before. */
static void add_moments_at(struct candidates *c, const char *path, const char *before)
{
	bool wants_number = strlen(c->typed) > strlen(before) &&
			    isdigit((unsigned char)c->typed[strlen(before)]);
	struct run_dir run;
	struct fail ignored;
	size_t i;

	if (run_dir_read(path, &run, &ignored) < 0)
		return;
	offer_moment(c, before, "first", "first snapshot");
	offer_moment(c, before, "last", "last snapshot");
	offer_moment(c, before, "peak", "most memory in use");
	for (i = 0; i < run.n_entries; i++)
		offer_mark(c, before, &run, i);
	for (i = 0; i < run.n_entries; i++)
		if (wants_number || run.n_entries <= NUMBERS_MAX)
			offer_number(c, before, &run.entries[i]);
	run_dir_deinit(&run);
}

/* What stands behind the '@' of a run, which was typed as run_word. */
static void add_moments_of(struct candidates *c, const char *run_word)
{
	char *path = path_of(run_word, strlen(run_word));
	struct strbuf before = { 0 };

	strbuf_addf(&before, "%s@", run_word);
	add_moments_at(c, path, before.data);
	strbuf_deinit(&before);
	free(path);
}

void candidates_add_moments_in(struct candidates *c, const char *run)
{
	char *path = path_of(run, strlen(run));

	add_moments_at(c, path, c->typed[0] == '@' ? "@" : "");
	free(path);
}

/* Offers an entry of the directory that word_dir means. Returns whether it is a run, and counts. */
static bool offer_entry(struct candidates *c, const char *word_dir, const char *name)
{
	struct strbuf word = { 0 };
	size_t n = c->n;
	struct stat st;
	bool is_run = false;
	char *path;

	strbuf_addf(&word, "%s%s", word_dir, name);
	path = path_of(word.data, word.bytes);
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
		is_run = run_near_holds_snapshots(path);
		if (!is_run)
			strbuf_add_char(&word, '/');
		candidates_offer(c, word.data, is_run ? "run" : "directory");
	} else if (is_snapshot_name(name)) {
		candidates_offer(c, word.data, "snapshot");
	}
	free(path);
	strbuf_deinit(&word);
	return is_run && c->n > n;
}

static int skip_hidden(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int skip_dots(const struct dirent *entry)
{
	return strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
}

static void add_paths(struct candidates *c)
{
	const char *slash = strrchr(c->typed, '/'), *name = slash ? slash + 1 : c->typed;
	char *word_dir = alloc_text(c->typed, (size_t)(name - c->typed));
	char *path = path_of(c->typed, (size_t)(name - c->typed));
	char *run_word = NULL;
	struct dirent **entries;
	size_t n_before = c->n;
	int i, n;

	n = scandir(
		path[0] ? path : ".", &entries, *name == '.' ? skip_dots : skip_hidden, alphasort);
	for (i = 0; i < n; i++) {
		if (!strncmp(entries[i]->d_name, name, strlen(name)) &&
			offer_entry(c, word_dir, entries[i]->d_name)) {
			struct strbuf word = { 0 };

			strbuf_addf(&word, "%s%s", word_dir, entries[i]->d_name);
			free(run_word);
			run_word = word.data;
		}
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	if (run_word && c->n == n_before + 1)
		add_moments_of(c, run_word);
	free(run_word);
	free(word_dir);
	free(path);
}

void candidates_add_moments(struct candidates *c)
{
	const char *at = strrchr(c->typed, '@');

	if (at && at != c->typed) {
		char *run_word = alloc_text(c->typed, (size_t)(at - c->typed));

		add_moments_of(c, run_word);
		free(run_word);
	}
	add_paths(c);
}

void candidates_add_processes(struct candidates *c)
{
	uint32_t *pids;
	size_t i, n = processes_find(&pids);
	char pid[16], comm[32];

	for (i = 0; i < n; i++) {
		snprintf(pid, sizeof(pid), "%u", pids[i]);
		processes_read_comm(pids[i], comm);
		candidates_offer(c, pid, comm);
	}
	free(pids);
}

/* name as what --focus takes: an expression where the name does not pass as it stands. */
static void offer_name(struct candidates *c, const char *name)
{
	bool is_plain = !name[strcspn(name, "[]()*?{}|^$\\")];
	struct strbuf expression = { 0 };

	for (; *name; name++) {
		if (!is_plain && strchr(".[]()*+?{}|^$\\", *name))
			strbuf_add_char(&expression, '\\');
		strbuf_add_char(&expression, *name);
	}
	if (expression.bytes)
		candidates_offer(c, expression.data, "");
	strbuf_deinit(&expression);
}

static void offer_sites(struct candidates *c, const struct ranking *ranking,
	const struct sites *sites, enum candidates_names which)
{
	size_t i;

	for (i = 0; i < ranking->n_rows && i < NAMES_MAX; i++) {
		const struct site *site = &sites->sites[ranking->rows[i].group];
		char *identity;

		if (which == CANDIDATES_MODULES) {
			offer_name(c, source_frames_base_name(site->module));
			continue;
		}
		identity = name_identity(site->function);
		if (identity)
			offer_name(c, identity);
		free(identity);
	}
}

static void add_names_of(
	struct candidates *c, const struct snapshot *snapshot, enum candidates_names which)
{
	static const struct sites_filter no_filter;
	struct profile profile;
	struct ranking ranking;
	struct source_frames frames;
	struct sites sites;
	struct fail ignored;
	double *weights;
	bool *wanted;
	size_t i;

	profile_init(&profile);
	profile_add(&profile, snapshot);
	ranking_init(&ranking, &profile, false);
	wanted = alloc_array(profile.n_stacks, sizeof(*wanted));
	weights = alloc_array(profile.n_stacks, sizeof(*weights));
	for (i = 0; i < profile.n_stacks; i++) {
		wanted[i] = ranking.stacks[i].samples > 0;
		weights[i] = ranking.stacks[i].bytes;
	}
	/* A TAB is no reason to ask the network, nor to write on the line that is being typed. */
	source_frames_allow_debuginfod(false);
	symbols_progress_allow(false);
	if (source_frames_init(&frames, &profile, NULL, wanted, &ignored) == 0) {
		if (sites_init(&sites, &frames,
			    which == CANDIDATES_MODULES ? SITES_BY_MODULE : SITES_BY_FUNCTION,
			    &no_filter, weights, &ignored) == 0) {
			ranking_group(&ranking, &profile, sites.group_of, sites.n_sites, false,
				RANKING_BY_BYTES);
			offer_sites(c, &ranking, &sites, which);
			sites_deinit(&sites);
		}
		source_frames_deinit(&frames);
	}
	free(wanted);
	free(weights);
	ranking_deinit(&ranking);
	profile_deinit(&profile);
}

void candidates_add_names(struct candidates *c, const char *moment, enum candidates_names which)
{
	char *path = path_of(moment, strlen(moment));
	struct snapshot *snapshot = NULL;
	struct fail ignored;
	struct moment m;

	if (moment_resolve(path, "last", &m, &ignored) == 0) {
		if (snapshot_read(m.path, 0, &snapshot, &ignored) == 0)
			add_names_of(c, snapshot, which);
		snapshot_free(snapshot);
		moment_deinit(&m);
	}
	free(path);
}
