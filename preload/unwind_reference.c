/*
 * unwind_reference.c - owns the use of libheapspy-libunwind.so and of libgcc:
 * when they may walk, what becomes of their stacks, and the counts.
 *
 * One walk at a time in a process, by a try-lock in front of libunwind. Its own
 * lock is held while it waits for the dynamic linker's; a thread that has the
 * linker's and allocates would wait for libunwind's, and neither would ever go
 * on. So nobody waits behind the try-lock for longer than a walk takes. The
 * same holds for libgcc's lock; who may have that one already is not let in.
 * A fork in the middle of another thread's walk leaves all of them taken in the
 * child: there all stacks are our own walk's.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include "heapspy/snapshot.h"
#include "preload/atomics.h"
#include "preload/cfi_objects.h"
#include "preload/cfi_rows.h"
#include "preload/compiler.h"
#include "preload/log.h"
#include "preload/process.h"
#include "preload/rawsys.h"
#include "preload/unwind_compare.h"
#include "preload/unwind_libgcc.h"
#include "preload/unwind_libunwind.h"
#include "preload/unwind_reference.h"
#include "preload/unwind_registers.h"

#define OWN_FRAMES_MAX 32
#define PATH_BYTES     1024
#define TRIES          10000 /* pauses; a hundred microseconds or two, as the walks of one stack */
#define PRINTED_MAX    4     /* stacks, in a process */
#define PIPE_FROM      400   /* the lowest numbers of descriptors that libunwind gets */

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

/* Zero in a forked child, whose stacks are its own. Relaxed adds, any thread. */
static struct __attribute__((aligned(PROCESS_PAGE_BYTES))) {
	uint64_t walked;   /* stacks by the others */
	uint64_t left_out; /* left to our own walk */
	uint64_t by_class[COMPARE_N_CLASSES], equal_libunwind, equal_libgcc;
	uint64_t again; /* stacks that were walked again in each of our own ways */
	uint64_t reuse_differs, slow_differs, fp_equal, fp_shorter, fp_differs;
	uint64_t cut, truncated, approx, signal; /* of those */
	uint64_t n_printed;
} counts;

/* Written at load, walk first. */
static __typeof__(heapspy_libunwind_walk_v1) *walk;
enum unwind_mode unwind_reference_mode;

static uint32_t walking; /* the try-lock; what follows belongs to its holder */
static uint32_t flushed_generation;
static uint64_t pcs[UNWIND_DEPTH_MAX + OWN_FRAMES_MAX];
static uint64_t libgcc_words[UNWIND_DEPTH_MAX];
static struct unwind_scratch again;

static bool lock(void)
{
	for (unsigned i = 0; i < TRIES; i++) {
		uint32_t unlocked = 0;

		if (!hs_load_relaxed(&walking) && hs_cas_acq_rel(&walking, &unlocked, 1))
			return true;
		__builtin_ia32_pause();
	}
	return false;
}

static void unlock(void)
{
	hs_store_release(&walking, 0);
}

/* libheapspy-libunwind.so lies where libheapspy.so does. */
static bool path_beside_us(char path[PATH_BYTES])
{
	const char *slash;
	Dl_info info;

	if (!dladdr((void *)path_beside_us, &info) || !info.dli_fname)
		return false;
	slash = strrchr(info.dli_fname, '/');
	if (!slash)
		return false;
	log_format(path, PATH_BYTES, "%s", info.dli_fname);
	if (slash + 1 - info.dli_fname + sizeof(UNWIND_LIBUNWIND_FILE) > PATH_BYTES)
		return false;
	strcpy(path + (slash + 1 - info.dli_fname), UNWIND_LIBUNWIND_FILE);
	return true;
}

/* Whether another unwinder may walk this stack. */
static bool may_walk(struct unwind_scratch *scratch, const uint64_t *registers)
{
	return !hs_load_relaxed(&process_seccomp) &&
	       stack_range_has_room(
		       &scratch->stack, registers[CFI_RSP], UNWIND_LIBUNWIND_STACK_BYTES);
}

/*
 * By libunwind, under the lock: returns the pcs from the caller of the first
 * function outside libheapspy.so on, *np of them.
 */
