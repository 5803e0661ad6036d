/*
 * run_near.c - owns the guess at a run from a path that is none. What a run holds
 * is run_dir.c's business.
 */
#include "analyzer/read/run_near.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "analyzer/alloc.h"
#include "analyzer/strbuf.h"
#include "analyzer/suggest.h"

#define SUFFIX   ".hspy"
#define RUN_NAME "heapspy."

bool run_near_holds_snapshots(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	bool found = false;

	while (dir && !found && (entry = readdir(dir)) != NULL) {
		size_t digits = strspn(entry->d_name, "0123456789");

		found = digits && !strcmp(entry->d_name + digits, SUFFIX);
	}
	if (dir)
		closedir(dir);
	return found;
}

static char *join(const char *dir, const char *name)
{
	struct strbuf path = { 0 };

	strbuf_addf(&path, "%s%s%s", dir, dir[strlen(dir) - 1] == '/' ? "" : "/", name);
	return path.data;
}

/* How sure it is that the entry of a directory is a run: 2 it is, 1 its name says so, 0 not. */
static int rank_of(const char *dir, const char *name)
{
	char *path = join(dir, name);
	struct stat st;
	int rank = 0;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		rank = run_near_holds_snapshots(path)                   ? 2
		       : !strncmp(name, RUN_NAME, sizeof(RUN_NAME) - 1) ? 1
									: 0;
	free(path);
	return rank;
}

static int skip_hidden(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

char *run_near_inside(const char *path)
{
	struct dirent **entries;
	int i, n = scandir(path, &entries, skip_hidden, alphasort), best = 0;
	char *found = NULL;

	for (i = 0; i < n; i++) {
		int rank = best < 2 ? rank_of(path, entries[i]->d_name) : 0;

		if (rank > best) {
			best = rank;
			free(found);
			found = join(path, entries[i]->d_name);
		}
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	return found;
}

char *run_near_beside(const char *path)
{
	const char *slash = strrchr(path, '/'), *wanted = slash ? slash + 1 : path;
	char *dir = slash ? alloc_text(path, (size_t)(wanted - path)) : alloc_text(".", 1);
	struct dirent **entries;
	char *begun = NULL, *found = NULL;
	struct suggest suggest;
	int i, n;

	suggest_init(&suggest, wanted);
	n = scandir(dir, &entries, skip_hidden, alphasort);
	for (i = 0; i < n; i++) {
		const char *name = entries[i]->d_name;

		if (wanted[0] && rank_of(dir, name)) {
			if (!begun && !strncmp(name, wanted, strlen(wanted)))
				begun = alloc_text(name, strlen(name));
			suggest_offer(&suggest, name);
		}
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	if (begun || suggest.best)
		found = slash ? join(dir, begun ? begun : suggest.best)
			      : strdup(begun ? begun : suggest.best);
	suggest_deinit(&suggest);
	free(begun);
	free(dir);
	return found;
}

void run_near_suggest(const char *path, const char *when, struct fail *f)
{
	char *near = access(path, F_OK) < 0 ? run_near_beside(path) : NULL;
	struct strbuf text = { 0 };

	if (!near)
		return;
	strbuf_addf(&text, "%s; did you mean '%s%s%s'?", f->text, near, when ? "@" : "",
		when ? when : "");
	fail_set(f, f->exit_code, "%s", text.data);
	strbuf_deinit(&text);
	free(near);
}
