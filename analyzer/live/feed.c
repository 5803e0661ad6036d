/*
 * feed.c - owns what a PID or a RUN on the command line is read from. Reading the
 * memory of a process is target/live_state.c's, reading files snapshot_reader.c's.
 */
#include "analyzer/live/feed.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyzer/alloc.h"
#include "analyzer/moment.h"
#include "analyzer/read/run_dir.h"
#include "analyzer/read/run_near.h"
#include "analyzer/strbuf.h"
#include "analyzer/symbols/process.h"
#include "analyzer/target/live_state.h"
#include "analyzer/target/proc.h"
#include "analyzer/units.h"

#define SUFFIX ".hspy"

struct feed {
	uint32_t pid;            /* 0: files are followed */
	struct live_state *live; /* NULL: files are followed */
	char *path;              /* of the run directory; NULL: a PID was given */
	uint64_t number;         /* of the last file that was read */
	char *first_path;        /* of the run's first snapshot, until the first reading; or NULL */
	uint64_t start_id;       /* of the run's process; 0: a PID was given */
	bool ended;
};

static bool is_stopped(uint32_t pid)
{
	struct proc_stat stat;

	return proc_read_stat(pid, &stat) && (stat.state == 'T' || stat.state == 't');
}

/* Whether the process that wrote a snapshot is there, and not another one with its number. */
static bool still_lives(const struct heapspy_info *info)
{
	struct process_id id = { .pid = info->pid, .start_ticks = info->start_ticks };

	memcpy(id.boot_id, info->boot_id, sizeof(id.boot_id));
	return process_same_boot(&id) && proc_is_alive(info->pid, info->start_ticks);
}

static int open_run(struct feed *feed, const char *path, struct fail *f)
{
	const struct run_entry *last;
	struct run_dir run;
	struct fail unreadable;

	if (run_dir_read(path, &run, f) < 0)
		return -1;
	feed->path = alloc_text(path, strlen(path));
	last = &run.entries[run.n_entries - 1];
	feed->start_id = last->info.start_id;
	/* A process we may not read, or that does something else now, has left its files. */
	if (still_lives(&last->info) &&
		live_state_open(last->info.pid, &feed->live, &unreadable) == 0)
		feed->pid = last->info.pid;
	else if (run.n_entries > 1)
		feed->first_path = alloc_text(run.entries[0].path, strlen(run.entries[0].path));
	run_dir_deinit(&run);
	return 0;
}

int feed_open(const char *text, struct feed **outp, struct fail *f)
{
	struct feed *feed = alloc_array(1, sizeof(*feed));
	struct moment_parts parts = moment_split(text);
	uint64_t pid;
	int rc = -1;

	if (isdigit((unsigned char)text[0]) && units_parse_number(text, INT32_MAX, &pid)) {
		feed->pid = (uint32_t)pid;
		rc = live_state_open(feed->pid, &feed->live, f);
	} else if (parts.when) {
		fail_set(f, EXIT_CODE_USAGE,
			"live shows a run as it goes on: give '%s' without @%s", parts.path,
			parts.when);
	} else if (access(text, F_OK) == 0 && !moment_is_run(text)) {
		fail_set(f, EXIT_CODE_USAGE,
			"'%s' is a file: live takes a process id or a run directory (one moment: "
			"heapspy top)",
			text);
	} else if (access(text, F_OK) < 0) {
		fail_set(f, EXIT_CODE_INPUT,
			"there is no run directory '%s', and it is no process id", text);
		run_near_suggest(text, NULL, f);
	} else {
		rc = open_run(feed, text, f);
	}
	free(parts.path);
	if (rc < 0)
		feed_close(feed);
	else
		*outp = feed;
	return rc;
}

/* The highest number of a snapshot file in the directory; 0: there is none. */
static uint64_t last_number(const char *path, char *name, size_t name_bytes)
{
	DIR *dir = opendir(path);
	struct dirent *de;
	uint64_t number, last = 0;
	size_t digits;

	while (dir && (de = readdir(dir)) != NULL) {
		digits = strspn(de->d_name, "0123456789");
		if (digits == 0 || digits > 18 || strcmp(de->d_name + digits, SUFFIX))
			continue;
		number = strtoull(de->d_name, NULL, 10);
		if (number <= last)
			continue;
		last = number;
		snprintf(name, name_bytes, "%s", de->d_name);
	}
	if (dir)
		closedir(dir);
	return last;
}

static int read_file(struct feed *feed, struct feed_reading *reading, struct fail *f)
{
	char name[256] = "";
	uint64_t number = last_number(feed->path, name, sizeof(name));
	struct strbuf file = { 0 };
	struct fail unreadable;
	int rc;

	if (number <= feed->number)
		return 0;
	strbuf_addf(&file, "%s/%s", feed->path, name);
	rc = snapshot_read(file.data, 0, &reading->snapshot, f);
	strbuf_deinit(&file);
	if (rc < 0)
		return -1;
	/* A comparison is a help, and no file is worth a failure for it. */
	if (feed->first_path &&
		snapshot_read(feed->first_path, 0, &reading->first, &unreadable) < 0)
		reading->first = NULL;
	free(feed->first_path);
	feed->first_path = NULL;
	feed->number = number;
	feed->ended = reading->snapshot->info.reason == HEAPSPY_REASON_EXIT ||
		      reading->snapshot->info.reason == HEAPSPY_REASON_RECOVERED;
	return 0;
}

int feed_read(struct feed *feed, struct feed_reading *reading, struct fail *f)
{
	int rc = 0;

	memset(reading, 0, sizeof(*reading));
	if (!feed->ended && feed->live) {
		rc = live_state_read(feed->live, &reading->snapshot, &feed->ended, f);
		/* The process has become another one (exec): its run has ended. */
		if (rc == 0 && feed->start_id &&
			reading->snapshot->info.start_id != feed->start_id) {
			snapshot_free(reading->snapshot);
			reading->snapshot = NULL;
			live_state_close(feed->live);
			feed->live = NULL;
		}
	}
	if (!feed->ended && !feed->live)
		rc = read_file(feed, reading, f);
	reading->ended = feed->ended;
	reading->from_files = !feed->live;
	reading->stopped = feed->live && !feed->ended && is_stopped(feed->pid);
	return rc;
}

void feed_write(struct feed *feed, char *message, size_t message_bytes)
{
	struct live_state_written written;
	struct fail f;

	if (!feed->live || feed->ended)
		snprintf(message, message_bytes, "no snapshot: the process is not there any more");
	else if (live_state_write(feed->live, HEAPSPY_REASON_REQUEST, NULL, NULL, &written, &f) < 0)
		snprintf(message, message_bytes, "%s", f.text);
	else
		snprintf(message, message_bytes, "wrote %s", written.path);
}

void feed_close(struct feed *feed)
{
	if (!feed)
		return;
	live_state_close(feed->live);
	free(feed->path);
	free(feed->first_path);
	free(feed);
}
