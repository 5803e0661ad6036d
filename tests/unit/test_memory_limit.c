/*
 * test_memory_limit.c - limits of memory on made-up trees of files, and of this very process. A
 * memory group is made for it where one may be (root, and a hierarchy that is writable).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "heapspy/snapshot.h"
#include "preload/state/memory_limit.h"
#include "tests/unit/tap.h"

#define GIB (1ull << 30)
#define V2_MOUNT                                                                                   \
	"35 31 0:32 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1_MOUNT "36 31 0:33 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
#define LIMITS                                                                                     \
	"Limit                     Soft Limit           Hard Limit           Units     \n"         \
	"Max cpu time              unlimited            unlimited            seconds   \n"         \
	"Max address space         %s            unlimited            bytes     \n"

static char root[] = "/tmp/heapspy_limit.XXXXXX";
static struct memory_limit_work work;

static void path_in_root(char *path, size_t bytes, const char *name)
{
	char *slash;

	snprintf(path, bytes, "%s/%s", root, name);
	for (slash = strchr(path + strlen(root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(path, 0700);
		*slash = '/';
	}
}

static void put(const char *name, const char *text)
{
	char path[1024];
	FILE *file;

	path_in_root(path, sizeof(path), name);
	file = fopen(path, "w");
	if (!file) {
		printf("Bail out! %s: %s\n", path, strerror(errno));
		exit(1);
	}
	fputs(text, file);
	fclose(file);
}

static void begin_tree(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s/*", root);
	CHECK(system(command) == 0);
	put("proc/self/mountinfo", V2_MOUNT);
	put("proc/7/cgroup", "0::/a/b\n");
}

static struct memory_limit_look look_at_7(bool is_exact)
{
	struct memory_limit_groups groups;
	struct memory_limit_look look;

	memset(&groups, 0x5a, sizeof(groups));
	memset(&look, 0x5a, sizeof(look));
	memory_limit_find(&work, root, 7, &groups);
	memset(&work, 0x5a, sizeof(work));
	memory_limit_look(&work, &groups, root, 7, is_exact, &look);
	return look;
}

static struct memory_limit limit_of_7(void)
{
	return look_at_7(true).least;
}

static bool is(struct memory_limit limit, uint32_t kind, uint64_t limit_bytes, uint64_t used_bytes)
{
	if (limit.kind == kind && limit.limit_bytes == limit_bytes &&
		limit.used_bytes == used_bytes)
		return true;
	printf("# found %u, %llu of %llu\n", limit.kind, (unsigned long long)limit.used_bytes,
		(unsigned long long)limit.limit_bytes);
	return false;
}

static void test_none(void)
{
	begin_tree();
	CHECK(is(limit_of_7(), HEAPSPY_LIMIT_NONE, 0, 0));
	put("sys/fs/cgroup/a/b/memory.max", "max\n");
	put("sys/fs/cgroup/a/memory.max", "");
	put("proc/7/limits", "Max address space         unlimited            unlimited   bytes\n");
	CHECK(is(limit_of_7(), HEAPSPY_LIMIT_NONE, 0, 0));
	put("proc/7/cgroup", "");
	put("proc/self/mountinfo", "");
	CHECK(is(limit_of_7(), HEAPSPY_LIMIT_NONE, 0, 0));
}

/* Whoever mounts a pipe there: nothing waits for somebody to write to it. */
static void test_pipe(void)
{
	char path[1024];

	begin_tree();
	path_in_root(path, sizeof(path), "sys/fs/cgroup/a/b/memory.max");
	CHECK(mkfifo(path, 0600) == 0);
	put("sys/fs/cgroup/a/memory.max", "8589934592\n");
	put("sys/fs/cgroup/a/memory.current", "1000000\n");
	alarm(10);
	CHECK(is(limit_of_7(), HEAPSPY_LIMIT_CGROUP_V2, 8 * GIB, 1000000));
	alarm(0);
}

static void test_version_2(void)
{
	begin_tree();
	put("sys/fs/cgroup/a/b/memory.max", "4294967296\n");
	put("sys/fs/cgroup/a/b/memory.current", "1000000\n");
	CHECK(is(limit_of_7(), HEAPSPY_LIMIT_CGROUP_V2, 4 * GIB, 1000000));
	/* A group above has more, but others are in it. */
	put("sys/fs/cgroup/a/memory.max", "8589934592\n");
	put("sys/fs/cgroup/a/memory.current", "8489934592\n");
	CHECK(is(limit_of_7(), HEAPSPY_LIMIT_CGROUP_V2, 8 * GIB, 8489934592ull));
	put("sys/fs/cgroup/memory.max", "100\n"); /* the root of what is mounted, in a container */
	CHECK(is(limit_of_7(), HEAPSPY_LIMIT_CGROUP_V2, 100, 0));
}

