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
		if (!run->n_unreadable++ || number < run->first_unreadable) {
			run->first_unreadable = number;
			run->first_failure = failure;
		}
		strbuf_deinit(&path);
		return;
	}
	entry->path = path.data;
	entry->number = number;
	run->n_entries++;
}

/* When the last snapshot of the run at path was taken, by the wall clock; 0: there is none. */
static uint64_t last_wall_ns(const char *path)
{
	struct strbuf file = { 0 };
	struct heapspy_info info = { 0 };
	uint64_t number, last = 0;
	char label[1], name[256] = "";
	struct dirent *de;
	struct fail failure;
	DIR *dir = opendir(path);

	while (dir && (de = readdir(dir)) != NULL) {
		if (!parse_name(de->d_name, &number) || number < last)
			continue;
		last = number;
		snprintf(name, sizeof(name), "%s", de->d_name);
	}
	if (dir)
		closedir(dir);
	if (!name[0])
		return 0;
	strbuf_addf(&file, "%s/%s", path, name);
	if (snapshot_peek(file.data, &info, label, sizeof(label), &failure) < 0)
		info.cut_wall_ns = 0;
	strbuf_deinit(&file);
	return info.cut_wall_ns;
}

/* Names of the directories inside, while the run is read. */
struct children {
	char **names;
	size_t n, capacity;
};

static void look_inside(struct run_dir *run, const char *path, const struct children *children)
{
	uint64_t ours_ns = 0, newest_ns = 0, ns;
	size_t i;

	for (i = 0; i < run->n_entries; i++)
		if (run->entries[i].info.cut_wall_ns > ours_ns)
			ours_ns = run->entries[i].info.cut_wall_ns;
	for (i = 0; i < children->n; i++) {
		struct strbuf child = { 0 };

		strbuf_addf(&child, "%s%s%s", path, path[strlen(path) - 1] == '/' ? "" : "/",
			children->names[i]);
		ns = last_wall_ns(child.data);
		run->n_newer_inside += ns > ours_ns;
		if (ns > ours_ns && ns > newest_ns) {
			newest_ns = ns;
			free(run->newest_inside);
			run->newest_inside = child.data;
		} else {
			strbuf_deinit(&child);
		}
	}
}

static int read_entries(
	const char *path, struct run_dir *run, struct children *children, struct fail *f)
{
	DIR *dir = opendir(path);
	struct dirent *de;
	size_t capacity = 0;
	uint64_t number;

	if (!dir)
		return fail_set(f, EXIT_CODE_INPUT, "cannot open '%s': %s", path, strerror(errno));
	while ((de = readdir(dir)) != NULL) {
		if (parse_name(de->d_name, &number))
			add_entry(run, &capacity, path, de->d_name, number);
		else if (de->d_type == DT_DIR && de->d_name[0] != '.') {
			children->names = alloc_room(children->names, children->n,
				&children->capacity, sizeof(*children->names));
			children->names[children->n++] = alloc_text(de->d_name, strlen(de->d_name));
		}
	}
	closedir(dir);
	if (run->n_entries) {
		qsort(run->entries, run->n_entries, sizeof(*run->entries), compare_entries);
		return 0;
	}
	if (run->n_unreadable == 1)
		return fail_set(f, EXIT_CODE_INPUT,
			"'%s' holds one snapshot, which cannot be read:\n%s", path,
			run->first_failure.text);
	if (run->n_unreadable)
		return fail_set(f, EXIT_CODE_INPUT,
			"'%s' holds %zu snapshots and none can be read; the first:\n%s", path,
			run->n_unreadable, run->first_failure.text);
	if (children->n)
		return fail_set(f, EXIT_CODE_INPUT,
			"'%s' is a directory without snapshots (NNNNNN.hspy); did you mean "
			"'%s/%s'?",
			path, path, children->names[0]);
	return fail_set(
		f, EXIT_CODE_INPUT, "'%s' is a directory without snapshots (NNNNNN.hspy)", path);
}

int run_dir_read(const char *path, struct run_dir *run, struct fail *f)
{
	struct children children = { 0 };
	size_t i;
	int rc;

	memset(run, 0, sizeof(*run));
	rc = read_entries(path, run, &children, f);
	if (rc == 0)
		look_inside(run, path, &children);
	else
		run_dir_deinit(run);
	for (i = 0; i < children.n; i++)
		free(children.names[i]);
	free(children.names);
	return rc;
}

void run_dir_deinit(struct run_dir *run)
{
	size_t i;

	for (i = 0; i < run->n_entries; i++)
		free(run->entries[i].path);
	free(run->entries);
	free(run->newest_inside);
	memset(run, 0, sizeof(*run));
}
