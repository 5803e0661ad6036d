/* roots_path.c - owns the look at the owners and modes along a path. */
#include "analyzer/target/roots_path.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

bool roots_path_is(const char *path)
{
	bool others_may_make = false;
	char part[PATH_MAX];
	struct stat st;
	size_t i;

	if (path[0] != '/')
		return false;
	/* "/" itself first. */
	for (i = 0; i < sizeof(part); i++) {
		if (i && path[i] && path[i] != '/')
			continue;
		snprintf(part, sizeof(part), "%.*s", i ? (int)i : 1, path);
		if (lstat(part, &st))
			return errno == ENOENT && !others_may_make;
		/* A link may lead through a directory of somebody else's, or, in /proc, anywhere.
		 */
		if (st.st_uid || S_ISLNK(st.st_mode))
			return false;
		others_may_make = st.st_mode & (S_IWGRP | S_IWOTH);
		if (others_may_make && !(st.st_mode & S_ISVTX))
			return false;
		if (!path[i])
			return true;
	}
	return false;
}