static void test_version_1_beside_2(void)
{
	begin_tree();
	put("proc/self/mountinfo",
		"20 1 0:5 / /proc rw - proc proc rw\n"
		"34 31 0:31 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n" V1_MOUNT
		"41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
	put("proc/7/cgroup",
		"12:cpu,cpuacct:/x\n4:hugetlb,memory:/y/z\n1:name=systemd:/q\n0::/q\n");
	put("sys/fs/cgroup/memory/y/z/memory.limit_in_bytes", "9223372036854771712\n");
	put("sys/fs/cgroup/memory/y/z/memory.usage_in_bytes", "5000\n");
	CHECK(is(limit_of_7(), HEAPSPY_LIMIT_NONE, 0, 0));
	put("sys/fs/cgroup/memory/y/z/memory.limit_in_bytes", "1073741824\n");
	CHECK(is(limit_of_7(), HEAPSPY_LIMIT_CGROUP_V1, GIB, 5000));
	put("sys/fs/cgroup/unified/q/memory.max", "4096\n");
	put("sys/fs/cgroup/unified/q/memory.current", "5000\n"); /* above it: nothing is left */
	CHECK(is(limit_of_7(), HEAPSPY_LIMIT_CGROUP_V2, 4096, 5000));
}

/* In a container only the process's own group may be mounted, or a view from elsewhere. */
static void test_parts_of_a_hierarchy(void)
{
	begin_tree();
	put("proc/7/cgroup", "0::/docker/abc/web\n");
	put("proc/self/mountinfo", "30 1 0:31 /docker/xyz /other rw - cgroup2 cgroup2 rw\n"
				   "31 1 0:31 /docker/ab /wrong rw - cgroup2 cgroup2 rw\n"
				   "32 1 0:31 /docker/abc /my\\040groups rw - cgroup2 cgroup2 rw\n"
				   "33 1 0:31 / /late rw - cgroup2 cgroup2 rw\n");
	put("my groups/web/memory.max", "3000\n");
	put("other/web/memory.max", "1000\n");
	put("wrong/web/memory.max", "1000\n");
	put("late/docker/abc/web/memory.max", "2000\n");
	CHECK(is(limit_of_7(), HEAPSPY_LIMIT_CGROUP_V2, 3000, 0));
	put("my groups/memory.max", "2500\n");
	CHECK(is(limit_of_7(), HEAPSPY_LIMIT_CGROUP_V2, 2500, 0));
	/* Outside of the namespace that we see. */
	put("proc/self/mountinfo", "32 1 0:31 /docker /g rw - cgroup2 cgroup2 rw\n");
	put("proc/7/cgroup", "0::/../elsewhere\n");
	CHECK(is(limit_of_7(), HEAPSPY_LIMIT_NONE, 0, 0));
}

static void test_address_space(void)
{
	char text[1024];

	begin_tree();
	snprintf(text, sizeof(text), LIMITS, "1073741824");
	put("proc/7/limits", text);
	CHECK(is(limit_of_7(), HEAPSPY_LIMIT_AS, GIB, 0));
	put("proc/7/status", "Name:\tx\nVmPeak:\t  900000 kB\nVmSize:\t  800000 kB\n");
	CHECK(is(limit_of_7(), HEAPSPY_LIMIT_AS, GIB, 800000ull << 10));
	/* 248 MB are left of it, and 200 of the group. */
	put("sys/fs/cgroup/a/b/memory.max", "300000000\n");
	put("sys/fs/cgroup/a/b/memory.current", "100000000\n");
	CHECK(is(limit_of_7(), HEAPSPY_LIMIT_CGROUP_V2, 300000000, 100000000));
	put("sys/fs/cgroup/a/b/memory.current", "1000000\n");
	CHECK(is(limit_of_7(), HEAPSPY_LIMIT_AS, GIB, 800000ull << 10));
}

/* Pages of files are taken back before anybody is killed; those of tmpfs are not. */
static void test_page_cache(void)
{
	static const char stat_2[] = "anon 400000000\nfile 500000000\nshmem 100000000\n"
				     "inactive_anon 7\nactive_anon 7\ninactive_file 300000000\n"
				     "active_file 100000000\nunevictable 0\n"
				     "file_mapped 5\nfile_dirty 7000000\nfile_writeback 3000000\n"
				     "slab_reclaimable 50000000\nslab_unreclaimable 70000000\n";
	static const char stat_1[] = "cache 1\ninactive_file 1\nactive_file 1\n"
				     "hierarchical_memory_limit 1000000000\ntotal_shmem 9\n"
				     "total_dirty 7000000\ntotal_writeback 3000000\n"
				     "total_inactive_file 300000000\ntotal_active_file 100000000\n";
	struct memory_limit_look look;

	begin_tree();
	put("sys/fs/cgroup/a/b/memory.max", "1000000000\n");
	put("sys/fs/cgroup/a/b/memory.current", "990000000\n");
	put("sys/fs/cgroup/a/b/memory.stat", stat_2);
	CHECK(is(limit_of_7(), HEAPSPY_LIMIT_CGROUP_V2, 1000000000, 550000000));
	look = look_at_7(false);
	CHECK(is(look.group, HEAPSPY_LIMIT_CGROUP_V2, 1000000000, 550000000));
	/* What is cheap to know is enough where it is little. */
	put("sys/fs/cgroup/a/b/memory.current", "480000000\n");
	CHECK(is(look_at_7(false).group, HEAPSPY_LIMIT_CGROUP_V2, 1000000000, 480000000));
	CHECK(is(limit_of_7(), HEAPSPY_LIMIT_CGROUP_V2, 1000000000, 40000000));
	/* Read at two moments: more is cache than there is of everything. */
	put("sys/fs/cgroup/a/b/memory.current", "440000000\n");
	CHECK(is(limit_of_7(), HEAPSPY_LIMIT_CGROUP_V2, 1000000000, 0));
	put("proc/self/mountinfo", V1_MOUNT);
	put("proc/7/cgroup", "4:memory:/y\n");
	put("sys/fs/cgroup/memory/y/memory.limit_in_bytes", "1000000000\n");
	put("sys/fs/cgroup/memory/y/memory.usage_in_bytes", "990000000\n");
	put("sys/fs/cgroup/memory/y/memory.stat", stat_1);
	CHECK(is(limit_of_7(), HEAPSPY_LIMIT_CGROUP_V1, 1000000000, 600000000));
}

/* The one that leaves least, the one that is fullest, and the group need not be the same. */
static void test_three_answers(void)
{
	struct memory_limit_look look;
	char text[1024];

	begin_tree();
	put("sys/fs/cgroup/a/b/memory.max", "1000000000\n");
	put("sys/fs/cgroup/a/b/memory.current", "500000000\n");
	put("sys/fs/cgroup/a/memory.max", "10000000000\n");
	put("sys/fs/cgroup/a/memory.current", "9100000000\n");
	snprintf(text, sizeof(text), LIMITS, "400000000");
	put("proc/7/limits", text);
	put("proc/7/status", "VmSize:\t  250000 kB\n");
	look = look_at_7(false);
	CHECK(is(look.least, HEAPSPY_LIMIT_AS, 400000000, 250000 << 10));
	CHECK(is(look.fullest, HEAPSPY_LIMIT_CGROUP_V2, 10000000000, 9100000000));
	CHECK(is(look.group, HEAPSPY_LIMIT_CGROUP_V2, 1000000000, 500000000));
	CHECK(memory_limit_used_ppm(&look.fullest) == 910000);
	CHECK(memory_limit_left_bytes(&look.group) == 500000000);
	/* They change while the groups stay. */
	put("sys/fs/cgroup/a/memory.max", "max\n");
	CHECK(is(look_at_7(false).fullest, HEAPSPY_LIMIT_AS, 400000000, 250000 << 10));
}

static void test_odd_files(void)
{
	static char text[300000];
	char *end = text;
	unsigned i;

	begin_tree();
	put("sys/fs/cgroup/a/b/memory.max", "123456");
	CHECK(is(limit_of_7(), HEAPSPY_LIMIT_CGROUP_V2, 123456, 0));
	/* Lines that do not fit the buffer, on its edges, and without an end. */
	for (i = 0; i < 20; i++) {
		memset(end, 'x', 8100 + 10 * i);
		end += 8100 + 10 * i;
		*end++ = '\n';
	}
	strcpy(end, V2_MOUNT);
	end[strlen(end) - 1] = '\0';
	put("proc/self/mountinfo", text);
	CHECK(is(limit_of_7(), HEAPSPY_LIMIT_CGROUP_V2, 123456, 0));
	/* Names that are too long, and lines that lack fields. */
	strcpy(text, "0::/");
	memset(text + 4, 'y', 3000);
	strcpy(text + 3004, "\n");
	put("proc/7/cgroup", text);
	CHECK(is(limit_of_7(), HEAPSPY_LIMIT_NONE, 0, 0));
	put("proc/7/cgroup", "\n0\n0:\n0::\n0::x\n:memory:/a\n::/a/b/\n4:memory\n0::/a/b\n");
	put("proc/self/mountinfo",
		"\n1\n1 2\n1 2 3 4 5 6\n1 2 3 / /x rw -\n1 2 3 / /x rw - cgroup2\n"
		"1 2 3 / /x rw - cgroup2 a\n- - - - - - - - -\n" V2_MOUNT);
	CHECK(is(limit_of_7(), HEAPSPY_LIMIT_CGROUP_V2, 123456, 0));
	put("sys/fs/cgroup/a/b/memory.max", "99999999999999999999999\n");
	CHECK(is(limit_of_7(), HEAPSPY_LIMIT_NONE, 0, 0));
}

/* In a child, because it keeps what it takes upon itself. Its exit code: whether found() says so.
 */
static bool in_child(void (*prepare)(const char *), const char *argument,
	bool (*found)(const struct memory_limit *))
{
	int status = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		struct memory_limit_groups groups;
		struct memory_limit_look look;

		prepare(argument);
		memory_limit_find(&work, "", 0, &groups);
		memory_limit_look(&work, &groups, "", 0, true, &look);
		_exit(!found(&look.least));
	}
	waitpid(pid, &status, 0);
	return status == 0;
}

