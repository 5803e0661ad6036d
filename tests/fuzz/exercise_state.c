/*
 * exercise_state.c - owns the file that is damaged, and the damage. It lies in $TMPDIR or
 * /dev/shm and has a name only while it is opened.
 *
 * Linked with --wrap=state_source_read, so that the damage can go on while it is read.
 */
#undef NDEBUG
#include "tests/fuzz/exercise_state.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "analyzer/target/live_state.h"
#include "analyzer/target/state_source.h"
#include "tests/fuzz/exercise.h"
#include "tests/fuzz/state_seed.h"

#define N_SAMPLES      20
#define FILE_BYTES_MAX (1u << 20)

/* What is still to be done to the file. */
static struct damage {
	const uint8_t *at, *end;
	unsigned reads; /* until then */
} damage;

static struct state_header *seed;
static uint32_t first_stack;
static int fd = -1;

bool __wrap_state_source_read(
	const struct state_source *source, uint64_t offset, void *out, size_t bytes);
bool __real_state_source_read(
	const struct state_source *source, uint64_t offset, void *out, size_t bytes);

/* The next number of n bytes; what is not there is 0. */
static uint32_t take(unsigned n)
{
	uint32_t value = 0;
	unsigned i;

	for (i = 0; i < n && damage.at < damage.end; i++)
		value |= (uint32_t)*damage.at++ << 8 * i;
	return value;
}

static void write_at(uint64_t offset, const void *data, size_t bytes)
{
	struct stat st;

	assert(!fstat(fd, &st));
	if (offset >= (uint64_t)st.st_size)
		return;
	if (bytes > (uint64_t)st.st_size - offset)
		bytes = (uint64_t)st.st_size - offset;
	assert(pwrite(fd, data, bytes, (off_t)offset) == (ssize_t)bytes);
}

static void write_taken(uint64_t offset)
{
	size_t n = take(1), left = (size_t)(damage.end - damage.at);

	n = n < left ? n : left;
	write_at(offset, damage.at, n);
	damage.at += n;
}

static const struct state_chunk *take_table(void)
{
	return &seed->chunk[take(1) % seed->n_chunks];
}

static void fill(uint64_t offset)
{
	uint8_t noise[4096];
	size_t n = take(2) % sizeof(noise);

	memset(noise, (int)take(1), n);
	write_at(offset, noise, n);
}

/* Does what comes until the next pause. */
static void go_on(void)
{
	while (damage.at < damage.end && !damage.reads) {
		const struct state_chunk *table;
		uint64_t offset, word;

		switch (*damage.at++ % 8) {
		case 0:
			write_taken(take(3) % seed->committed_bytes);
			break;
		case 1:
			write_taken(take(2) % sizeof(*seed));
			break;
		case 2:
			table = take_table();
			write_taken(table->offset + take(2) % table->bytes);
			break;
		case 3:
			offset = first_stack * STATE_ALIGN + take(1) * 16ull;
			write_taken(offset + take(1));
			break;
		case 4:
			fill(take(3) % seed->committed_bytes);
			break;
		case 5:
			assert(!ftruncate(fd, take(3) % FILE_BYTES_MAX));
			break;
		case 6:
			table = take_table();
			offset = table->offset + take(1) * 8 % table->bytes;
			memcpy(&word, (char *)seed + offset, sizeof(word));
			word += (uint64_t)(int8_t)take(1);
			write_at(offset, &word, sizeof(word));
			break;
		default:
			damage.reads = 1 + take(1) % 64;
		}
	}
}

bool __wrap_state_source_read(
	const struct state_source *source, uint64_t offset, void *out, size_t bytes)
{
	if (damage.reads && !--damage.reads)
		go_on();
	return __real_state_source_read(source, offset, out, bytes);
}

static void make_seed(void)
{
	const uint64_t *slots;
	uint32_t i;
	uint64_t k;

	/* Nothing of the user's, and no names of functions. */
	setenv("HEAPSPY_CACHE", "off", 1);
	seed = state_seed(FILE_BYTES_MAX, N_SAMPLES);
	for (i = 0; i < seed->n_chunks; i++) {
		if (seed->chunk[i].kind != STATE_CHUNK_INDEX)
			continue;
		slots = (const void *)((const char *)seed + seed->chunk[i].offset);
		for (k = 0; k < seed->chunk[i].bytes / sizeof(*slots); k++)
			if (slots[k] && (!first_stack || (uint32_t)slots[k] < first_stack))
				first_stack = (uint32_t)slots[k];
	}
	assert(first_stack);
}

