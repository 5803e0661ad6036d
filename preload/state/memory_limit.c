/*
 * memory_limit.c - owns the reading of /proc and of control groups for limits of memory. Formats:
 * proc(5), cgroups(7), and in the kernel's documentation admin-guide/cgroup-v2.rst and
 * cgroup-v1/memory.rst.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include "heapspy/snapshot.h"
#include "preload/compiler.h"
#include "preload/log.h"
#include "preload/rawsys.h"
#include "preload/state/memory_limit.h"

#define FILE_BYTES_MAX (4u << 20)   /* of mountinfo, on a host of many containers */
#define NO_LIMIT_BYTES (1ull << 60) /* version 1 has no word for none */

enum version { V2, V1 };

/* The lines of a file, one after the other. */
struct lines {
	struct memory_limit_work *work;
	long fd;
	size_t at, end; /* what is left of work->text */
	size_t n_read;
};

/* work->path; false: there is no such file. */
static bool lines_open(struct lines *l, struct memory_limit_work *work)
{
	memset(l, 0, sizeof(*l));
	l->work = work;
	/* Whoever mounts a pipe there: to open it must not wait. */
	l->fd = rawsys(SYS_open, work->path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return l->fd >= 0;
}

static void lines_close(struct lines *l)
{
	rawsys(SYS_close, l->fd);
}

/* Without its end; NULL behind the last. One that is too long for the buffer is passed over. */
static char *lines_next(struct lines *l)
{
	char *text = l->work->text, *end;
	bool too_long = false;
	long n = 1;

	for (;;) {
		end = memchr(text + l->at, '\n', l->end - l->at);
		if (!end && n <= 0 && l->end > l->at)
			end = text + l->end; /* the last has none */
		if (end) {
			char *line = text + l->at;

			*end = '\0';
			l->at = (size_t)(end - text) < l->end ? (size_t)(end - text) + 1 : l->end;
			if (!too_long)
				return line;
			too_long = false;
			continue;
		}
		if (n <= 0)
			return NULL;
		if (!l->at && l->end == sizeof(l->work->text) - 1) {
			too_long = true;
			l->at = l->end;
		}
		memmove(text, text + l->at, l->end - l->at);
		l->end -= l->at;
		l->at = 0;
		n = l->n_read < FILE_BYTES_MAX ? rawsys(SYS_read, l->fd, text + l->end,
							 sizeof(l->work->text) - 1 - l->end)
					       : 0;
		if (n > 0) {
			l->end += (size_t)n;
			l->n_read += (size_t)n;
		}
	}
}

static bool starts_with(const char *text, const char *beginning)
{
	return !strncmp(text, beginning, strlen(beginning));
}

/* The number behind blanks; false where there is none, or one beyond 64 bits. */
static bool parse_number(const char *text, uint64_t *numberp)
{
	uint64_t number = 0;

	while (*text == ' ' || *text == '\t')
		text++;
	if (*text < '0' || *text > '9')
		return false;
	for (; *text >= '0' && *text <= '9'; text++)
		if (__builtin_mul_overflow(number, 10, &number) ||
			__builtin_add_overflow(number, (uint64_t)(*text - '0'), &number))
			return false;
	*numberp = number;
	return true;
}

/* The number in a line that begins so, in the file at work->path. */
static bool read_number(struct memory_limit_work *work, const char *beginning, uint64_t *numberp)
{
	struct lines l;
	bool found = false;
	char *line;

	if (!lines_open(&l, work))
		return false;
	while (!found && (line = lines_next(&l)))
		if (starts_with(line, beginning))
			found = parse_number(line + strlen(beginning), numberp);
	lines_close(&l);
	return found;
}

static void set_proc_path(
	struct memory_limit_work *work, const char *root, uint32_t pid, const char *file)
{
	if (pid)
		log_format(work->path, sizeof(work->path), "%s/proc/%u/%s", root, pid, file);
	else
		log_format(work->path, sizeof(work->path), "%s/proc/self/%s", root, file);
}

/* Takes a limit for all that it is more pressing for than what was seen so far. */
static void offer(struct memory_limit_look *look, const struct memory_limit *limit)
{
	uint64_t left = memory_limit_left_bytes(limit);

	if (!look->least.kind || left < memory_limit_left_bytes(&look->least))
		look->least = *limit;
	if (!look->fullest.kind ||
		memory_limit_used_ppm(limit) > memory_limit_used_ppm(&look->fullest))
		look->fullest = *limit;
	if (limit->kind != HEAPSPY_LIMIT_AS &&
		(!look->group.kind || left < memory_limit_left_bytes(&look->group)))
		look->group = *limit;
}

/* Of most processes one system call says that there is none. */
static bool has_address_space_limit(const char *root, uint32_t pid)
{
	struct rlimit limit;

	return root[0] || rawsys(SYS_prlimit64, pid, RLIMIT_AS, 0, &limit) < 0 ||
	       limit.rlim_cur != RLIM_INFINITY;
}

static void read_address_space(struct memory_limit_work *work, const char *root, uint32_t pid,
	struct memory_limit_look *look)
{
	struct memory_limit limit = { .kind = HEAPSPY_LIMIT_AS };

	if (!has_address_space_limit(root, pid))
		return;
	set_proc_path(work, root, pid, "limits");
	if (!read_number(work, "Max address space", &limit.limit_bytes))
		return;
	set_proc_path(work, root, pid, "status");
	if (read_number(work, "VmSize:", &limit.used_bytes))
		limit.used_bytes <<= 10;
	offer(look, &limit);
}

/* text up to end, which becomes NUL; the rest follows. NULL: there is no more. */
static char *cut(char **textp, char end)
{
	char *begin = *textp, *p = begin ? strchr(begin, end) : NULL;

	if (p)
		*p++ = '\0';
	*textp = p;
	return begin;
}

/* Whether a list such as "cpu,memory" has the word. */
static bool list_has(char *list, const char *wanted)
{
	char *word;

	while ((word = cut(&list, ',')))
		if (!strcmp(word, wanted))
			return true;
	return false;
}

static bool copy(char *to, size_t bytes, const char *from)
{
	if (strlen(from) >= bytes)
		return false;
	strcpy(to, from);
	return true;
}

/* "4:memory:/a/b", or "0::/a/b" in version 2. */
static void read_names(struct memory_limit_work *work)
{
	struct lines l;
	char *line;

	if (!lines_open(&l, work))
		return;
	while ((line = lines_next(&l))) {
		char *hierarchy = cut(&line, ':'), *controllers = cut(&line, ':');
		struct memory_limit_group *group;

		if (!line || line[0] != '/')
			continue;
		if (!strcmp(hierarchy, "0") && !controllers[0])
			group = &work->groups[V2];
		else if (list_has(controllers, "memory"))
			group = &work->groups[V1];
		else
			continue;
		copy(group->name, sizeof(group->name), line);
	}
	lines_close(&l);
}

/* A blank in a path is "\040" there. */
static void unescape(char *text)
{
	char *to = text;

	for (; *text; text++) {
		if (text[0] == '\\' && text[1] && text[2] && text[3]) {
			*to++ = (char)((text[1] & 7) << 6 | (text[2] & 7) << 3 | (text[3] & 7));
			text += 3;
		} else {
			*to++ = *text;
		}
	}
	*to = '\0';
}

/* What of name lies below root; NULL: it does not. */
static const char *below(const char *name, const char *root)
{
	size_t n = strcmp(root, "/") ? strlen(root) : 0;

	if (strncmp(name, root, n) || (name[n] && name[n] != '/'))
		return NULL;
	return name + n;
}

/* "35 31 0:32 /root /mount rw,relatime [...] - cgroup source rw,memory" */
static void read_mount(struct memory_limit_work *work, char *line)
{
	struct memory_limit_group *group;
	char *fields[6], *type, *options;
	unsigned i;

	for (i = 0; i < 6; i++)
		fields[i] = cut(&line, ' ');
	while (line && strcmp(type = cut(&line, ' '), "-"))
		;
	type = cut(&line, ' ');
	cut(&line, ' ');
	options = line;
	if (!type || !options)
		return;
	if (!strcmp(type, "cgroup2"))
		group = &work->groups[V2];
	else if (!strcmp(type, "cgroup") && list_has(options, "memory"))
		group = &work->groups[V1];
	else
		return;
	unescape(fields[3]);
	unescape(fields[4]);
	/* The first that holds the group; a part of a hierarchy may be mounted somewhere too. */
	if (!group->mount[0] && below(group->name, fields[3]) &&
		copy(group->root, sizeof(group->root), fields[3]) &&
		!copy(group->mount, sizeof(group->mount), fields[4]))
		group->root[0] = '\0';
}

static void read_mounts(struct memory_limit_work *work)
{
	struct lines l;
	char *line;

	if (!lines_open(&l, work))
		return;
	while ((line = lines_next(&l)))
		read_mount(work, line);
	lines_close(&l);
}

/* Where the group lies for us, if it lies anywhere. */
static void set_group(struct memory_limit_work *work, const char *root, enum version version,
	struct memory_limit_groups *groups)
{
	const struct memory_limit_group *group = &work->groups[version];
	char *path = groups->path[version];
	size_t mount_length = strlen(root) + strlen(group->mount), length;

	if (!group->name[0] || !group->mount[0])
		return;
	length = log_format(path, sizeof(groups->path[version]), "%s%s%s", root, group->mount,
		below(group->name, group->root));
	if (length >= sizeof(groups->path[version])) {
		path[0] = '\0';
		return;
	}
	while (length > mount_length && path[length - 1] == '/')
		path[--length] = '\0';
	groups->mount_length[version] = (uint16_t)mount_length;
}

void memory_limit_find(struct memory_limit_work *work, const char *root, uint32_t pid,
	struct memory_limit_groups *groups)
{
	memset(groups, 0, sizeof(*groups));
	memset(work->groups, 0, sizeof(work->groups));
	set_proc_path(work, root, pid, "cgroup");
	read_names(work);
	set_proc_path(work, root, 0, "mountinfo");
	read_mounts(work);
	set_group(work, root, V2, groups);
	set_group(work, root, V1, groups);
}

static void set_group_path(struct memory_limit_work *work, size_t length, const char *file)
{
	log_format(work->path + length, sizeof(work->path) - length, "/%s", file);
}

/* The first line of a file of the group that work->path names, length bytes long. */
static bool read_group_number(
	struct memory_limit_work *work, size_t length, const char *file, uint64_t *numberp)
{
	bool found;

	set_group_path(work, length, file);
	found = read_number(work, "", numberp);
	work->path[length] = '\0';
	return found;
}

/*
 * What the kernel takes back before it kills anybody: pages of files, and caches of its own. Not
 * those that must be written first, for that may be too late.
 */
static uint64_t read_reclaimable(
	struct memory_limit_work *work, size_t length, enum version version)
{
	static const struct {
		const char *name;
		int sign;
	} fields[2][5] = {
		[V2] = { { "active_file ", 1 }, { "inactive_file ", 1 }, { "slab_reclaimable ", 1 },
			{ "file_dirty ", -1 }, { "file_writeback ", -1 } },
		[V1] = { { "total_active_file ", 1 }, { "total_inactive_file ", 1 },
			{ "total_dirty ", -1 }, { "total_writeback ", -1 } },
	};
	uint64_t sum = 0, unwritten = 0, number;
	struct lines l;
	unsigned i;
	char *line;

	set_group_path(work, length, "memory.stat");
	if (lines_open(&l, work)) {
		while ((line = lines_next(&l)))
			for (i = 0; i < HS_ARRAY_SIZE(fields[0]); i++) {
				const char *name = fields[version][i].name;

				if (!name || !starts_with(line, name) ||
					!parse_number(line + strlen(name), &number))
					continue;
				if (fields[version][i].sign > 0)
					sum += number;
				else
					unwritten += number;
			}
		lines_close(&l);
	}
	work->path[length] = '\0';
	return sum > unwritten ? sum - unwritten : 0;
}

/* The group and those above it, as far as they are mounted: a limit there holds as well. */
static void read_group(struct memory_limit_work *work, const struct memory_limit_groups *groups,
	enum version version, bool is_exact, struct memory_limit_look *look)
{
	static const char *const limit_files[] = { "memory.max", "memory.limit_in_bytes" };
	static const char *const used_files[] = { "memory.current", "memory.usage_in_bytes" };
	size_t length = strlen(groups->path[version]);
	uint64_t reclaimable;

	if (!length)
		return;
	memcpy(work->path, groups->path[version], length + 1);
	for (;;) {
		struct memory_limit limit = { .kind = version == V2 ? HEAPSPY_LIMIT_CGROUP_V2
								    : HEAPSPY_LIMIT_CGROUP_V1 };

		/* "max" is no number. */
		if (read_group_number(work, length, limit_files[version], &limit.limit_bytes) &&
			limit.limit_bytes < NO_LIMIT_BYTES) {
			read_group_number(work, length, used_files[version], &limit.used_bytes);
			if (is_exact || limit.used_bytes > limit.limit_bytes / 2) {
				reclaimable = read_reclaimable(work, length, version);
				limit.used_bytes -= reclaimable < limit.used_bytes
							    ? reclaimable
							    : limit.used_bytes;
			}
			offer(look, &limit);
		}
		if (length <= groups->mount_length[version])
			return;
		while (length > groups->mount_length[version] && work->path[length - 1] != '/')
			length--;
		while (length > groups->mount_length[version] && work->path[length - 1] == '/')
			length--;
		work->path[length] = '\0';
	}
}

void memory_limit_look(struct memory_limit_work *work, const struct memory_limit_groups *groups,
	const char *root, uint32_t pid, bool is_exact, struct memory_limit_look *look)
{
	memset(look, 0, sizeof(*look));
	read_address_space(work, root, pid, look);
	read_group(work, groups, V2, is_exact, look);
	read_group(work, groups, V1, is_exact, look);
}
