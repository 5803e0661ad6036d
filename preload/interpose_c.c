/*
 * interpose_c.c - owns the C allocation functions that the program calls
 * instead of its allocator's. Nothing else is here.
 *
 * Each has one silhouette: decide, then jump to the real one; the rare half is
 * a cold twin of the same shape. Nothing is held across the real call, which
 * may throw, be cancelled, or longjmp out of a new_handler. No argument is
 * changed or checked: what the allocator makes of it stays its own affair.
 */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include "preload/compiler.h"
#include "preload/filter.h"
#include "preload/real_alloc.h"
#include "preload/recorder.h"
#include "preload/thread_state.h"

void cfree(void *block);
void free_sized(void *block, size_t size);
void free_aligned_sized(void *block, size_t align, size_t size);

static HS_COLD void *malloc_sampled(size_t size)
{
	void *block;

	thread_state_put_back(size);
	block = real_alloc.malloc(size);
	recorder_allocated(block, size);
	return block;
}

HS_EXPORT void *malloc(size_t size)
{
	if (thread_state_countdown(size))
		return malloc_sampled(size);
	return real_alloc.malloc(size);
}

static HS_COLD void free_sampled(void *block)
{
	recorder_freed(block);
	real_alloc.free(block);
}

HS_EXPORT void free(void *block)
{
	if (HS_UNLIKELY(filter_test(block)))
		free_sampled(block);
	else
		real_alloc.free(block);
}

HS_EXPORT void cfree(void *block)
{
	free(block);
}

static HS_COLD void free_sized_sampled(void *block, size_t size)
{
	recorder_freed(block);
	real_alloc.free_sized(block, size);
}

HS_EXPORT void free_sized(void *block, size_t size)
{
	if (HS_UNLIKELY(filter_test(block)))
		free_sized_sampled(block, size);
	else
		real_alloc.free_sized(block, size);
}

static HS_COLD void free_aligned_sized_sampled(void *block, size_t align, size_t size)
{
	recorder_freed(block);
	real_alloc.free_aligned_sized(block, align, size);
}

HS_EXPORT void free_aligned_sized(void *block, size_t align, size_t size)
{
	if (HS_UNLIKELY(filter_test(block)))
		free_aligned_sized_sampled(block, align, size);
	else
		real_alloc.free_aligned_sized(block, align, size);
}

static HS_COLD void *calloc_sampled(size_t n, size_t size)
{
	void *block;

	thread_state_put_back(n * size);
	block = real_alloc.calloc(n, size);
	recorder_allocated(block, n * size);
	return block;
}

HS_EXPORT void *calloc(size_t n, size_t size)
{
	size_t bytes;

	/* A product that does not fit fails in the real one, and is no allocation. */
	if (!__builtin_mul_overflow(n, size, &bytes) && thread_state_countdown(bytes))
		return calloc_sampled(n, size);
	return real_alloc.calloc(n, size);
}

static HS_COLD void *realloc_slow(void *old, size_t size, bool sampled)
{
	struct recorder_ticket ticket;
	void *block;

	if (sampled)
		thread_state_put_back(size);
	recorder_detach(old, &ticket);
	block = real_alloc.realloc(old, size);
	/* NULL for 0 bytes is a free; NULL for more is a failure, and the old block lives. */
	if (!block && size)
		recorder_reattach(old, &ticket);
	else
		recorder_settle(&ticket);
	if (sampled)
		recorder_allocated(block, size);
	return block;
}

HS_EXPORT void *realloc(void *old, size_t size)
{
	bool sampled = thread_state_countdown(size);

	if (HS_UNLIKELY(sampled | filter_test(old)))
		return realloc_slow(old, size, sampled);
	return real_alloc.realloc(old, size);
}

/* Of the same words as libc's, whose own would come back to realloc above and count twice. */
HS_EXPORT void *reallocarray(void *old, size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(old, bytes);
}

static HS_COLD void *memalign_sampled(size_t align, size_t size)
{
	void *block;

	thread_state_put_back(size);
	block = real_alloc.memalign(align, size);
	recorder_allocated(block, size);
	return block;
}

HS_EXPORT void *memalign(size_t align, size_t size)
{
	if (thread_state_countdown(size))
		return memalign_sampled(align, size);
	return real_alloc.memalign(align, size);
}

static HS_COLD void *aligned_alloc_sampled(size_t align, size_t size)
{
	void *block;

	thread_state_put_back(size);
	block = real_alloc.aligned_alloc(align, size);
	recorder_allocated(block, size);
	return block;
}

HS_EXPORT void *aligned_alloc(size_t align, size_t size)
{
	if (thread_state_countdown(size))
		return aligned_alloc_sampled(align, size);
	return real_alloc.aligned_alloc(align, size);
}

static HS_COLD int posix_memalign_sampled(void **blockp, size_t align, size_t size)
{
	int error;

	thread_state_put_back(size);
	error = real_alloc.posix_memalign(blockp, align, size);
	recorder_allocated(error ? NULL : *blockp, size);
	return error;
}

HS_EXPORT int posix_memalign(void **blockp, size_t align, size_t size)
{
	if (thread_state_countdown(size))
		return posix_memalign_sampled(blockp, align, size);
	return real_alloc.posix_memalign(blockp, align, size);
}

static HS_COLD void *valloc_sampled(size_t size)
{
	void *block;

	thread_state_put_back(size);
	block = real_alloc.valloc(size);
	recorder_allocated(block, size);
	return block;
}

HS_EXPORT void *valloc(size_t size)
{
	if (thread_state_countdown(size))
		return valloc_sampled(size);
	return real_alloc.valloc(size);
}

static HS_COLD void *pvalloc_sampled(size_t size)
{
	void *block;

	thread_state_put_back(size);
	block = real_alloc.pvalloc(size);
	recorder_allocated(block, size);
	return block;
}

HS_EXPORT void *pvalloc(size_t size)
{
	if (thread_state_countdown(size))
		return pvalloc_sampled(size);
	return real_alloc.pvalloc(size);
}

HS_EXPORT size_t malloc_usable_size(void *block)
{
	if (HS_UNLIKELY(real_alloc_is_boot_block(block)))
		return real_alloc_boot_size(block);
	return real_alloc.malloc_usable_size(block);
}
