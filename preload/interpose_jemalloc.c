/*
 * interpose_jemalloc.c - owns the sampling of jemalloc's mallocx, rallocx, xallocx, dallocx and
 * sdallocx. Under which names a program finds them, and what is behind them, is
 * interpose_jemalloc_names.c's affair, in another object.
 *
 * As in interpose_c.c: decide, then jump; flags and sizes are passed on as they came, also
 * those for which jemalloc promises nothing.
 */
#include <string.h>
#include "preload/compiler.h"
#include "preload/filter.h"
#include "preload/interpose_jemalloc.h"
#include "preload/real_alloc.h"
#include "preload/recorder.h"
#include "preload/thread_state.h"

/* Empty until somebody asks; written before anybody can call a door, and constant afterwards. */
static struct jemalloc_doors next;

static HS_COLD void *mallocx_sampled(size_t size, int flags)
{
	void *block;

	thread_state_put_back(size);
	block = next.mallocx(size, flags);
	recorder_allocated(block, size);
	return block;
}

static void *mallocx_door(size_t size, int flags)
{
	if (thread_state_countdown(size))
		return mallocx_sampled(size, flags);
	return next.mallocx(size, flags);
}

static void *boot_resize(void *old, size_t size, int flags)
{
	void *block = next.mallocx(size, flags);
	size_t had = real_alloc_boot_size(old);

	if (block)
		memcpy(block, old, had < size ? had : size);
	return block;
}

static HS_COLD void *rallocx_slow(void *old, size_t size, int flags, bool sampled)
{
	struct recorder_ticket ticket;
	void *block;

	if (sampled)
		thread_state_put_back(size);
	if (real_alloc_is_boot_block(old))
		return boot_resize(old, size, flags);
	recorder_detach(old, &ticket);
	block = next.rallocx(old, size, flags);
	if (!block)
		recorder_reattach(old, &ticket);
	else
		recorder_settle(&ticket);
	if (sampled)
		recorder_allocated(block, size);
	return block;
}

static void *rallocx_door(void *old, size_t size, int flags)
{
	bool sampled = thread_state_countdown(size);

	if (HS_UNLIKELY(sampled || filter_test(old) || real_alloc_is_boot_block(old)))
		return rallocx_slow(old, size, flags, sampled);
	return next.rallocx(old, size, flags);
}

static HS_COLD size_t xallocx_resized(void *block, size_t size, bool sampled, size_t real_size)
{
	if (sampled)
		thread_state_put_back(size);
	recorder_freed(block);
	if (sampled)
		recorder_allocated(block, size);
	return real_size;
}

/*
 * Resized in place is what realloc in place is: the death of one block and the birth of
 * another. The block stays the caller's all the time, so this may come after the call, when
 * its success and the new size are known: what was asked for, as far as it was given.
 */
static size_t xallocx_door(void *block, size_t size, size_t extra, int flags)
{
	size_t real_size, new_size;
	bool sampled;

	if (HS_UNLIKELY(real_alloc_is_boot_block(block)))
		return real_alloc_boot_size(block);
	real_size = next.xallocx(block, size, extra, flags);
	if (real_size < size)
		return real_size;
	new_size = real_size - size < extra ? real_size : size + extra;
	sampled = thread_state_countdown(new_size);
	if (HS_UNLIKELY(sampled | filter_test(block)))
		return xallocx_resized(block, new_size, sampled, real_size);
	return real_size;
}

/* True when the block is nobody's to free: it came from the arena of the first moments. */
static HS_COLD bool freed_sampled(void *block)
{
	if (real_alloc_is_boot_block(block))
		return true;
	recorder_freed(block);
	return false;
}

static HS_COLD void dallocx_sampled(void *block, int flags)
{
	if (!freed_sampled(block))
		next.dallocx(block, flags);
}

static void dallocx_door(void *block, int flags)
{
	if (HS_UNLIKELY(filter_test(block) || real_alloc_is_boot_block(block)))
		dallocx_sampled(block, flags);
	else
		next.dallocx(block, flags);
}

static HS_COLD void sdallocx_sampled(void *block, size_t size, int flags)
{
	if (!freed_sampled(block))
		next.sdallocx(block, size, flags);
}

static void sdallocx_door(void *block, size_t size, int flags)
{
	if (HS_UNLIKELY(filter_test(block) || real_alloc_is_boot_block(block)))
		sdallocx_sampled(block, size, flags);
	else
		next.sdallocx(block, size, flags);
}

HS_EXPORT const struct jemalloc_doors *heapspy_jemalloc_doors_v1(
	const struct jemalloc_doors *behind)
{
	static const struct jemalloc_doors doors = { mallocx_door, rallocx_door, xallocx_door,
		dallocx_door, sdallocx_door };

	if (next.mallocx)
		return NULL;
	next = *behind;
	return &doors;
}
