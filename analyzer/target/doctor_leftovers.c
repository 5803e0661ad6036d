/*
 * doctor_leftovers.c - owns the check for states that nobody needs any more. How
 * their files are named is preload/process_state.c's business.
 */
#include "analyzer/target/doctor.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "analyzer/target/live_state.h"
#include "analyzer/target/proc.h"
#include "analyzer/units.h"

#define SHOWN_MAX 50 /* on one command line */

/* Whether a name is that of a state of this user, whose process is not there any more. */
static bool is_of_the_dead(const char *name)
{
	unsigned long long start_ticks, image;
	unsigned uid, pid;
	int end = 0;

	return sscanf(name, "heapspy.%u.%u.%llu-%llu%n", &uid, &pid, &start_ticks, &image, &end) ==
		       4 &&
	       end && !name[end] && uid == geteuid() &&
	       !proc_is_alive(proc_pid_here(pid, start_ticks), start_ticks);
}

/* Somebody may live where we see no pids, and heapspy run comes for the states of its dead. */
static bool is_wanted(int dir_fd, const char *name)
{
	const struct state_header *state;
	struct live_state *live;
	struct utsname here;
	bool wanted;

	if (live_state_open_file(dir_fd, name, false, &live) < 0)
		return false;
	state = live_state_header(live);
	uname(&here);
	wanted = strncmp(state->host, here.nodename, sizeof(state->host) - 1) ||
		 (state->lease.pid && proc_is_alive(state->lease.pid, state->lease.start_ticks));
	live_state_close(live);
	return wanted;
}

void doctor_leftovers(struct doctor_report *report, const char *dir)
{
	DIR *stream = dir[0] == '/' ? opendir(dir) : NULL;
	struct strbuf command = { 0 }, path = { 0 }, size = { 0 };
	struct dirent *entry;
	double bytes = 0;
	unsigned n = 0;
	struct stat st;

	while (stream && (entry = readdir(stream)) != NULL) {
		const char *name = entry->d_name;

		if (!is_of_the_dead(name) || is_wanted(dirfd(stream), name) ||
			fstatat(dirfd(stream), name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
			!S_ISREG(st.st_mode) || st.st_uid != geteuid())
			continue;
		bytes += (double)st.st_blocks * 512;
		if (n++ >= SHOWN_MAX)
			continue;
		strbuf_clear(&path);
		strbuf_addf(&path, "%s/%s", dir, name);
		strbuf_add_char(&command, ' ');
		strbuf_add_shell_word(&command, path.data);
	}
	if (stream)
		closedir(stream);
	units_add_bytes(&size, bytes);
	if (n)
		doctor_add(report, DOCTOR_NOTE, "leftovers",
			"%u state%s of dead processes, %s, in %s: remove %s with: rm%s", n,
			n == 1 ? "" : "s", size.data, dir,
			n == 1           ? "it"
			: n <= SHOWN_MAX ? "them"
					 : "the first of them",
			command.data);
	strbuf_deinit(&command);
	strbuf_deinit(&path);
	strbuf_deinit(&size);
}
