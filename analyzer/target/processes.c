/*
 * processes.c - owns the walk through /proc for processes under heapspy. What
 * their states say is live_state.c's business.
 */
#include "analyzer/target/processes.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyzer/alloc.h"

#define MAPS_MAX (1 << 20)

static bool has_library(uint32_t pid)
{
	static const char library[] = "/libheapspy";
	char *text = alloc_array(MAPS_MAX, 1), path[64];
	size_t bytes = 0;
	FILE *maps;
	bool found;

	snprintf(path, sizeof(path), "/proc/%u/maps", pid);
	maps = fopen(path, "re");
	if (maps) {
		bytes = fread(text, 1, MAPS_MAX, maps);
		fclose(maps);
	}
	found = memmem(text, bytes, library, sizeof(library) - 1) != NULL;
	free(text);
	return found;
}

static int compare_pids(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

size_t processes_find(uint32_t **pidsp)
{
	DIR *proc = opendir("/proc");
	uint32_t *pids = NULL;
	size_t n = 0, capacity = 0;
	struct dirent *entry;

	while (proc && (entry = readdir(proc)) != NULL) {
		uint32_t pid = (uint32_t)strtoul(entry->d_name, NULL, 10);

		if (!pid || pid == (uint32_t)getpid() || !has_library(pid))
			continue;
		pids = alloc_room(pids, n, &capacity, sizeof(*pids));
		pids[n++] = pid;
	}
	if (proc)
		closedir(proc);
	if (n)
		qsort(pids, n, sizeof(*pids), compare_pids);
	*pidsp = pids;
	return n;
}

void processes_read_comm(uint32_t pid, char comm[32])
{
	char path[64];
	FILE *file;

	comm[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%u/comm", pid);
	file = fopen(path, "re");
	if (!file)
		return;
	if (!fgets(comm, 32, file))
		comm[0] = '\0';
	comm[strcspn(comm, "\n")] = '\0';
	fclose(file);
}
