/*
 * program_rights.c - owns the rule of secure execution, and what the calling
 * process would bring to it.
 */
#include "analyzer/target/program_rights.h"

#include <endian.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

/* A hexadecimal line of /proc/self/status; all bits when it is not there. */
static uint64_t status_mask(const char *name)
{
	FILE *stream = fopen("/proc/self/status", "re");
	size_t n = strlen(name);
	uint64_t mask = UINT64_MAX;
	char line[256];

	while (stream && fgets(line, sizeof(line), stream))
		if (!strncmp(line, name, n) && line[n] == ':')
			mask = strtoull(line + n + 1, NULL, 16);
	if (stream)
		fclose(stream);
	return mask;
}

void program_environment_init(struct program_environment *env)
{
	memset(env, 0, sizeof(*env));
	env->search_path = getenv("PATH");
	env->preload = getenv("LD_PRELOAD");
	env->library_path = getenv("LD_LIBRARY_PATH");
	env->uid = getuid();
	env->euid = geteuid();
	env->gid = getgid();
	env->egid = getegid();
	env->no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
	env->capabilities_bounding = status_mask("CapBnd");
	env->capabilities_inheritable = status_mask("CapInh");
}

static uint64_t both_halves(const struct vfs_ns_cap_data *caps, bool inheritable, unsigned n_halves)
{
	uint64_t mask = 0;
	unsigned i;

	for (i = 0; i < n_halves; i++)
		mask |= (uint64_t)le32toh(
				inheritable ? caps->data[i].inheritable : caps->data[i].permitted)
			<< 32 * i;
	return mask;
}

/* Whether the capabilities written on the file would be gained, or merely be marked so. */
static bool gains_capabilities(const char *path, const struct program_environment *env)
{
	struct vfs_ns_cap_data caps = { 0 };
	ssize_t n = getxattr(path, "security.capability", &caps, sizeof(caps));
	uint32_t magic = le32toh(caps.magic_etc);
	unsigned n_halves;

	if (n == XATTR_CAPS_SZ_1 && (magic & VFS_CAP_REVISION_MASK) == VFS_CAP_REVISION_1)
		n_halves = 1;
	else if (n == XATTR_CAPS_SZ_2 && (magic & VFS_CAP_REVISION_MASK) == VFS_CAP_REVISION_2)
		n_halves = 2;
	else
		/* Revision 3 is shown for a root that is another user namespace's. */
		return false;
	if (magic & VFS_CAP_FLAGS_EFFECTIVE)
		return true;
	return (both_halves(&caps, false, n_halves) & env->capabilities_bounding) ||
	       (both_halves(&caps, true, n_halves) & env->capabilities_inheritable);
}

static void name_user(uint32_t uid, char *out, size_t bytes)
{
	struct passwd *entry = getpwuid(uid);

	if (entry)
		snprintf(out, bytes, "set-user-id %s", entry->pw_name);
	else
		snprintf(out, bytes, "set-user-id %u", uid);
}

static void name_group(uint32_t gid, char *out, size_t bytes)
{
	struct group *entry = getgrgid(gid);

	if (entry)
		snprintf(out, bytes, "set-group-id %s", entry->gr_name);
	else
		snprintf(out, bytes, "set-group-id %u", gid);
}

bool program_rights_grow(
	const char *path, const struct program_environment *env, char *why, size_t why_bytes)
{
	uint32_t euid = env->euid, egid = env->egid;
	struct statvfs fs;
	struct stat st;
	bool nosuid;

	if (stat(path, &st) < 0)
		return false;
	nosuid = statvfs(path, &fs) == 0 && (fs.f_flag & ST_NOSUID);
	if (!nosuid && !env->no_new_privs) {
		if (st.st_mode & S_ISUID)
			euid = st.st_uid;
		/* Without the right to execute the bit once meant mandatory locking. */
		if ((st.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
			egid = st.st_gid;
	}
	if (euid != env->uid || euid != env->euid) {
		if (st.st_mode & S_ISUID && euid == st.st_uid)
			name_user(euid, why, why_bytes);
		else
			snprintf(why, why_bytes, "its caller's effective user is not the real one");
		return true;
	}
	if (egid != env->gid || egid != env->egid) {
		if (st.st_mode & S_ISGID && egid == st.st_gid)
			name_group(egid, why, why_bytes);
		else
			snprintf(
				why, why_bytes, "its caller's effective group is not the real one");
		return true;
	}
	if (nosuid || env->uid == 0 || !gains_capabilities(path, env))
		return false;
	snprintf(why, why_bytes, "file capabilities");
	return true;
}