static const uint64_t *walk_libunwind(const uint64_t *registers, unsigned depth_max, unsigned *np,
	enum unwind_libunwind_end *endp)
{
	uint32_t generation = cfi_rows_generation();
	unsigned n, n_own = 0;

	n = walk(
		registers, pcs, depth_max + OWN_FRAMES_MAX, generation != flushed_generation, endp);
	flushed_generation = generation;
	while (n_own < n && cfi_objects_is_own(pcs[n_own]))
		n_own++;
	*np = n - n_own;
	if (*np > depth_max) {
		*np = depth_max;
		*endp = LIBUNWIND_CUT;
	}
	hs_add_relaxed(&counts.walked, 1);
	return pcs + n_own;
}

/* False: *whyp tells why not. */
static bool open_object(const char **whyp)
{
	char path[PATH_BYTES];
	void *object, *found;

	*whyp = "libheapspy.so has no path";
	if (!path_beside_us(path))
		return false;
	object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	found = object ? dlsym(object, UNWIND_LIBUNWIND_WALK) : NULL;
	if (!found) {
		*whyp = dlerror();
		return false;
	}
	walk = (__typeof__(walk))found;
	*whyp = "this kernel cannot wipe memory at a fork (4.14)";
	return rawsys(SYS_madvise, &counts, sizeof(counts), MADV_WIPEONFORK) == 0;
}

/*
 * Takes all free numbers below PIPE_FROM, or as many as there may be, so that
 * libunwind's pipe gets higher ones: the program finds the low numbers free as
 * ever, and one that closes what it did not open will hardly open a file under
 * one of the pipe's, which libunwind would read and write. Returns how many.
 */
static unsigned take_descriptors(int taken[PIPE_FROM])
{
	unsigned n = 0;
	long number = rawsys(SYS_open, "/", O_PATH | O_CLOEXEC, 0);

	while (number >= 0 && number < PIPE_FROM) {
		taken[n++] = (int)number;
		number = rawsys(SYS_fcntl, taken[0], F_DUPFD_CLOEXEC, 0);
	}
	if (number >= PIPE_FROM) {
		rawsys(SYS_close, number);
	} else if (n >= 2) { /* there may be no more: room for the two of the pipe */
		rawsys(SYS_close, taken[--n]);
		rawsys(SYS_close, taken[--n]);
	}
	return n;
}

/* What libunwind does only once: reads its environment, makes its pipe. */
static void walk_first(void)
{
	uint64_t registers[CFI_N_REGISTERS];
	enum unwind_libunwind_end end;
	int taken[PIPE_FROM];
	unsigned n, n_taken = take_descriptors(taken);

	unwind_registers_read(registers);
	if (!hs_load_relaxed(&process_seccomp))
		walk_libunwind(registers, 1, &n, &end);
	while (n_taken > 0)
		rawsys(SYS_close, taken[--n_taken]);
	memset(&counts, 0, sizeof(counts));
}

void unwind_reference_load(enum unwind_mode wanted)
{
	const char *why;

	if (wanted != UNWIND_LIBUNWIND && wanted != UNWIND_COMPARE)
		return;
	if (!open_object(&why)) {
		log_verbose("libunwind cannot be used, stacks are walked by cfi: %s", why);
		return;
	}
	if (wanted == UNWIND_COMPARE && !unwind_libgcc_load(&why)) {
		log_verbose("libgcc cannot be used, stacks are walked by cfi: %s", why);
		return;
	}
	walk_first();
	/* Pairs with unwind_capture(). */
	hs_store_release(&unwind_reference_mode, wanted);
}

/* Is the frame one that the kernel made? By our own tables: libunwind's test reads at the pc. */
static bool is_signal_frame(uint64_t row, uint64_t frame, struct cfi_work *work)
{
	struct cfi_section section;
	bool signal_frame = false;
	unsigned module;

	if (row_kind(row) == ROW_SLOW)
		cfi_rows_rules(frame, work, &section, &signal_frame, &module);
	return signal_frame || row_kind(row) == ROW_SIGNAL;
}

