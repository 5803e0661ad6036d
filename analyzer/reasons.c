/* reasons.c - owns the words for error numbers of a profiling, and what can be done about each. */
#include "analyzer/reasons.h"

#include <errno.h>
#include <string.h>

#include "analyzer/units.h"

struct reasons reasons_of_info(const struct heapspy_info *info)
{
	return (struct reasons){ info->flags, info->state_errno, info->grow_errno,
		info->helper_errno, info->snapshot_errno, info->losses[HEAPSPY_LOSS_SNAPSHOTS] };
}

struct reasons reasons_of_state(const struct state_header *state)
{
	return (struct reasons){ state->flags, state->state_errno, state->grow_errno,
		state->helper_errno, state->snapshot_errno, state->losses[HEAPSPY_LOSS_SNAPSHOTS] };
}

/* A number out of a file may be any. */
static const char *text_of(uint32_t error)
{
	switch (error) {
	case EMEDIUMTYPE:
		return "not on tmpfs";
	case EFBIG:
		return "over the limit on the size of files";
	default:
		return error < 4096 ? strerror((int)error) : "of a kind unknown here";
	}
}

/* What makes room for files in a place called where. */
static void add_advice(struct strbuf *out, uint32_t error, const char *where, const char *variable)
{
	switch (error) {
	case ENOSPC:
	case EDQUOT:
		strbuf_addf(out, "make room in %s, or name another by %s", where, variable);
		break;
	case EFBIG:
		strbuf_add_text(
			out, "raise the limit on the size of files (ulimit -f, LimitFSIZE)");
		break;
	case EMFILE:
	case ENFILE:
		strbuf_add_text(out, "raise the limit on open files (ulimit -n, LimitNOFILE)");
		break;
	case ENOMEM:
	case EAGAIN:
		strbuf_add_text(out,
			"raise the limit on its memory (ulimit -v, -d or -l, or that of "
			"its group)");
		break;
	case EUCLEAN:
		strbuf_add_text(out, "the program has overwritten its state; look for wild stores");
		break;
	default:
		strbuf_addf(out, "name a directory that can be written by %s", variable);
	}
}

static void add_state(struct strbuf *out, const struct reasons *r)
{
	strbuf_addf(out,
		"no state file (%s), so the state is in private memory and nothing of it outlives "
		"the process; ",
		text_of(r->state_errno));
	if (r->state_errno == EMEDIUMTYPE)
		strbuf_add_text(out, "name a directory on tmpfs by HEAPSPY_STATE");
	else
		add_advice(out, r->state_errno, "the state directory", "HEAPSPY_STATE");
}

static void add_snapshots(struct strbuf *out, const struct reasons *r)
{
	units_add_count(out, r->n_lost_snapshots);
	strbuf_addf(out, " snapshot%s could not be written", r->n_lost_snapshots == 1 ? "" : "s");
	if (!r->snapshot_errno)
		return;
	strbuf_addf(out, " (%s%s); ",
		r->n_lost_snapshots == 1 ? "" : "the last: ", text_of(r->snapshot_errno));
	add_advice(out, r->snapshot_errno, "their directory", "HEAPSPY_DIR");
}

bool reasons_add(struct strbuf *out, const struct reasons *r, enum reasons_of what)
{
	switch (what) {
	case REASONS_OF_STATE:
		if (!r->state_errno)
			return false;
		add_state(out, r);
		return true;
	case REASONS_OF_GROWTH:
		if (!r->grow_errno)
			return false;
		strbuf_addf(out,
			"the state could not grow (%s), so sampling is coarser or stacks are "
			"shorter than asked for; ",
			text_of(r->grow_errno));
		add_advice(out, r->grow_errno, "the state directory", "HEAPSPY_STATE");
		return true;
	case REASONS_OF_SECCOMP:
		if (!(r->flags & HEAPSPY_INFO_SECCOMP))
			return false;
		strbuf_add_text(out,
			"the program set a filter of system calls, and the library makes none "
			"since "
			"then: the state cannot grow, and snapshots come from heapspy run or "
			"heapspy snapshot only");
		return true;
	case REASONS_OF_HELPER:
		if (!r->helper_errno)
			return false;
		strbuf_addf(out,
			"no thread of heapspy's could be made or kept (%s), so the program's "
			"threads write the snapshots, when they allocate; raise the limit on "
			"threads (ulimit -u, TasksMax), or start it with heapspy run",
			r->helper_errno == EAGAIN ? "no more threads are allowed"
						  : text_of(r->helper_errno));
		return true;
	case REASONS_OF_SNAPSHOTS:
		if (!r->n_lost_snapshots)
			return false;
		add_snapshots(out, r);
		return true;
	default:
		return false;
	}
}
