/* unwind_oracle.c - see unwind_oracle.h. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unwind.h>
#define UNW_LOCAL_ONLY
#include <libunwind.h>
#include "heapspy/snapshot.h"
#include "unwind_oracle.h"

/* The names that libunwind.h's macros stand for. */
#define STRING_(a) #a
#define STRING(a)  STRING_(a)

static int (*get_context)(unw_context_t *);
static __typeof__(unw_init_local) *init_local;
static __typeof__(unw_step) *step;
static __typeof__(unw_get_reg) *get_reg;
static __typeof__(unw_flush_cache) *flush_cache;
static unw_addr_space_t *local_address_space;
static _Unwind_Reason_Code (*backtrace_by_libgcc)(_Unwind_Trace_Fn, void *);
static uintptr_t (*ip_of_libgcc)(struct _Unwind_Context *);

static void *need(void *library, const char *name)
{
	void *symbol = library ? dlsym(library, name) : NULL;

	if (!symbol)
		printf("# no %s: libunwind-dev and libgcc-s1 are needed\n", name);
	return symbol;
}

bool oracle_init(void)
{
	void *libunwind = dlopen("libunwind.so.8", RTLD_NOW | RTLD_LOCAL);
	void *libgcc = dlopen("libgcc_s.so.1", RTLD_NOW | RTLD_LOCAL);

	/* unw_getcontext() is a macro with an argument that leads here. */
	get_context = need(libunwind, "_Ux86_64_getcontext");
	init_local = need(libunwind, STRING(unw_init_local));
	step = need(libunwind, STRING(unw_step));
	get_reg = need(libunwind, STRING(unw_get_reg));
	flush_cache = need(libunwind, STRING(unw_flush_cache));
	local_address_space = need(libunwind, STRING(unw_local_addr_space));
	backtrace_by_libgcc = need(libgcc, "_Unwind_Backtrace");
	ip_of_libgcc = need(libgcc, "_Unwind_GetIP");
	return get_context && init_local && step && get_reg && flush_cache && local_address_space &&
	       backtrace_by_libgcc && ip_of_libgcc;
}

void oracle_flush(void)
{
	flush_cache(*local_address_space, 0, 0);
}

static _Unwind_Reason_Code libgcc_frame(struct _Unwind_Context *context, void *argument)
{
	struct oracle_stack *stack = argument;
	uintptr_t ip = ip_of_libgcc(context);

	if (ip == 0 || stack->n_frames == UNWIND_DEPTH_MAX)
		return _URC_END_OF_STACK;
	stack->words[stack->n_frames++] = ip;
	return _URC_NO_REASON;
}

static void walk_by_libunwind(struct oracle_stack *stack, unw_context_t *context)
{
	unw_cursor_t cursor;
	unw_word_t ip;

	init_local(&cursor, context);
	do {
		get_reg(&cursor, UNW_REG_IP, &ip);
		if (ip == 0)
			break;
		stack->words[stack->n_frames++] = ip;
	} while (stack->n_frames < UNWIND_DEPTH_MAX && step(&cursor) > 0);
}

/* Leaves out the first frame, which is oracle_walk() itself, each time at another pc. */
static void drop_first(struct oracle_stack *stack, const uint64_t *words, unsigned n_frames)
{
	stack->n_frames = n_frames ? n_frames - 1 : 0;
	memmove(stack->words, words + 1, stack->n_frames * sizeof(*words));
	if (stack->flags & HEAPSPY_STACK_APPROX)
		stack->approx_from--;
}

static bool same_words(const struct oracle_stack *a, const struct oracle_stack *b)
{
	return a->n_frames == b->n_frames &&
	       memcmp(a->words, b->words, a->n_frames * sizeof(a->words[0])) == 0;
}