bool unwind_reference_capture(struct unwind_scratch *scratch, const uint64_t *registers,
	unsigned depth_max, uint32_t *flagsp, unsigned *approx_fromp, unsigned *n_framesp)
{
	uint32_t generation = cfi_rows_generation(), flags = 0;
	enum unwind_libunwind_end end;
	uint64_t exact = 0;
	const uint64_t *stack;
	unsigned n;

	if (!may_walk(scratch, registers) || !lock()) {
		hs_add_relaxed(&counts.left_out, 1);
		return false;
	}
	stack = walk_libunwind(registers, depth_max, &n, &end);
	scratch->last_valid = false;
	*approx_fromp = 0;
	for (unsigned i = 0; i < n; i++) {
		uint64_t row = cfi_rows_find(stack[i] | exact, generation, &scratch->work);

		scratch->words[i] = HEAPSPY_FRAME_MAKE(stack[i], row_module(row), exact);
		exact = 0;
		if (is_signal_frame(row, stack[i], &scratch->work)) {
			flags |= HEAPSPY_STACK_SIGNAL;
			exact = HEAPSPY_FRAME_EXACT;
		} else if ((row_kind(row) == ROW_NO_CFI || row_kind(row) == ROW_OUTSIDE) &&
			   !(flags & HEAPSPY_STACK_APPROX) && i + 1 < n) {
			flags |= HEAPSPY_STACK_APPROX;
			*approx_fromp = i + 1;
		}
	}
	unlock();
	if (end == LIBUNWIND_CUT)
		flags |= HEAPSPY_STACK_CUT;
	else if (end == LIBUNWIND_STUCK)
		flags |= HEAPSPY_STACK_TRUNCATED;
	scratch->frames = scratch->words;
	*flagsp = flags;
	*n_framesp = n;
	return true;
}

/* Returns whether this stack is to be printed, as one of a few. */
static bool is_printed(void)
{
	return hs_add_relaxed(&counts.n_printed, 1) < PRINTED_MAX;
}

/*
 * The stack once more in one of our own ways, into again.frames. Returns whether
 * words, flags and all are the same.
 */
static bool walk_again(
	const struct unwind_own *own, enum unwind_mode how, bool slow, struct unwind_column *stack)
{
	unsigned approx_from;
	uint32_t flags;

	again.stack = own->scratch->stack;
	again.last_valid = false;
	memcpy(again.registers, own->registers, sizeof(again.registers));
	stack->n = unwind_walk(&again, how, slow, own->depth_max, &flags, &approx_from);
	stack->words = again.frames;
	return flags == own->flags && approx_from == own->approx_from &&
	       unwind_compare_words(&own->stack, stack);
}

/* Fresh, slow, by frame pointers: under the lock, on any stack. */
static void compare_own_ways(const struct unwind_own *own)
{
	struct unwind_column columns[2] = { own->stack };
	unsigned n_same;

	columns[1].name = "fresh";
	if (!walk_again(own, UNWIND_CFI, false, &columns[1])) {
		hs_add_relaxed(&counts.reuse_differs, 1);
		if (is_printed())
			unwind_compare_print("different with reuse", columns, 2);
	}
	columns[1].name = "slow";
	if (!walk_again(own, UNWIND_CFI, true, &columns[1])) {
		hs_add_relaxed(&counts.slow_differs, 1);
		if (is_printed())
			unwind_compare_print("different by the slow walk", columns, 2);
	}
	walk_again(own, UNWIND_FP, false, &columns[1]);
	n_same = unwind_compare_pcs(&own->stack, &columns[1]);
	if (n_same < columns[1].n)
		hs_add_relaxed(&counts.fp_differs, 1);
	else
		hs_add_relaxed(n_same < own->stack.n ? &counts.fp_shorter : &counts.fp_equal, 1);
	hs_add_relaxed(&counts.again, 1);
	hs_add_relaxed(&counts.cut, own->flags & HEAPSPY_STACK_CUT ? 1 : 0);
	hs_add_relaxed(&counts.truncated, own->flags & HEAPSPY_STACK_TRUNCATED ? 1 : 0);
	hs_add_relaxed(&counts.approx, own->flags & HEAPSPY_STACK_APPROX ? 1 : 0);
	hs_add_relaxed(&counts.signal, own->flags & HEAPSPY_STACK_SIGNAL ? 1 : 0);
}

