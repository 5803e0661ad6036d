/*
 * memory_limit.h - how much memory a process may still take, of what the system lets it have:
 * memory control groups (cgroups(7), both versions, and the groups above) and RLIMIT_AS. For
 * whoever writes a snapshot: some twenty raw system calls, so never from a hook that has none to
 * write, and not under a seccomp filter that may kill for them. Linked into the command too.
 */
#ifndef HEAPSPY_MEMORY_LIMIT_H
#define HEAPSPY_MEMORY_LIMIT_H

#include <stdint.h>

struct memory_limit {
	uint32_t kind; /* enum heapspy_limit; HEAPSPY_LIMIT_NONE: no limit is known */
	uint64_t limit_bytes;
	uint64_t used_bytes; /* what counts against it; 0 unknown */
};

/* Memory for finding out; the caller's, nothing to be set up. */
struct memory_limit_work {
	char text[8192]; /* of the file that is read */
	char path[2048];
	struct memory_limit_group {
		char name[512];  /* of the group, from the root of its hierarchy */
		char root[512];  /* what of the hierarchy is mounted */
		char mount[512]; /* where */
	} groups[2];
};

/*
 * The limit that leaves the process (as seen from here; 0: the calling one) the least; all zero if
 * there is none, or none that can be read. Where root is not "", it stands before all paths: of
 * /proc, and of what that names. Control groups are looked for where they are mounted for us, since
 * those of another process may not be. Allocates nothing; bounded, whatever the files hold.
 */
void memory_limit_read(
	struct memory_limit_work *work, const char *root, uint32_t pid, struct memory_limit *limit);

#endif
