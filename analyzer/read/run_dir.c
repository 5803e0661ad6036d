/* run_dir.c - owns which files of a directory are its snapshots. Choosing one is moment.c's. */
#include "analyzer/read/run_dir.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/alloc.h"
#include "analyzer/read/run_near.h"
#include "analyzer/read/snapshot_reader.h"
#include "analyzer/stats/peak.h"
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

uint64_t run_dir_last_number(const char *path)
{
	DIR *dir = opendir(path);
	uint64_t number, last = 0;
	struct dirent *de;

	while (dir && (de = readdir(dir)) != NULL)
		if (parse_name(de->d_name, &number) && number > last)
			last = number;
	if (dir)
		closedir(dir);
	return last;
}

/* What the last snapshot of the run at path says of itself; false: there is none. */
static bool read_last_info(const char *path, struct heapspy_info *infop)
{
	struct strbuf file = { 0 };
	bool found;
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
		return false;
	strbuf_addf(&file, "%s/%s", path, name);
	found = snapshot_peek(file.data, infop, label, sizeof(label), &failure) == 0;
	strbuf_deinit(&file);
	return found;
}

/* Names of the directories inside, while the run is read. */
struct children {
	char **names;
	size_t n, capacity;
};

/* Takes path for *slotp if value is the largest so far. */
static void keep_largest(char **slotp, uint64_t *largestp, uint64_t value, const char *path)
{
	if (value <= *largestp)
		return;
	*largestp = value;
	free(*slotp);
	*slotp = alloc_text(path, strlen(path));
}

static uint64_t peak_of(const struct heapspy_info *info)
{
	return (uint64_t)peak_of_info(info, 0, INTERVAL_Z95).bytes;
}

static void look_inside(struct run_dir *run, const char *path, const struct children *children)
{
	uint64_t ours_ns = 0, newest_ns, peak_bytes = 0;
	struct heapspy_info info;
	size_t i;

	for (i = 0; i < run->n_entries; i++) {
		const struct heapspy_info *ours = &run->entries[i].info;

		if (ours->cut_wall_ns > ours_ns)
			ours_ns = ours->cut_wall_ns;
		if (peak_of(ours) > peak_bytes)
			peak_bytes = peak_of(ours);
	}
	newest_ns = ours_ns;
	for (i = 0; i < children->n; i++) {
		struct strbuf child = { 0 };

		strbuf_addf(&child, "%s%s%s", path, path[strlen(path) - 1] == '/' ? "" : "/",
			children->names[i]);
		if (read_last_info(child.data, &info)) {
			run->n_inside++;
			run->n_newer_inside += info.cut_wall_ns > ours_ns;
			keep_largest(&run->newest_inside, &newest_ns, info.cut_wall_ns, child.data);
			keep_largest(&run->largest_inside, &peak_bytes, peak_of(&info), child.data);
		}
		strbuf_deinit(&child);
	}
	run->largest_peak_bytes = peak_bytes;
}

static int read_entries(
	const char *path, struct run_dir *run, struct children *children, struct fail *f)
{
	DIR *dir = opendir(path);
	struct dirent *de;
	size_t capacity = 0;
	uint64_t number;
	char *near;

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
	near = run_near_inside(path);
	fail_set(f, EXIT_CODE_INPUT, "'%s' is a directory without snapshots (NNNNNN.hspy)%s%s%s",
		path, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
	free(near);
	return -1;
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
	free(run->largest_inside);
	memset(run, 0, sizeof(*run));
}
