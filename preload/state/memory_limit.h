/*
 * memory_limit.h - how much memory a process may still take, of what the system lets it have:
 * memory control groups (cgroups(7), both versions, and the groups above) and RLIMIT_AS. Raw system
 * calls on files of /proc and of the groups, so never from a hook at a moment when none may be made
 * (writer.h), and not under a seccomp filter that may kill for them. Linked into the command too.
 *
 * Used is what counts against a limit and cannot be taken back. A group is charged for the pages
 * of every file that it reads; the kernel drops these, and caches of its own, before it kills
 * anybody, so they are not counted (memory.stat). Pages of tmpfs, the state among them, are, and
 * those that are not yet written.
 */
#ifndef HEAPSPY_MEMORY_LIMIT_H
#define HEAPSPY_MEMORY_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

struct memory_limit {
	uint32_t kind; /* enum heapspy_limit; HEAPSPY_LIMIT_NONE: no limit is known */
	uint64_t limit_bytes;
	uint64_t used_bytes; /* what counts against it; 0 unknown */
};

static inline uint64_t memory_limit_left_bytes(const struct memory_limit *limit)
{
	return limit->limit_bytes > limit->used_bytes ? limit->limit_bytes - limit->used_bytes : 0;
}

/* Used, in millionths of the limit; 1000000 of one that is exceeded, or is nothing. */
static inline uint32_t memory_limit_used_ppm(const struct memory_limit *limit)
{
	if (limit->used_bytes >= limit->limit_bytes)
		return 1000000;
	return (uint32_t)((unsigned __int128)limit->used_bytes * 1000000 / limit->limit_bytes);
}

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

/* Where the groups of a process are: of version 2, of version 1; "" none. */
struct memory_limit_groups {
	char path[2][1280];
	uint16_t mount_length[2]; /* of path what belongs to the mount: there the way up ends */
};

/*
 * The groups of process pid (as seen from here; 0: the calling one). Where root is not "", it
 * stands before all paths: of /proc, and of what that names. They are looked for where they are
 * mounted for us, since those of another process may not be. Allocates nothing; bounded, whatever
 * the files hold. Reads the whole mount table: for once a process, or once a snapshot.
 */
void memory_limit_find(struct memory_limit_work *work, const char *root, uint32_t pid,
	struct memory_limit_groups *groups);

/* Each all zero if there is none, or none that can be read. */
struct memory_limit_look {
	struct memory_limit least;   /* the limit that leaves the process the least bytes */
	struct memory_limit fullest; /* the one of which the largest share is used */
	struct memory_limit group;   /* the one of a group that leaves the least bytes */
};

/*
 * What is left now. groups: as found for pid. Three system calls for a group on the way up, some
 * more for one with a limit. is_exact: false spares the reading of memory.stat, which may take the
 * kernel long, where even with all of its file pages less than half of a limit is used; used_bytes
 * has them in it then.
 */
void memory_limit_look(struct memory_limit_work *work, const struct memory_limit_groups *groups,
	const char *root, uint32_t pid, bool is_exact, struct memory_limit_look *look);

#endif
