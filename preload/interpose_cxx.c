/*
 * interpose_cxx.c - owns C++'s operator new and delete, all forms. They must be
 * interposed: behind jemalloc or tcmalloc the program's new is the allocator's
 * own and never calls malloc.
 *
 * Three ways, chosen once, for all forms together:
 *
 *  DIRECT   The next definitions are a C++ runtime's, which would only call
 *           malloc and free: go to the real malloc and free at once. Out of
 *           memory, the runtime's new takes over (new_handler, bad_alloc).
 *  COUNTED  The next definitions are the allocator's own: sample here, forward.
 *  PLAIN    Anybody else's (a library with a pool), or the program has replaced
 *           new, delete or malloc, so that forms it left alone must reach its
 *           own: forward, and sample in the malloc below.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "preload/atomics.h"
#include "preload/compiler.h"
#include "preload/filter.h"
#include "preload/interpose_cxx.h"
#include "preload/real_alloc.h"
#include "preload/recorder.h"
#include "preload/thread_state.h"

enum way { UNKNOWN, DIRECT, COUNTED, PLAIN };

/* Forms of operator new and delete, by their mangled names. */
enum form {
	NEW,
	NEW_ARRAY,
	NEW_NOTHROW,
	NEW_ARRAY_NOTHROW,
	NEW_ALIGNED,
	NEW_ARRAY_ALIGNED,
	NEW_ALIGNED_NOTHROW,
	NEW_ARRAY_ALIGNED_NOTHROW,
	DELETE,
	DELETE_ARRAY,
	DELETE_SIZED,
	DELETE_ARRAY_SIZED,
	DELETE_NOTHROW,
	DELETE_ARRAY_NOTHROW,
	DELETE_ALIGNED,
	DELETE_ARRAY_ALIGNED,
	DELETE_SIZED_ALIGNED,
	DELETE_ARRAY_SIZED_ALIGNED,
	DELETE_ALIGNED_NOTHROW,
	DELETE_ARRAY_ALIGNED_NOTHROW,
	N_FORMS
};

static const char *const form_names[N_FORMS] = {
	"_Znwm",
	"_Znam",
	"_ZnwmRKSt9nothrow_t",
	"_ZnamRKSt9nothrow_t",
	"_ZnwmSt11align_val_t",
	"_ZnamSt11align_val_t",
	"_ZnwmSt11align_val_tRKSt9nothrow_t",
	"_ZnamSt11align_val_tRKSt9nothrow_t",
	"_ZdlPv",
	"_ZdaPv",
	"_ZdlPvm",
	"_ZdaPvm",
	"_ZdlPvRKSt9nothrow_t",
	"_ZdaPvRKSt9nothrow_t",
	"_ZdlPvSt11align_val_t",
	"_ZdaPvSt11align_val_t",
	"_ZdlPvmSt11align_val_t",
	"_ZdaPvmSt11align_val_t",
	"_ZdlPvSt11align_val_tRKSt9nothrow_t",
	"_ZdaPvSt11align_val_tRKSt9nothrow_t",
};

/* Written once by find_way(), before way; constant afterwards. */
static void *next[N_FORMS];
static enum way way;
static bool allocators[N_FORMS]; /* COUNTED: the allocator's own, and it is all that is called */

typedef void *(*new_function)(size_t, uintptr_t, uintptr_t);
typedef void (*delete_function)(void *, uintptr_t, uintptr_t);

static void *find_next(enum form form)
{
	static const char *const runtimes[] = { "libstdc++.so.6", "libc++abi.so.1", "libc++.so.1",
		NULL };

	return real_alloc_next_or_in(form_names[form], runtimes);
}

static bool reaches_us(const char *name)
{
	const char *object;

	return real_alloc_reaches_us(name, &object);
}

/* In a C++ runtime, whose new and delete are calls of malloc and free. */
static bool is_runtimes(void *function)
{
	static const char *const names[] = { "libstdc++.so", "libc++.so", "libc++abi.so" };
	const char *base;
	unsigned i;

	base = strrchr(real_alloc_path_of(function), '/');
	for (i = 0; base && i < HS_ARRAY_SIZE(names); i++)
		if (!strncmp(base + 1, names[i], strlen(names[i])))
			return true;
	return false;
}

static enum way choose_way(void)
{
	if (!reaches_us(form_names[NEW]) || !reaches_us(form_names[DELETE]) ||
		!reaches_us("malloc"))
		return PLAIN;
	if (!next[NEW] && !next[DELETE])
		return DIRECT;
	if (!next[NEW] || !next[DELETE])
		return PLAIN;
	if (real_alloc_is_allocators(next[NEW]) && real_alloc_is_allocators(next[DELETE]))
		return COUNTED;
	return is_runtimes(next[NEW]) && is_runtimes(next[DELETE]) ? DIRECT : PLAIN;
}

/*
 * Whether the allocator's own form comes back to us through a C function, which then counts:
 * jemalloc's aligned forms call aligned_alloc. Tried out; all of ours take from the countdown.
 */
