/*
 * doctor_state.c - owns the checks of a profiling under way: whose malloc comes
 * first, how finely it samples, what it lost, who writes its snapshots and where.
 */
#include "analyzer/clock.h"
#include "analyzer/target/doctor.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "analyzer/reasons.h"
#include "analyzer/target/proc.h"
#include "analyzer/units.h"
#include "preload/state/settings.h"

/* Whether somebody outside is writing the snapshots, and speaks. */
static bool has_lease(const struct state_header *state)
{
	return state->lease.pid && state->lease.heartbeat_ns &&
	       clock_ns(CLOCK_MONOTONIC) - state->lease.heartbeat_ns < STATE_LEASE_NS;
}

static void check_writer(struct doctor_report *report, const struct state_header *state)
{
	static const char *const words[] = {
		[WRITER_AUTO] = "the process itself, with a helper thread once it has threads",
		[WRITER_THREAD] = "a helper thread in the process",
		[WRITER_INLINE] = "the sampling thread of the process",
		[WRITER_EXTERNAL] = "nobody but heapspy run and heapspy snapshot",
		[WRITER_OFF] = "nobody",
	};
	struct strbuf every = { 0 };

	if (state->writer == WRITER_OFF) {
		strbuf_add_text(&every, ": HEAPSPY_WRITER=off");
	} else if (state->snapshot_interval_ns) {
		strbuf_add_text(&every, ", every ");
		units_add_duration(&every, (double)state->snapshot_interval_ns);
	} else {
		strbuf_add_text(&every, ", none on time");
	}
	if (has_lease(state))
		doctor_add(report, DOCTOR_OK, "writer", "heapspy, process %u%s", state->lease.pid,
			every.data);
	else if (state->lease.pid)
		doctor_add(report, DOCTOR_NOTE, "writer",
			"heapspy, process %u, has gone silent: the library writes by itself%s",
			state->lease.pid, every.data);
	else
		doctor_add(report,
			state->writer == WRITER_OFF || state->writer == WRITER_EXTERNAL
				? DOCTOR_NOTE
				: DOCTOR_OK,
			"writer", "%s%s",
			state->writer <= WRITER_OFF ? words[state->writer] : "unknown", every.data);
	strbuf_deinit(&every);
}

struct writer {
	bool is_known;
	struct doctor_user user;
	char status[8192];
};

/* The rights of the process that writes the files: heapspy run, or the process itself. */
static void read_writer(uint32_t pid, const struct state_header *state, struct writer *writer)
{
	uint32_t of = has_lease(state) ? state->lease.pid : pid;
	const char *uid, *gid, *groups;
	char path[64];
	FILE *stream;
	size_t n;

	snprintf(path, sizeof(path), "/proc/%u/status", of);
	stream = fopen(path, "re");
	if (!stream)
		return;
	n = fread(writer->status, 1, sizeof(writer->status) - 1, stream);
	fclose(stream);
	writer->status[n] = '\0';
	uid = strstr(writer->status, "\nUid:");
	gid = strstr(writer->status, "\nGid:");
	groups = strstr(writer->status, "\nGroups:");
	/* Real, then effective. */
	writer->is_known = uid && gid && sscanf(uid, "\nUid: %*u %u", &writer->user.uid) == 1 &&
			   sscanf(gid, "\nGid: %*u %u", &writer->user.gid) == 1;
	writer->user.groups = groups ? groups + strlen("\nGroups:") : NULL;
}

/* Where its files go, as this view of the files has it. */
static void check_directory(
	struct doctor_report *report, uint32_t pid, const struct state_header *state)
{
	struct writer writer = { 0 };
	char path[PATH_MAX];

	if (state->dir[0] == '/')
		snprintf(path, sizeof(path), "%s", state->dir);
	else if (state->dir[0])
		snprintf(path, sizeof(path), "%s/%s", state->cwd, state->dir);
	else
		snprintf(path, sizeof(path), "%s/heapspy.%s.%u", state->cwd, state->comm,
			state->pid);
	read_writer(pid, state, &writer);
	if (proc_shares_files(pid))
		doctor_add_directory(
			report, "directory", path, writer.is_known ? &writer.user : NULL);
	else
		doctor_add(report, DOCTOR_NOTE, "directory",
			"%s in a mount namespace of its own: from here /proc/%u/root%s", path, pid,
			path);
}

