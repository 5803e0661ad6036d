/*
 * recover.c - owns the order of things: snapshot, proof, removal. Which states there
 * are is dead_states.c's business, what a snapshot of one says, live_state.c's.
 */
#include "analyzer/recover/recover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "analyzer/read/snapshot_reader.h"
#include "analyzer/stats/estimate.h"

static void settle_place(struct live_state *live, const struct recover_how *how)
{
	if (how->dir)
		live_state_set_place(live, how->dir, true);
	else
		live_state_doubt_places(live);
}

static void add_up(struct recovered *r, const struct snapshot *snapshot)
{
	const struct heapspy_info *info = &snapshot->info;
	uint64_t interval_bytes = info->interval_bytes << snapshot->level;
	struct aggregate sum = { 0 };
	size_t i;

	for (i = 0; i < snapshot->n_samples; i++) {
		const struct heapspy_sample *s = &snapshot->samples[i];
		struct estimate_sample sample = { HEAPSPY_SAMPLE_SIZE(s),
			info->interval_bytes << HEAPSPY_SAMPLE_BIRTH_LEVEL(s), s->u };

		estimate_add_sample(&sum, &sample, interval_bytes, info->variance_unit_log2);
	}
	r->info = *info;
	r->live_bytes = sum.bytes;
	r->live_range = interval_of_bytes(&sum, interval_bytes, INTERVAL_Z95);
	r->is_told = true;
}

/* So that what is removed after it is not all there was. */
static int hand_to_disk(const char *path, struct fail *f)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), failed;

	failed = fd < 0 || fsync(fd);
	if (failed && errno != EINVAL) /* a file system that knows no such thing */
		fail_set(f, EXIT_CODE_OTHER, "'%s' did not reach the disk: %s", path,
			strerror(errno));
	else
		failed = 0;
	if (fd >= 0)
		close(fd);
	return failed ? -1 : 0;
}

/* What its process was in the middle of writing when it died. */
static void remove_half_file(const struct live_state_written *written, uint32_t pid)
{
	char path[sizeof(written->path) + 32];
	const char *slash = strrchr(written->path, '/');
	struct stat st;

	snprintf(path, sizeof(path), "%.*s/.%u.tmp", slash ? (int)(slash - written->path) : 0,
		written->path, pid);
	if (slash && !lstat(path, &st) && S_ISREG(st.st_mode) && st.st_uid == geteuid())
		unlink(path);
}

static void look_at(struct live_state *live, struct recovered *out)
{
	struct snapshot *snapshot = NULL;
	bool ended;

	if (live_state_read(live, &snapshot, &ended, &out->f) == 0)
		add_up(out, snapshot);
	snapshot_free(snapshot);
}

static void write_out(struct live_state *live, const struct recover_how *how, struct recovered *out)
{
	struct snapshot *snapshot = NULL;

	settle_place(live, how);
	if (live_state_write(live, HEAPSPY_REASON_RECOVERED, NULL, NULL, &out->written, &out->f) <
		0)
		return;
	out->is_elsewhere = !how->dir && !live_state_has_place(live);
	if (snapshot_read(out->written.path, 0, &snapshot, &out->f) == 0) {
		add_up(out, snapshot);
		out->is_written = hand_to_disk(out->written.path, &out->f) == 0;
	}
	snapshot_free(snapshot);
	if (out->is_written && !how->dir && !out->is_elsewhere)
		remove_half_file(&out->written, out->state.pid);
}

static void tell(int dir_fd, const struct recover_how *how, struct recovered *out)
{
	struct live_state *live;
	int ret = live_state_open_dead(dir_fd, out->state.name, &live);

	if (ret < 0) {
		fail_set(&out->f, EXIT_CODE_INPUT, "'%s' cannot be read: %s", out->file,
			strerror(-ret));
		return;
	}
	if (how->dry_run)
		look_at(live, out);
	else
		write_out(live, how, out);
	live_state_close(live);
	/* Its own words are about a process, which is no more. */
	if (out->f.exit_code == EXIT_CODE_INPUT) {
		out->state.kind = DEAD_STATE_DAMAGED;
		snprintf(out->state.reason, sizeof(out->state.reason), "its tables are damaged");
	}
}

static void deal_with(int dir_fd, const struct dead_state *state, const struct recover_how *how,
	struct recovered *out)
{
	bool goes;

	if (state->kind == DEAD_STATE_TELLS)
		tell(dir_fd, how, out);
	if (out->state.kind == DEAD_STATE_DAMAGED)
		fail_set(&out->f, EXIT_CODE_INPUT, "'%s' %s%s", out->file, out->state.reason,
			how->remove_damaged || how->dry_run || !state->has_name
				? ""
				: "; heapspy recover --remove-damaged removes it");
	switch (out->state.kind) {
	case DEAD_STATE_TELLS:
		goes = out->is_written && !how->keep;
		break;
	case DEAD_STATE_EMPTY:
	case DEAD_STATE_TOLD:
	case DEAD_STATE_UNFINISHED:
		goes = !how->keep;
		break;
	case DEAD_STATE_DAMAGED:
		goes = how->remove_damaged;
		break;
	default:
		goes = false;
	}
	if (!goes || how->dry_run || !state->has_name)
		return;
	out->is_removed = dead_states_remove(dir_fd, state);
	if (!out->is_removed && !out->f.exit_code)
		fail_set(&out->f, EXIT_CODE_OTHER, "'%s' cannot be removed: %s", out->file,
			strerror(errno));
}

void recover_one(int dir_fd, const char *dir, const struct dead_state *state,
	const struct recover_how *how, struct recovered *out)
{
	int claim = -1;

	memset(out, 0, sizeof(*out));
	out->state = *state;
	snprintf(out->file, sizeof(out->file), "%s/%s", dir, state->name);
	if (dead_state_is_left(state) && state->device && !how->dry_run)
		claim = dead_states_claim(dir_fd, state);
	if (claim == -ENOENT) {
		out->state.kind = DEAD_STATE_NONE;
	} else if (claim == -EBUSY) {
		out->state.kind = DEAD_STATE_UNCLEAR;
		snprintf(out->state.reason, sizeof(out->state.reason),
			"is another heapspy recover's at this moment");
	} else {
		deal_with(dir_fd, state, how, out);
	}
	if (claim >= 0)
		close(claim);
}
