/* process.c - owns the facts of process.h: nothing but their places, and the wiping at a fork. */
#include <sys/mman.h>
#include "preload/filter.h"
#include "preload/process.h"
#include "preload/rawsys.h"

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

struct process_page process_page;
uint64_t filter_words[FILTER_WORDS] __attribute__((aligned(PROCESS_PAGE_BYTES)));

struct settings process_settings;
uint32_t process_generation;
uint32_t process_seccomp;

/* The linker's: where the part of our image that is zero at the start begins, and ends. */
extern char __bss_start[] __attribute__((visibility("hidden")));
extern char _end[] __attribute__((visibility("hidden")));

/* A forked child has its parent's mappings, and goes on counting from there. */
static uint64_t mapped_bytes;

uint64_t process_memory_bytes(void)
{
	return (uint64_t)(_end - __bss_start) + hs_load_relaxed(&mapped_bytes);
}

void process_memory_add(uint64_t bytes)
{
	struct state_header *state = process_state();

	hs_add_relaxed(&mapped_bytes, bytes);
	if (state)
		hs_add_relaxed(&state->work_bytes, bytes);
}

bool process_wipe_on_fork(void)
{
	return !rawsys(SYS_madvise, &process_page, sizeof(process_page), MADV_WIPEONFORK) &&
	       !rawsys(SYS_madvise, filter_words, sizeof(filter_words), MADV_WIPEONFORK);
}
