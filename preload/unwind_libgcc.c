/*
 * unwind_libgcc.c - owns the use of libgcc_s.so.1. When it may be asked is
 * unwind_reference.c's to know.
 */
#include <dlfcn.h>
#include "heapspy/snapshot.h"
#include "preload/cfi_objects.h"
#include "preload/unwind_libgcc.h"

/*
 * _Unwind_Backtrace() and _Unwind_GetIPInfo(), of the Itanium C++ ABI and gcc. Not
 * by <unwind.h>: that would be our own header.
 */
struct context;
enum reason {
	REASON_NONE = 0,
	REASON_END_OF_STACK = 5,
};
typedef enum reason take_function(struct context *context, void *argument);
typedef enum reason backtrace_function(take_function *take, void *argument);
typedef uintptr_t get_pc_function(struct context *context, int *exactp);

/* Written at load. */
static backtrace_function *backtrace;
static get_pc_function *get_pc;
static uintptr_t libgcc_lo, libgcc_hi;

struct walk {
	uint64_t *words;
	unsigned n, n_max;
};

bool unwind_libgcc_load(const char **whyp)
{
	void *library = dlopen("libgcc_s.so.1", RTLD_NOW | RTLD_LOCAL);
	struct cfi_object object;

	if (library) {
		backtrace = (backtrace_function *)dlsym(library, "_Unwind_Backtrace");
		get_pc = (get_pc_function *)dlsym(library, "_Unwind_GetIPInfo");
	}
	if (!backtrace || !get_pc) {
		*whyp = dlerror();
		return false;
	}
	if (cfi_objects_find((uintptr_t)backtrace, &object)) {
		libgcc_lo = (uintptr_t)object.loaded.dlfo_map_start;
		libgcc_hi = (uintptr_t)object.loaded.dlfo_map_end;
	}
	return true;
}

bool unwind_libgcc_holds(uintptr_t pc)
{
	return pc - libgcc_lo < libgcc_hi - libgcc_lo;
}

/* libgcc has found out by now how to leave this frame, and leaves it on REASON_NONE. */
static enum reason take_frame(struct context *context, void *argument)
{
	struct walk *walk = argument;
	int exact = 0;
	uintptr_t pc = get_pc(context, &exact);

	if (walk->n == 0 && cfi_objects_is_own(pc))
		return REASON_NONE;
	if (pc == 0)
		return REASON_END_OF_STACK;
	walk->words[walk->n++] = HEAPSPY_FRAME_MAKE(pc, 0, exact);
	return walk->n == walk->n_max ? REASON_END_OF_STACK : REASON_NONE;
}

unsigned unwind_libgcc_walk(uint64_t *words, unsigned n_max)
{
	struct walk walk = { .words = words, .n_max = n_max };

	if (n_max > 0)
		backtrace(take_frame, &walk);
	return walk.n;
}