static bool same_pcs(const struct oracle_stack *own, const struct oracle_stack *other)
{
	for (unsigned i = 0; i < own->n_frames && i < other->n_frames; i++) {
		if (HEAPSPY_FRAME_PC(own->words[i]) != other->words[i])
			return false;
	}
	return own->n_frames == other->n_frames;
}

static bool same_result(const struct oracle_stack *a, const struct oracle_stack *b)
{
	return same_words(a, b) && a->flags == b->flags && a->approx_from == b->approx_from;
}

__attribute__((noinline)) void oracle_walk(struct oracle *oracle)
{
	unw_context_t context;
	unsigned n_frames;

	n_frames = shim_capture(&oracle->reused, UNWIND_DEPTH_MAX, &oracle->reuse.flags,
		&oracle->reuse.approx_from);
	drop_first(&oracle->reuse, oracle->reused.frames, n_frames);
	memset(&oracle->fresh, 0, sizeof(oracle->fresh));
	n_frames = shim_capture(
		&oracle->fresh, UNWIND_DEPTH_MAX, &oracle->plain.flags, &oracle->plain.approx_from);
	drop_first(&oracle->plain, oracle->fresh.frames, n_frames);
	n_frames = shim_capture_slow(
		&oracle->fresh, UNWIND_DEPTH_MAX, &oracle->slow.flags, &oracle->slow.approx_from);
	drop_first(&oracle->slow, oracle->fresh.frames, n_frames);
	oracle->reuse_differs = !same_result(&oracle->reuse, &oracle->plain);
	oracle->slow_differs = !same_result(&oracle->slow, &oracle->plain);
	oracle->libunwind_differs = oracle->libgcc_differs = false;
	if (oracle->own_only)
		return;
	oracle->libunwind.n_frames = oracle->libgcc.n_frames = 0;
	get_context(&context);
	walk_by_libunwind(&oracle->libunwind, &context);
	drop_first(&oracle->libunwind, oracle->libunwind.words, oracle->libunwind.n_frames);
	oracle->libunwind_differs = !same_pcs(&oracle->plain, &oracle->libunwind);
	if (oracle->without_libgcc)
		return;
	backtrace_by_libgcc(libgcc_frame, &oracle->libgcc);
	drop_first(&oracle->libgcc, oracle->libgcc.words, oracle->libgcc.n_frames);
	oracle->libgcc_differs = !same_pcs(&oracle->plain, &oracle->libgcc);
}

const char *oracle_name(const struct oracle_stack *stack, unsigned i)
{
	uint64_t word = stack->words[i];
	Dl_info info;

	if (dladdr((void *)(HEAPSPY_FRAME_PC(word) - !(word & HEAPSPY_FRAME_EXACT)), &info) == 0 ||
		!info.dli_sname)
		return "?";
	return info.dli_sname;
}

static void print_stack(const char *title, const struct oracle_stack *stack)
{
	printf("# %s: %u frames, flags %x, approx from %u\n", title, stack->n_frames, stack->flags,
		stack->approx_from);
	for (unsigned i = 0; i < stack->n_frames && i < 40; i++)
		printf("#     %016lx %s\n", stack->words[i], oracle_name(stack, i));
}

bool oracle_has_names(const struct oracle_stack *stack, const char *const *names)
{
	for (unsigned i = 0; names[i]; i++) {
		if (i >= stack->n_frames || strcmp(names[i], oracle_name(stack, i)) != 0) {
			printf("# frame %u is not %s\n", i, names[i]);
			print_stack("found", stack);
			return false;
		}
	}
	return true;
}

void oracle_print(const struct oracle *oracle)
{
	print_stack("fresh", &oracle->plain);
	if (oracle->reuse_differs)
		print_stack("reuse", &oracle->reuse);
	if (oracle->slow_differs)
		print_stack("slow", &oracle->slow);
	if (oracle->libunwind_differs)
		print_stack("libunwind", &oracle->libunwind);
	if (oracle->libgcc_differs)
		print_stack("libgcc", &oracle->libgcc);
}
