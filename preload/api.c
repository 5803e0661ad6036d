/* api.c - owns the functions behind include/heapspy/heapspy.h. */
#include "heapspy/heapspy.h"
#include "preload/atomics.h"
#include "preload/compiler.h"
#include "preload/lifecycle.h"
#include "preload/process.h"
#include "preload/thread_state.h"
#include "preload/writer.h"

/* A forked child has none before its first sample; who asks for something wants it now. */
static struct state_header *state_or_make(void)
{
	if (!process_state())
		lifecycle_make_state();
	return process_state();
}

static int set_stopped(int stopped)
{
	struct state_header *state = state_or_make();

	if (!state)
		return 0;
	if (stopped)
		__atomic_fetch_or(&state->flags, HEAPSPY_INFO_STOPPED, __ATOMIC_RELAXED);
	else
		__atomic_fetch_and(&state->flags, ~HEAPSPY_INFO_STOPPED, __ATOMIC_RELAXED);
	return 1;
}

HS_EXPORT int heapspy_snapshot_v1(const char *label)
{
	state_or_make();
	return writer_snapshot(label);
}

HS_EXPORT int heapspy_start_v1(void)
{
	int done = set_stopped(0);

	/* Ends the pause of this thread: its next allocation draws a gap. */
	if (done && hs_thread.flags & THREAD_IDLE)
		hs_thread.left = 0;
	return done;
}

HS_EXPORT int heapspy_stop_v1(void)
{
	struct state_header *state = process_state();

	/* What this thread has consumed so far counts; what comes now does not. */
	if (state && hs_thread.generation == process_generation) {
		thread_state_settle(state, 0);
		/* With no gap under way: the end of this one would make a sample of any block. */
		hs_thread.flags |= THREAD_IDLE;
	}
	return set_stopped(1);
}

HS_EXPORT int heapspy_is_active_v1(void)
{
	struct state_header *state = process_state();

	return state && !(hs_load_relaxed(&state->flags) &
				(HEAPSPY_INFO_STOPPED | HEAPSPY_INFO_NOT_INTERPOSED));
}