/* A file with the sound state, which nobody but *pathp leads to. */
static void make_file(unsigned flags, char *path, size_t path_bytes)
{
	const char *dir = getenv("TMPDIR");
	size_t bytes = seed->committed_bytes;

	snprintf(path, path_bytes, "%s/heapspy-fuzz.%d", dir ? dir : "/dev/shm", (int)getpid());
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert(fd >= 0);
	if (flags & EXERCISE_STATE_EMPTY) {
		assert(pwrite(fd, seed, sizeof(*seed), 0) == sizeof(*seed));
		assert(!posix_fallocate(fd, 0, (off_t)bytes));
	} else {
		assert(pwrite(fd, seed, bytes, 0) == (ssize_t)bytes);
	}
}

/* Whose state it is, is not left to the input: others would be looked for in all of /proc. */
static void set_owner(unsigned flags)
{
	uint64_t start_ticks = seed->start_ticks + !(flags & EXERCISE_STATE_ALIVE);
	struct state_lease lease = { .pid = (uint32_t)getpid() };
	uint32_t pid = (uint32_t)getpid();

	write_at(offsetof(struct state_header, pid), &pid, sizeof(pid));
	write_at(offsetof(struct state_header, start_ticks), &start_ticks, sizeof(start_ticks));
	write_at(offsetof(struct state_header, lease), &lease, sizeof(lease));
}

static void check_refusal(const struct fail *f)
{
	if (f->exit_code == EXIT_CODE_INPUT && f->text[0] && !strchr(f->text, '\n'))
		return;
	printf("# exit %d: %s\n", f->exit_code, f->text);
	abort();
}

/* As heapspy snapshot and heapspy recover: into a file, which is then read. */
static bool write_and_read(struct live_state *live, const char *path, bool print)
{
	struct live_state_written written;
	char name[300], label[] = "fuzz";
	enum exercise_result result = EXERCISE_USED;
	struct snapshot *snapshot;
	struct fail f = { 0 };
	struct stat st;
	uint8_t *data;
	int file;

	snprintf(name, sizeof(name), "%s.hspy", path);
	if (live_state_write(live, HEAPSPY_REASON_REQUEST, label, name, &written, &f) < 0) {
		check_refusal(&f);
		assert(access(name, F_OK));
		return false;
	}
	file = open(name, O_RDONLY | O_CLOEXEC);
	assert(file >= 0 && !fstat(file, &st) && st.st_size == (off_t)written.bytes &&
		(st.st_mode & 07777) == 0600);
	unlink(name);
	data = malloc(written.bytes);
	assert(read(file, data, written.bytes) == (ssize_t)written.bytes);
	close(file);
	/* The first, of the sound state, is what all others are compared with. */
	if (print) {
		result = exercise_snapshot(data, written.bytes, data, written.bytes);
	} else if (snapshot_decode(data, written.bytes, name, 0, &snapshot, &f) == 0) {
		snapshot_free(snapshot);
	} else {
		check_refusal(&f);
		result = EXERCISE_REFUSED;
	}
	free(data);
	assert(result != EXERCISE_WRONG);
	return result == EXERCISE_USED;
}

/* As heapspy live: twice, with the memory of the first time. */
static void read_twice(struct live_state *live)
{
	struct snapshot *snapshot;
	struct fail f = { 0 };
	bool ended;
	unsigned i;

	for (i = 0; i < 2; i++) {
		if (live_state_read(live, &snapshot, &ended, &f) < 0) {
			check_refusal(&f);
			return;
		}
		snapshot_free(snapshot);
	}
}

bool exercise_state(const uint8_t *data, size_t bytes)
{
	static const uint8_t print = EXERCISE_STATE_PRINT;
	unsigned flags = bytes ? data[0] : 0;
	struct live_state *live = NULL;
	bool is_good = false;
	char path[200];
	int ret;

	if (!seed) {
		make_seed();
		assert(exercise_state(&print, 1));
	}
	make_file(flags, path, sizeof(path));
	damage = bytes ? (struct damage){ data + 1, data + bytes, 0 } : (struct damage){ 0 };
	go_on();
	set_owner(flags);
	ret = live_state_open_file(AT_FDCWD, path, true, &live);
	unlink(path);
	if (ret < 0) {
		assert(ret == -EAGAIN || ret == -EINVAL);
	} else {
		live_state_hold_lease(live, 1, 2);
		is_good = write_and_read(
			live, path, (flags & EXERCISE_STATE_PRINT) == EXERCISE_STATE_PRINT);
		read_twice(live);
		live_state_close(live);
	}
	close(fd);
	return is_good;
}
