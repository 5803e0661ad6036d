/*
 * snapshot_keep.c - owns which snapshots of a process are removed for want of disk
 * budget, and the looks at files that it takes. How a snapshot gets into its place
 * is snapshot_file.c's business.
 *
 * A file is removed only after a look into it: regular, of our own user, and with
 * the start_id of the process in its INFO. All of that through a descriptor
 * of the directory, without following links.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include "heapspy/snapshot.h"
#include "preload/log.h"
#include "preload/rawsys.h"
#include "preload/state/snapshot_keep.h"
#include "snapshot_codec.h"

#define STEPS_MAX     4096 /* a call; of numbers that are missing each takes a microsecond */
#define ENTRIES_BYTES (32u << 10)
#define SMALLEST      3 /* the first and the fullest may be among them */

/* A file that is not ours to remove: no errno of a system call that we make. */
#define NOT_OURS EILSEQ

/* What a look into a file tells. */
struct look {
	uint64_t bytes, live_bytes;
	uint32_t n_pruned;
	bool is_marked;
};

struct work {
	struct heapspy_file_header header;
	struct heapspy_section table[HEAPSPY_SECTIONS_MAX];
	struct heapspy_info info;
	uint32_t smallest[SNAPSHOT_KEEP_LEVELS][SMALLEST]; /* by level, ascending; 0: none */
	char entries[ENTRIES_BYTES];
};

_Static_assert(sizeof(struct work) <= SNAPSHOT_KEEP_WORK_BYTES, "it lies in there");

void snapshot_keep_name(uint32_t number, char out[SNAPSHOT_KEEP_NAME_BYTES])
{
	char digits[10];
	unsigned n = 0, i = 0;

	while (number || n < 6) {
		digits[n++] = (char)('0' + number % 10);
		number /= 10;
	}
	while (n)
		out[i++] = digits[--n];
	memcpy(out + i, ".hspy", sizeof(".hspy"));
}

/* The number of a name as snapshot_keep_name() makes them; 0: it is none. */
static uint32_t number_of(const char *name)
{
	char canonical[SNAPSHOT_KEEP_NAME_BYTES];
	uint64_t number = 0;
	unsigned i;

	for (i = 0; i < 10 && name[i] >= '0' && name[i] <= '9'; i++)
		number = number * 10 + (uint64_t)(name[i] - '0');
	if (!number || number > SNAPSHOT_KEEP_NUMBER_MAX)
		return 0;
	snapshot_keep_name((uint32_t)number, canonical);
	return strcmp(name, canonical) ? 0 : (uint32_t)number;
}

static unsigned level_of(uint32_t number)
{
	return (unsigned)__builtin_ctz(number);
}

uint32_t snapshot_keep_next(const struct snapshot_keep *keep)
{
	uint64_t largest = 0;
	uint32_t next = 0;
	unsigned level;

	for (level = 0; level < SNAPSHOT_KEEP_LEVELS; level++) {
		uint32_t oldest = keep->oldest[level];
		uint64_t age;

		if (!oldest || oldest > keep->last)
			continue;
		/* 32 binary places, so that the division by 2^level loses nothing that matters. */
		age = (uint64_t)(keep->last - oldest + 1) << 32 >> level;
		if (age > largest) {
			largest = age;
			next = oldest;
		}
	}
	return next;
}

void snapshot_keep_pass(struct snapshot_keep *keep, uint32_t number)
{
	unsigned level = level_of(number);

	if (number == keep->oldest[level]) /* below 2^32, as numbers are below 2^31 */
		keep->oldest[level] = number + (2u << level);
}

/* The first number of a level above another number. */
static uint32_t above(uint32_t number, unsigned level)
{
	uint32_t step = 2u << level, of_level = number / step * step + step / 2;

	return of_level > number ? of_level : of_level + step;
}