static bool comes_back(enum form form, enum form delete)
{
	const uint64_t plenty = 1ull << 40;
	uint64_t left = hs_thread.left;
	bool back = false;
	unsigned i;

	/* Twice: at the first, a debugging allocator makes tables by operator new. */
	for (i = 0; i < 2; i++) {
		void *block;

		hs_thread.left = plenty;
		block = ((new_function)next[form])(64, 64, 0);
		back = hs_thread.left != plenty;
		((delete_function)next[delete])(block, 64, 0);
	}
	hs_thread.left = left;
	return back;
}

/* By the forms that do not throw; those that do are like them. */
static void drop_those_that_come_back(void)
{
	static const struct {
		enum form nothrow, throwing, delete;
	} forms[] = {
		{ NEW_NOTHROW, NEW, DELETE },
		{ NEW_ARRAY_NOTHROW, NEW_ARRAY, DELETE_ARRAY },
		{ NEW_ALIGNED_NOTHROW, NEW_ALIGNED, DELETE_ALIGNED },
		{ NEW_ARRAY_ALIGNED_NOTHROW, NEW_ARRAY_ALIGNED, DELETE_ARRAY_ALIGNED },
	};
	unsigned i;

	for (i = 0; i < HS_ARRAY_SIZE(forms); i++)
		if (allocators[forms[i].nothrow] && next[forms[i].delete] &&
			comes_back(forms[i].nothrow, forms[i].delete))
			allocators[forms[i].nothrow] = allocators[forms[i].throwing] = false;
}

static HS_COLD enum way find_way(void)
{
	uint8_t guard;
	enum way found;
	unsigned i;

	real_alloc_resolve();
	guard = thread_state_enter(); /* the loader's allocations are not the program's */
	for (i = 0; i < N_FORMS; i++)
		next[i] = find_next(i);
	/* A form of somebody else's comes back to us through malloc or another form. */
	for (i = 0; i < N_FORMS; i++)
		allocators[i] = next[i] && real_alloc_is_allocators(next[i]);
	found = choose_way();
	/* First: what the allocator itself does by operator new must not lead here again. */
	hs_store_release(&way, found);
	if (found == COUNTED)
		drop_those_that_come_back();
	thread_state_leave(guard);
	return found;
}

void interpose_cxx_resolve(void)
{
	if (!hs_load_acquire(&way))
		find_way();
}

static inline enum way the_way(void)
{
	enum way known = hs_load_acquire(&way);

	return HS_LIKELY(known) ? known : find_way();
}

/* A form that nobody behind us defines; the plain ones do what it would have to. */
static void *forward_new(enum form form, size_t size, uintptr_t a, uintptr_t b)
{
	if (HS_LIKELY(next[form]))
		return ((new_function)next[form])(size, a, b);
	return form >= NEW_ALIGNED ? aligned_alloc(a, (size + a - 1) / a * a)
				   : malloc(size ? size : 1);
}

static void forward_delete(enum form form, void *block, uintptr_t a, uintptr_t b)
{
	if (HS_LIKELY(next[form]))
		((delete_function)next[form])(block, a, b);
	else
		free(block);
}

/* No memory: the runtime's own new calls the new_handler and throws, or returns NULL. */
static HS_COLD void *new_failed(enum form form, size_t size, uintptr_t a, uintptr_t b)
{
	/* A runtime that was loaded after we looked. */
	if (!next[form])
		next[form] = find_next(form);
	return next[form] ? ((new_function)next[form])(size, a, b) : NULL;
}

/* What a C++ runtime makes of a size: never 0, and a multiple of the alignment. */
static void *direct_aligned(size_t size, size_t align)
{
	size = size ? size : 1;
	if (align < sizeof(void *))
		align = sizeof(void *);
	if (size > SIZE_MAX - align)
		return NULL;
	return real_alloc.aligned_alloc(align, (size + align - 1) & ~(align - 1));
}

static inline bool is_aligned_form(enum form form)
{
	return form >= NEW_ALIGNED && form <= NEW_ARRAY_ALIGNED_NOTHROW;
}

static HS_COLD void *new_sampled(enum form form, size_t size, uintptr_t a, uintptr_t b)
{
	void *block;

	thread_state_put_back(size);
	if (hs_load_relaxed(&way) == COUNTED)
		block = forward_new(form, size, a, b);
	else if (is_aligned_form(form))
		block = direct_aligned(size, a);
	else
		block = real_alloc.malloc(size ? size : 1);
	recorder_allocated(block, size);
	return block ? block : new_failed(form, size, a, b);
}

/* Any other way than DIRECT. Of its own, so that new_form() has little to save on the stack. */
static __attribute__((noinline)) void *new_otherwise(
	enum form form, size_t size, uintptr_t a, uintptr_t b)
{
	enum way w = the_way();
	void *block;