/* libgcc may be at work below: then it may hold its lock. */
static bool is_inside_libgcc(const struct unwind_column *stack)
{
	for (unsigned i = 0; i < stack->n; i++) {
		if (unwind_libgcc_holds(HEAPSPY_FRAME_PC(stack->words[i])))
			return true;
	}
	return false;
}

/*
 * How many frames libgcc may look at. What stops us may be a return address that
 * is none, and libgcc would read there: it goes on only into objects, as far as
 * libunwind, which looks at memory before it reads, has come.
 */
static unsigned safe_depth(const struct unwind_own *own, const struct unwind_column *libunwind)
{
	unsigned n = own->stack.n;
	struct cfi_object object;

	if (!(own->flags & HEAPSPY_STACK_TRUNCATED))
		return own->depth_max;
	while (n < libunwind->n && cfi_objects_find(libunwind->words[n], &object))
		n++;
	return n;
}

/* Under the lock. */
static void compare_others(const struct unwind_own *own)
{
	struct unwind_column columns[3] = { own->stack, { .name = "libunwind" },
		{ .name = "libgcc", .words = libgcc_words } };
	enum unwind_libunwind_end end;
	struct unwind_verdict verdict;

	columns[1].words = walk_libunwind(own->registers, own->depth_max, &columns[1].n, &end);
	columns[2].n = unwind_libgcc_walk(libgcc_words, safe_depth(own, &columns[1]));
	verdict = unwind_compare(&columns[0], &columns[1], &columns[2], &own->scratch->work);
	hs_add_relaxed(&counts.by_class[verdict.class], 1);
	hs_add_relaxed(&counts.equal_libunwind, verdict.equals_libunwind ? 1 : 0);
	hs_add_relaxed(&counts.equal_libgcc, verdict.equals_libgcc ? 1 : 0);
	if (verdict.class > COMPARE_REGISTERED && is_printed())
		unwind_compare_print(unwind_compare_name(verdict.class), columns, 3);
}

void unwind_reference_compare(const struct unwind_own *own)
{
	if (!lock()) {
		hs_add_relaxed(&counts.left_out, 1);
		return;
	}
	compare_own_ways(own);
	if (may_walk(own->scratch, own->registers) && !is_inside_libgcc(&own->stack))
		compare_others(own);
	else
		hs_add_relaxed(&counts.left_out, 1);
	unlock();
}

void unwind_reference_report(void)
{
	const uint64_t *by = counts.by_class;

	if (unwind_reference_mode == UNWIND_LIBUNWIND)
		log_verbose("unwinders: %lu stacks by libunwind, %lu left to cfi", counts.walked,
			counts.left_out);
	if (unwind_reference_mode != UNWIND_COMPARE || (!counts.walked && !counts.left_out))
		return;
	log_line("unwinders: %lu stacks compared: %lu equal, %lu equal up to code without frame "
		 "information, %lu libunwind differs behind registered code, %lu libunwind "
		 "differs, %lu libgcc differs, %lu own differs, %lu all differ; %lu not compared",
		counts.walked, by[COMPARE_EQUAL], by[COMPARE_EQUAL_BY_RULES],
		by[COMPARE_REGISTERED], by[COMPARE_LIBUNWIND_DIFFERS], by[COMPARE_LIBGCC_DIFFERS],
		by[COMPARE_OWN_DIFFERS], by[COMPARE_ALL_DIFFER], counts.left_out);
	log_line("unwinders: to the last frame: %lu equal to libunwind, %lu equal to libgcc",
		counts.equal_libunwind, counts.equal_libgcc);
	log_line(
		"unwinders: %lu stacks walked again: %lu reuse differs, %lu slow walk differs; %lu "
		"cut, %lu broken, %lu approximate, %lu with a signal; by frame pointers %lu "
		"equal, %lu shorter, %lu different",
		counts.again, counts.reuse_differs, counts.slow_differs, counts.cut,
		counts.truncated, counts.approx, counts.signal, counts.fp_equal, counts.fp_shorter,
		counts.fp_differs);
}
