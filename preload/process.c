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

bool process_wipe_on_fork(void)
{
	return !rawsys(SYS_madvise, &process_page, sizeof(process_page), MADV_WIPEONFORK) &&
	       !rawsys(SYS_madvise, filter_words, sizeof(filter_words), MADV_WIPEONFORK);
}