static void check_losses(struct doctor_report *report, const struct state_header *state)
{
	static const char *const words[HEAPSPY_N_LOSSES] = {
		[HEAPSPY_LOSS_REENTRY] = "sample points inside the library (signal handlers)",
		[HEAPSPY_LOSS_NO_SCRATCH] = "samples of threads without a work area",
		[HEAPSPY_LOSS_STATE_FULL] = "samples that found the state full",
		[HEAPSPY_LOSS_REPLACED] = "blocks freed unseen",
		[HEAPSPY_LOSS_FOLDED] = "stacks shortened for want of room",
		[HEAPSPY_LOSS_MODULES] = "modules beyond the table",
		[HEAPSPY_LOSS_THREAD_SLOTS] = "threads without a slot",
		[HEAPSPY_LOSS_SNAPSHOTS] = "snapshots that could not be written",
		[HEAPSPY_LOSS_DEATHS] = "lifetimes without room",
		[HEAPSPY_LOSS_FORK_CHILDREN] = "children without a state",
		[HEAPSPY_LOSS_CUT_STACKS] = "stacks cut at the depth limit",
		[HEAPSPY_LOSS_BROKEN_STACKS] = "stacks that end in code without unwind tables",
	};
	/* A stack that ends early is a sample all the same: some are normal. */
	uint64_t n_short =
		state->losses[HEAPSPY_LOSS_CUT_STACKS] + state->losses[HEAPSPY_LOSS_BROKEN_STACKS];
	bool is_bad = state->losses[HEAPSPY_LOSS_SNAPSHOTS] != 0;
	bool is_noted = n_short > state->samples / 10;
	struct strbuf text = { 0 }, count = { 0 };
	unsigned i;

	for (i = 0; i < HEAPSPY_N_LOSSES; i++) {
		if (!state->losses[i])
			continue;
		is_noted |= i != HEAPSPY_LOSS_CUT_STACKS && i != HEAPSPY_LOSS_BROKEN_STACKS;
		strbuf_clear(&count);
		units_add_count(&count, state->losses[i]);
		strbuf_addf(&text, "%s%s %s", text.bytes ? ", " : "", count.data,
			words[i] ? words[i] : "of a kind unknown here");
	}
	if (text.bytes)
		doctor_add(report,
			is_bad     ? DOCTOR_BAD
			: is_noted ? DOCTOR_NOTE
				   : DOCTOR_OK,
			"losses", "%s", text.data);
	else
		doctor_add(report, DOCTOR_OK, "losses", "none");
	strbuf_deinit(&text);
	strbuf_deinit(&count);
}

/* "64 KiB since 0:00:01.0: over HEAPSPY_CPU_MAX". */
static void add_level(struct strbuf *out, const struct state_header *state, unsigned level)
{
	units_add_bytes(out, (double)state->interval_bytes * (double)(1ull << level));
	if (state->level_ns[level]) {
		strbuf_add_text(out, " since ");
		units_add_clock(out, state->level_ns[level]);
	}
	strbuf_add_text(out, state->levels_by_cpu >> level & 1 ? ": over HEAPSPY_CPU_MAX"
							       : ": the state was full "
								 "(HEAPSPY_STATE_MAX)");
}

static void check_interval(struct doctor_report *report, const struct state_header *state)
{
	struct strbuf interval = { 0 }, now = { 0 };
	unsigned last = state->level <= HEAPSPY_LEVEL_MAX ? state->level : HEAPSPY_LEVEL_MAX, level;

	units_add_bytes(&interval, (double)state->interval_bytes);
	for (level = 1; level < last; level++)
		if (state->level_ns[level]) {
			add_level(&now, state, level);
			strbuf_add_text(&now, "; ");
		}
	if (last) {
		add_level(&now, state, last);
		doctor_add(report, DOCTOR_NOTE, "interval", "%s at first; %s", interval.data,
			now.data);
	} else {
		doctor_add(report, DOCTOR_OK, "interval", "%s, %llu samples so far", interval.data,
			(unsigned long long)state->samples);
	}
	strbuf_deinit(&interval);
	strbuf_deinit(&now);
}

/* What sampling has taken of one core, and may take. */
static void check_cpu(struct doctor_report *report, const struct state_header *state)
{
	uint64_t age_ns = clock_ns(CLOCK_MONOTONIC) - state->start_ns;
	struct strbuf budget = { 0 };

	if (state->cpu_max_ppm) {
		strbuf_addf(&budget, "sampling may take %g %%", (double)state->cpu_max_ppm / 1e4);
	} else {
		strbuf_add_text(&budget, "no budget");
	}
	/* In a time namespace the clock is another one. */
	if ((int64_t)age_ns > 0)
		doctor_add(report, DOCTOR_OK, "cpu",
			"%.2g %% of one core so far; %s (HEAPSPY_CPU_MAX)",
			100 * (double)state->self_ns / (double)age_ns, budget.data);
	else
		doctor_add(report, DOCTOR_OK, "cpu", "%s (HEAPSPY_CPU_MAX)", budget.data);
	strbuf_deinit(&budget);
}

static void check_sampling(struct doctor_report *report, const struct state_header *state)
{
	struct strbuf used = { 0 }, cap = { 0 };
	bool is_asked_for;

	if (state->flags & HEAPSPY_INFO_NOT_INTERPOSED)
		doctor_add(report, DOCTOR_BAD, "malloc",
			"%s stands before heapspy, which sees nothing: see heapspy help allocators",
			state->front_malloc[0] ? state->front_malloc : "another malloc");
	else
		doctor_add(report, DOCTOR_OK, "malloc", "heapspy's comes first, %s behind it",
			state->next_malloc[0] ? state->next_malloc : "libc");
	if (state->flags & HEAPSPY_INFO_STOPPED)
		doctor_add(report, DOCTOR_NOTE, "sampling",
			"stopped: by HEAPSPY_START=off or heapspy_stop()");
	check_interval(report, state);
	check_cpu(report, state);
	units_add_bytes(&used, (double)state->used_bytes);
	units_add_bytes(&cap, (double)state->max_bytes);
	is_asked_for = state->flags & HEAPSPY_INFO_STATE_PRIVATE && !state->state_errno;
	doctor_add(report, is_asked_for ? DOCTOR_NOTE : DOCTOR_OK, "state", "%s of %s used%s",
		used.data, cap.data,
		is_asked_for ? ", in private memory: nothing of it outlives the process" : "");
	strbuf_deinit(&used);
	strbuf_deinit(&cap);
}