	if (w != PLAIN && (w != COUNTED || allocators[form]) && thread_state_countdown(size))
		return new_sampled(form, size, a, b);
	if (w != DIRECT)
		return forward_new(form, size, a, b);
	block = is_aligned_form(form) ? direct_aligned(size, a)
				      : real_alloc.malloc(thread_state_weighed_size(size));
	return block ? block : new_failed(form, size, a, b);
}

static inline __attribute__((always_inline)) void *new_form(
	enum form form, size_t size, uintptr_t a, uintptr_t b)
{
	void *block;

	if (HS_UNLIKELY(hs_load_acquire(&way) != DIRECT))
		return new_otherwise(form, size, a, b);
	if (thread_state_countdown(size))
		return new_sampled(form, size, a, b);
	block = is_aligned_form(form) ? direct_aligned(size, a)
				      : real_alloc.malloc(thread_state_weighed_size(size));
	if (HS_LIKELY(block))
		return block;
	/* Words that the form does not have need not outlive the call above. */
	a = form < NEW_NOTHROW ? 0 : a;
	b = form < NEW_ALIGNED_NOTHROW ? 0 : b;
	return new_failed(form, size, a, b);
}

static HS_COLD void delete_sampled(enum form form, void *block, uintptr_t a, uintptr_t b)
{
	recorder_freed(block);
	if (way == DIRECT)
		real_alloc.free(block);
	else
		forward_delete(form, block, a, b);
}

static __attribute__((noinline)) void delete_otherwise(
	enum form form, void *block, uintptr_t a, uintptr_t b)
{
	enum way w = the_way();

	if (HS_UNLIKELY(real_alloc_is_boot_block(block)))
		return;
	if (w != PLAIN && (w != COUNTED || allocators[form]) && filter_test(block))
		delete_sampled(form, block, a, b);
	else if (w == DIRECT)
		real_alloc.free(block);
	else
		forward_delete(form, block, a, b);
}

static inline __attribute__((always_inline)) void delete_form(
	enum form form, void *block, uintptr_t a, uintptr_t b)
{
	if (HS_UNLIKELY(hs_load_acquire(&way) != DIRECT))
		delete_otherwise(form, block, a, b);
	else if (HS_UNLIKELY(filter_test(block)))
		delete_sampled(form, block, a, b);
	else
		real_alloc.free(block);
}

#define NEW_FORM(symbol, form)                                                                     \
	HS_EXPORT void *symbol(size_t size, uintptr_t a, uintptr_t b);                             \
	HS_EXPORT void *symbol(size_t size, uintptr_t a, uintptr_t b)                              \
	{                                                                                          \
		return new_form(form, size, a, b);                                                 \
	}

#define DELETE_FORM(symbol, form)                                                                  \
	HS_EXPORT void symbol(void *block, uintptr_t a, uintptr_t b);                              \
	HS_EXPORT void symbol(void *block, uintptr_t a, uintptr_t b)                               \
	{                                                                                          \
		delete_form(form, block, a, b);                                                    \
	}

/*
 * All forms take at most three words in registers. Passing on words that the
 * caller never set is harmless, and keeps one body for all.
 */
NEW_FORM(_Znwm, NEW)
NEW_FORM(_Znam, NEW_ARRAY)
NEW_FORM(_ZnwmRKSt9nothrow_t, NEW_NOTHROW)
NEW_FORM(_ZnamRKSt9nothrow_t, NEW_ARRAY_NOTHROW)
NEW_FORM(_ZnwmSt11align_val_t, NEW_ALIGNED)
NEW_FORM(_ZnamSt11align_val_t, NEW_ARRAY_ALIGNED)
NEW_FORM(_ZnwmSt11align_val_tRKSt9nothrow_t, NEW_ALIGNED_NOTHROW)
NEW_FORM(_ZnamSt11align_val_tRKSt9nothrow_t, NEW_ARRAY_ALIGNED_NOTHROW)
DELETE_FORM(_ZdlPv, DELETE)
DELETE_FORM(_ZdaPv, DELETE_ARRAY)
DELETE_FORM(_ZdlPvm, DELETE_SIZED)
DELETE_FORM(_ZdaPvm, DELETE_ARRAY_SIZED)
DELETE_FORM(_ZdlPvRKSt9nothrow_t, DELETE_NOTHROW)
DELETE_FORM(_ZdaPvRKSt9nothrow_t, DELETE_ARRAY_NOTHROW)
DELETE_FORM(_ZdlPvSt11align_val_t, DELETE_ALIGNED)
DELETE_FORM(_ZdaPvSt11align_val_t, DELETE_ARRAY_ALIGNED)
DELETE_FORM(_ZdlPvmSt11align_val_t, DELETE_SIZED_ALIGNED)
DELETE_FORM(_ZdaPvmSt11align_val_t, DELETE_ARRAY_SIZED_ALIGNED)
DELETE_FORM(_ZdlPvSt11align_val_tRKSt9nothrow_t, DELETE_ALIGNED_NOTHROW)
DELETE_FORM(_ZdaPvSt11align_val_tRKSt9nothrow_t, DELETE_ARRAY_ALIGNED_NOTHROW)
