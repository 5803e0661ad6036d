/*
 * pending.c - owns the reading of other threads' countdowns. Makes one system
 * call a thread; trusts nothing that it reads.
 */
#include <sys/uio.h>
#include "preload/rawsys.h"
#include "preload/state/pending.h"
#include "preload/state/state_map.h"

#define SLOTS_MAX (1u << 16)

bool pending_sum(const struct state_header *state, uint32_t pid, uint64_t *bytesp)
{
	uint32_t n_slots = hs_load_acquire(&state->n_thread_slots), i;
	bool whole = n_slots <= SLOTS_MAX;

	*bytesp = 0;
	for (i = 0; i < n_slots && i < SLOTS_MAX; i++) {
		const struct state_thread *slot =
			state_map_entry(state, STATE_CHUNK_THREADS, i, sizeof(*slot));
		uint64_t address = slot ? hs_load_acquire(&slot->countdown) : 0;
		struct state_countdown t;
		struct iovec local = { &t, sizeof(t) };
		struct iovec remote = { (void *)(uintptr_t)address, sizeof(t) };

		if (!address)
			continue;
		/* The thread may have ended, and its memory may be something else by now. */
		if (rawsys(SYS_process_vm_readv, pid, &local, 1, &remote, 1, 0) == sizeof(t) &&
			t.slot == i + 1)
			*bytesp += t.flags & STATE_COUNTDOWN_IDLE ? 0 : t.gap - t.left;
		else if (hs_load_acquire(&slot->countdown) == address)
			whole = false;
	}
	return whole;
}