/* The value of a setting as the state has it; false where that tells nothing. */
static bool add_in_force(struct strbuf *out, const struct state_header *state, const char *name)
{
	static const char *const writers[] = {
		[WRITER_AUTO] = "auto",
		[WRITER_THREAD] = "thread",
		[WRITER_INLINE] = "inline",
		[WRITER_EXTERNAL] = "external",
		[WRITER_OFF] = "off",
	};

	if (!strcmp(name, "HEAPSPY_SAMPLE"))
		units_add_bytes(out, (double)state->interval_bytes);
	else if (!strcmp(name, "HEAPSPY_STATE_MAX"))
		units_add_bytes(out, (double)state->max_bytes);
	else if (!strcmp(name, "HEAPSPY_CPU_MAX") && state->cpu_max_ppm)
		strbuf_addf(out, "%g%%", (double)state->cpu_max_ppm / 1e4);
	else if (!strcmp(name, "HEAPSPY_CPU_MAX"))
		strbuf_add_text(out, "off");
	else if (!strcmp(name, "HEAPSPY_NEAR_LIMIT") && state->near_limit_ppm)
		strbuf_addf(out, "%g%%", (double)state->near_limit_ppm / 1e4);
	else if (!strcmp(name, "HEAPSPY_NEAR_LIMIT"))
		strbuf_add_text(out, "off");
	else if (!strcmp(name, "HEAPSPY_KEEP") && state->keep_bytes)
		units_add_bytes(out, (double)state->keep_bytes);
	else if (!strcmp(name, "HEAPSPY_KEEP"))
		strbuf_add_text(out, "off");
	else if (!strcmp(name, "HEAPSPY_INTERVAL") && state->snapshot_interval_ns)
		units_add_duration(out, (double)state->snapshot_interval_ns);
	else if (!strcmp(name, "HEAPSPY_INTERVAL"))
		strbuf_add_char(out, '0');
	else if (!strcmp(name, "HEAPSPY_WRITER") && state->writer <= WRITER_OFF)
		strbuf_add_text(out, writers[state->writer]);
	else if (!strcmp(name, "HEAPSPY_DIR"))
		strbuf_add_text(out, state->dir[0] ? state->dir : "not set");
	else
		return false;
	return true;
}

void doctor_state_settings(struct doctor_report *report, const struct state_header *state)
{
	const char *name, *expected, *standard;
	struct strbuf unknown = { 0 }, value = { 0 };
	unsigned i;

	for (i = 0; settings_describe(i, &name, &expected, &standard); i++) {
		strbuf_clear(&value);
		if (state && add_in_force(&value, state, name))
			doctor_add(report, DOCTOR_OK, "settings", "%s: %s, by its state", name,
				value.data);
		else
			strbuf_addf(&unknown, "%s%s", unknown.bytes ? ", " : "", name);
	}
	doctor_add(report, DOCTOR_NOTE, "settings",
		"%s%scannot be read: the program has overwritten its environment",
		state ? unknown.data : "", state ? " " : "");
	strbuf_deinit(&unknown);
	strbuf_deinit(&value);
}

/* What it could not have as it was asked for. */
static void check_reasons(struct doctor_report *report, const struct state_header *state)
{
	static const struct {
		const char *name;
		enum doctor_level level;
	} checks[REASONS_N] = {
		[REASONS_OF_STATE] = { "state", DOCTOR_NOTE },
		[REASONS_OF_GROWTH] = { "state", DOCTOR_NOTE },
		[REASONS_OF_SECCOMP] = { "seccomp", DOCTOR_NOTE },
		[REASONS_OF_HELPER] = { "writer", DOCTOR_NOTE },
		[REASONS_OF_SNAPSHOTS] = { "snapshots", DOCTOR_BAD },
	};
	struct reasons reasons = reasons_of_state(state);
	struct strbuf text = { 0 };
	unsigned what;

	for (what = 0; what < REASONS_N; what++) {
		strbuf_clear(&text);
		if (reasons_add(&text, &reasons, what))
			doctor_add(report, checks[what].level, checks[what].name, "%s", text.data);
	}
	strbuf_deinit(&text);
}

void doctor_state(struct doctor_report *report, uint32_t pid, const struct state_header *state)
{
	check_sampling(report, state);
	check_reasons(report, state);
	check_losses(report, state);
	check_writer(report, state);
	check_directory(report, pid, state);
}