static void limit_address_space(const char *argument)
{
	const struct rlimit limit = { 700u << 20, RLIM_INFINITY };

	setrlimit(RLIMIT_AS, &limit);
}

static bool found_address_space(const struct memory_limit *limit)
{
	return limit->kind == HEAPSPY_LIMIT_AS && limit->limit_bytes == 700u << 20 &&
	       limit->used_bytes > 1u << 20 && limit->used_bytes < 700u << 20;
}

/* A sanitizer's shadow alone is more than any limit. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_SHADOW true
#else
#define HAS_SHADOW false
#endif

static void test_own_address_space(void)
{
	if (HAS_SHADOW)
		printf("# skipped: the sanitizer takes more address space than any limit\n");
	else
		CHECK(in_child(limit_address_space, NULL, found_address_space));
}

static void join(const char *group)
{
	char path[1024];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, "0", 1) != 1)
		_exit(3);
	close(fd);
}

static bool found_group(const struct memory_limit *limit)
{
	return (limit->kind == HEAPSPY_LIMIT_CGROUP_V1 || limit->kind == HEAPSPY_LIMIT_CGROUP_V2) &&
	       limit->limit_bytes == 300u << 20 && limit->used_bytes < 300u << 20;
}

static bool make_group(const char *parent, const char *limit_file, char *group, size_t bytes)
{
	char path[1024];
	bool made;
	int fd;

	snprintf(group, bytes, "%s/heapspy-test-%d", parent, (int)getpid());
	if (mkdir(group, 0700))
		return false;
	snprintf(path, sizeof(path), "%s/%s", group, limit_file);
	fd = open(path, O_WRONLY);
	made = fd >= 0 && write(fd, "314572800", 9) == 9;
	if (fd >= 0)
		close(fd);
	if (!made)
		rmdir(group);
	return made;
}

static void test_own_group(void)
{
	char group[512];

	if (!make_group("/sys/fs/cgroup/memory", "memory.limit_in_bytes", group, sizeof(group)) &&
		!make_group("/sys/fs/cgroup", "memory.max", group, sizeof(group))) {
		printf("# skipped: no memory group can be made here\n");
		return;
	}
	CHECK(in_child(join, group, found_group));
	CHECK(rmdir(group) == 0);
}

int main(void)
{
	char command[128];

	if (!mkdtemp(root)) {
		printf("Bail out! no directory in /tmp\n");
		return 1;
	}
	TAP_RUN(test_none);
	TAP_RUN(test_version_2);
	TAP_RUN(test_version_1_beside_2);
	TAP_RUN(test_parts_of_a_hierarchy);
	TAP_RUN(test_address_space);
	TAP_RUN(test_page_cache);
	TAP_RUN(test_three_answers);
	TAP_RUN(test_odd_files);
	TAP_RUN(test_pipe);
	TAP_RUN(test_own_address_space);
	TAP_RUN(test_own_group);
	snprintf(command, sizeof(command), "rm -rf %s", root);
	CHECK(system(command) == 0);
	return tap_done();
}