/* Returns 0, or why not as -errno; -NOT_OURS. */
static long look_at(
	int dir_fd, const char *name, uint64_t start_id, struct work *work, struct look *look)
{
	struct heapspy_info *info = &work->info;
	const struct heapspy_section *section;
	struct stat st;
	long fd, n, ret = -NOT_OURS;

	fd = rawsys(SYS_openat, dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return fd == -ELOOP || fd == -EACCES || fd == -ENXIO ? -NOT_OURS : fd;
	if (rawsys(SYS_fstat, fd, &st) < 0 || !S_ISREG(st.st_mode) ||
		st.st_uid != (uid_t)rawsys(SYS_geteuid, 0))
		goto out;
	n = rawsys(SYS_pread64, fd, &work->header, sizeof(work->header) + sizeof(work->table), 0);
	if (n < (long)sizeof(work->header) ||
		memcmp(work->header.magic, HEAPSPY_MAGIC, HEAPSPY_MAGIC_BYTES) != 0)
		goto out;
	n = (n - (long)sizeof(work->header)) / (long)sizeof(*section);
	for (section = work->table; n > 0 && section->kind != HEAPSPY_SECTION_INFO; section++)
		n--;
	if (n <= 0 || section->offset > INT64_MAX)
		goto out;
	memset(info, 0, sizeof(*info));
	n = section->bytes < sizeof(*info) ? (long)section->bytes : (long)sizeof(*info);
	if (n < HEAPSPY_INFO_BYTES_MIN || rawsys(SYS_pread64, fd, info, n, section->offset) != n ||
		info->start_id != start_id)
		goto out;
	look->bytes = (uint64_t)st.st_size;
	look->live_bytes = info->live_bytes;
	look->n_pruned = info->n_pruned;
	look->is_marked = info->label || info->reason == HEAPSPY_REASON_LABEL ||
			  info->reason == HEAPSPY_REASON_LIMIT ||
			  info->reason == HEAPSPY_REASON_EXIT ||
			  info->reason == HEAPSPY_REASON_RECOVERED;
	ret = 0;
out:
	rawsys(SYS_close, fd);
	return ret;
}

/* Takes a file into the sums; number is its own, and the last. */
static void account(struct snapshot_keep *keep, uint32_t number, const struct look *look)
{
	keep->total_bytes += look->bytes;
	if (look->is_marked)
		keep->marked_bytes += look->bytes;
	if (number == keep->last)
		keep->last_bytes = look->bytes;
	if (!keep->first || number < keep->first)
		keep->first = number;
	if (!keep->fullest || look->live_bytes > keep->fullest_live_bytes ||
		(look->live_bytes == keep->fullest_live_bytes && number < keep->fullest)) {
		/* Its turn may be over: then it has been passed by, and will not come again. */
		if (keep->fullest && keep->fullest != keep->first &&
			keep->fullest < keep->oldest[level_of(keep->fullest)])
			keep->demoted = keep->fullest;
		keep->fullest = number;
		keep->fullest_live_bytes = look->live_bytes;
	}
}

/* Puts number among the smallest of its level. */
static void note_smallest(struct work *work, uint32_t number)
{
	uint32_t *smallest = work->smallest[level_of(number)], larger;
	unsigned i;

	for (i = 0; i < SMALLEST && number; i++)
		if (!smallest[i] || number < smallest[i]) {
			larger = smallest[i];
			smallest[i] = number;
			number = larger;
		}
}

/* What listings are for. */
struct listing {
	struct snapshot_keep *keep;
	const struct snapshot_keep_place *place;
	bool marked_stay;
	uint32_t newest; /* of ours */
};

static void list_entry(struct listing *listing, int dir_fd, const char *name, uint32_t number)
{
	const struct snapshot_keep_place *place = listing->place;
	struct snapshot_keep *keep = listing->keep;
	struct look look;

	if (number > keep->last)
		keep->last = number;
	keep->n_names++;
	if (look_at(dir_fd, name, place->start_id, place->work, &look))
		return;
	account(keep, number, &look);
	if (number > listing->newest) { /* each one counts what was removed before it */
		listing->newest = number;
		if (look.n_pruned > keep->n_pruned)
			keep->n_pruned = look.n_pruned;
	}
	if (!listing->marked_stay || !look.is_marked)
		note_smallest(place->work, number);
}

/* Passes each file with a number for a name; false if the directory cannot be read. */
static bool for_each(const struct snapshot_keep_place *place, struct listing *listing,
	void (*pass)(struct listing *listing, int dir_fd, const char *name, uint32_t number))
{
	struct work *work = place->work;
	uint16_t length;
	long fd, n, at;

	fd = rawsys(SYS_open, place->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return false;
	while ((n = rawsys(SYS_getdents64, fd, work->entries, sizeof(work->entries))) > 0)
		/* struct linux_dirent64: ino 8, off 8, reclen 2, type 1, name. */
		for (at = 0; at < n; at += length) {
			const char *name = work->entries + at + 19;
			uint32_t number = number_of(name);

			memcpy(&length, work->entries + at + 16, sizeof(length));
			if (number)
				pass(listing, (int)fd, name, number);
		}
	rawsys(SYS_close, fd);
	return true;
}

static bool list_with(
	struct snapshot_keep *keep, const struct snapshot_keep_place *place, bool marked_stay)
{
	struct listing listing = { keep, place, marked_stay, 0 };
	struct work *work = place->work;

	keep->total_bytes = keep->marked_bytes = keep->fullest_live_bytes = 0;
	keep->first = keep->fullest = keep->demoted = keep->n_names = 0;
	memset(keep->oldest, 0, sizeof(keep->oldest)); /* nothing has been passed by */
	memset(work->smallest, 0, sizeof(work->smallest));
	return for_each(place, &listing, list_entry);
}

static void list(struct snapshot_keep *keep, const struct snapshot_keep_place *place)
{
	struct work *work = place->work;
	unsigned level, i;

	if (list_with(keep, place, true) && place->budget_bytes &&
		keep->marked_bytes > place->budget_bytes / 2)
		list_with(keep, place, false);
	for (level = 0; level < SNAPSHOT_KEEP_LEVELS; level++) {
		keep->oldest[level] = above(keep->last, level);
		for (i = SMALLEST; i-- > 0;) {
			uint32_t number = work->smallest[level][i];

			if (number && number != keep->first && number != keep->fullest)
				keep->oldest[level] = number;
		}
	}
}

static void count_entry(struct listing *listing, int dir_fd, const char *name, uint32_t number)
{
	listing->keep->n_names++;
	if (number > listing->keep->last)
		listing->keep->last = number;
}

static uint64_t time_of_change(const char *dir)
{
	struct stat st;

	return rawsys(SYS_stat, dir, &st) < 0
		       ? 0
		       : (uint64_t)st.st_mtim.tv_sec * 1000000000 + (uint64_t)st.st_mtim.tv_nsec;
}

/*
 * Whether files with a number have come or gone by the hands of others. A directory changes for
 * much else, of a server that makes children all the time: counting names is cheap.
 */
static bool has_changed(const struct snapshot_keep *keep, const struct snapshot_keep_place *place)
{
	struct snapshot_keep now = { 0 };
	struct listing listing = { &now, place, true, 0 };

	return time_of_change(place->dir) != keep->changed_ns &&
	       (!for_each(place, &listing, count_entry) || now.n_names != keep->n_names ||
		       now.last != keep->last);
}

void snapshot_keep_begin(struct snapshot_keep *keep, const struct snapshot_keep_place *place)
{
	uint64_t name = codec_checksum((const uint8_t *)place->dir, strlen(place->dir));

	if (keep->start_id == place->start_id && keep->place == name && !has_changed(keep, place))
		return;
	/* Of another directory the numbers go on: order by number is order in time. */
	if (keep->start_id != place->start_id)
		memset(keep, 0, sizeof(*keep));
	keep->start_id = place->start_id;
	keep->place = name;
	list(keep, place);
}

/* A file may have grown since it was counted. */
static void take_from(uint64_t *sump, uint64_t bytes)
{
	*sump -= bytes < *sump ? bytes : *sump;
}

static bool stays(const struct snapshot_keep *keep, const struct snapshot_keep_place *place,
	uint32_t number, const struct look *look)
{
	return number == keep->first || number == keep->fullest ||
	       (look->is_marked && keep->marked_bytes <= place->budget_bytes / 2);
}

/* Looks at the file whose turn it is, and removes it if nothing protects it. -errno: stop. */
static long take_turn(struct snapshot_keep *keep, const struct snapshot_keep_place *place,
	int dir_fd, uint32_t number)
{
	char name[SNAPSHOT_KEEP_NAME_BYTES];
	struct look look;
	long ret;

	snapshot_keep_name(number, name);
	ret = look_at(dir_fd, name, place->start_id, place->work, &look);
	if (ret && ret != -ENOENT && ret != -NOT_OURS)
		return ret;
	if (!ret && !stays(keep, place, number, &look)) {
		ret = rawsys(SYS_unlinkat, dir_fd, name, 0);
		if (ret < 0 && ret != -ENOENT)
			return ret;
		take_from(&keep->total_bytes, look.bytes);
		if (look.is_marked)
			take_from(&keep->marked_bytes, look.bytes);
		keep->n_pruned++;
		keep->n_names--;
	}
	if (number == keep->demoted)
		keep->demoted = 0;
	else
		snapshot_keep_pass(keep, number);
	return 0;
}

static bool is_over(
	const struct snapshot_keep *keep, const struct snapshot_keep_place *place, uint64_t bytes)
{
	return keep->total_bytes + bytes > place->budget_bytes;
}

bool snapshot_keep_make_room(
	struct snapshot_keep *keep, const struct snapshot_keep_place *place, uint64_t bytes)
{
	uint32_t number = 1, n_pruned = keep->n_pruned;
	unsigned steps;
	long fd, ret = 0;

	if (!place->budget_bytes || !is_over(keep, place, bytes))
		return false;
	fd = rawsys(SYS_open, place->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return false;
	for (steps = 0; steps < 2 * STEPS_MAX && !ret && is_over(keep, place, bytes); steps++) {
		/* Numbers that lie far apart: a listing finds those that there are. */
		if (steps == STEPS_MAX)
			list(keep, place);
		number = keep->demoted ? keep->demoted : snapshot_keep_next(keep);
		if (!number)
			break;
		ret = take_turn(keep, place, (int)fd, number);
	}
	rawsys(SYS_close, fd);
	if (!number && !keep->said) {
		keep->said = true;
		log_verbose("HEAPSPY_KEEP of %lu bytes is too small for the first, the fullest and "
			    "the last snapshot in %s: these stay",
			place->budget_bytes, place->dir);
	}
	return keep->n_pruned != n_pruned;
}

void snapshot_keep_add(
	struct snapshot_keep *keep, const struct snapshot_keep_place *place, uint32_t number)
{
	char name[SNAPSHOT_KEEP_NAME_BYTES];
	unsigned level;
	struct look look;
	long fd;

	keep->last = number;
	keep->n_names++;
	/* Before the first there is nothing whose turn could come. */
	for (level = 0; !keep->first && level < SNAPSHOT_KEEP_LEVELS; level++)
		keep->oldest[level] = above(number, level);
	fd = rawsys(SYS_open, place->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	snapshot_keep_name(number, name);
	if (!look_at((int)fd, name, place->start_id, place->work, &look))
		account(keep, number, &look);
	rawsys(SYS_close, fd);
	keep->changed_ns = time_of_change(place->dir);
}
