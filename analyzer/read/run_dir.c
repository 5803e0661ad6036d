/* run_dir.c - owns which files of a directory are its snapshots. Choosing one is moment.c's. */
#include "analyzer/read/run_dir.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/alloc.h"
#include "analyzer/read/snapshot_reader.h"
#include "analyzer/strbuf.h"

#define SUFFIX ".hspy"

/* Digits and the suffix, nothing else: temporary names begin otherwise. */
static bool parse_name(const char *name, uint64_t *numberp)
{
	size_t digits = strspn(name, "0123456789");

	if (digits == 0 || digits > 18 || strcmp(name + digits, SUFFIX))
		return false;
	*numberp = strtoull(name, NULL, 10);
	return true;
}

static int compare_entries(const void *a, const void *b)
{
	const struct run_entry *x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

static void add_entry(
	struct run_dir *run, size_t *capacityp, const char *dir, const char *name, uint64_t number)
{
	struct strbuf path = { 0 };
	struct run_entry *entry;
	struct fail failure;

	strbuf_addf(&path, "%s%s%s", dir, dir[strlen(dir) - 1] == '/' ? "" : "/", name);
	run->entries = alloc_room(run->entries, run->n_entries, capacityp, sizeof(*run->entries));
	entry = &run->entries[run->n_entries];
	memset(entry, 0, sizeof(*entry));
	if (snapshot_peek(path.data, &entry->info, entry->label, sizeof(entry->label), &failure) <
		0) {
		if (!run->n_unreadable++)
			run->first_failure = failure;
		strbuf_deinit(&path);
		return;
	}
	entry->path = path.data;
	entry->number = number;
	run->n_entries++;
}

int run_dir_read(const char *path, struct run_dir *run, struct fail *f)
{
	DIR *dir = opendir(path);
	char child[256] = "";
	struct dirent *de;
	size_t capacity = 0;
	uint64_t number;

	memset(run, 0, sizeof(*run));
	if (!dir)
		return fail_set(f, EXIT_CODE_INPUT, "cannot open '%s': %s", path, strerror(errno));
	while ((de = readdir(dir)) != NULL) {
		if (parse_name(de->d_name, &number))
			add_entry(run, &capacity, path, de->d_name, number);
		else if (de->d_type == DT_DIR && de->d_name[0] != '.' && !child[0])
			snprintf(child, sizeof(child), "%s", de->d_name);
	}
	closedir(dir);
	if (run->n_entries) {
		qsort(run->entries, run->n_entries, sizeof(*run->entries), compare_entries);
		return 0;
	}
	if (run->n_unreadable)
		fail_set(f, EXIT_CODE_INPUT,
			"'%s' holds %zu snapshots and none can be read; the first:\n%s", path,
			run->n_unreadable, run->first_failure.text);
	else if (child[0])
		fail_set(f, EXIT_CODE_INPUT,
			"'%s' is a directory without snapshots (NNNNNN.hspy); did you mean "
			"'%s/%s'?",
			path, path, child);
	else
		fail_set(f, EXIT_CODE_INPUT, "'%s' is a directory without snapshots (NNNNNN.hspy)",
			path);
	run_dir_deinit(run);
	return -1;
}

void run_dir_deinit(struct run_dir *run)
{
	size_t i;

	for (i = 0; i < run->n_entries; i++)
		free(run->entries[i].path);
	free(run->entries);
	memset(run, 0, sizeof(*run));
}
