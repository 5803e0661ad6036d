/*
 * unwind_reference.c - owns the use of libheapspy-libunwind.so: when it may
 * walk, what becomes of its stacks, and the counts.
 *
 * One walk at a time in a process, by a try-lock in front of libunwind. Its own
 * lock is held while it waits for the dynamic linker's; a thread that has the
 * linker's and allocates would wait for libunwind's, and neither would ever go
 * on. So nobody waits behind the try-lock for longer than some microseconds.
 * A fork in the middle of another thread's walk leaves both locks taken in the
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
#include "preload/unwind_libunwind.h"
#include "preload/unwind_reference.h"
#include "preload/unwind_registers.h"

#define OWN_FRAMES_MAX 32
#define PATH_BYTES     1024
#define TRIES          2000 /* pauses; some ten microseconds, as a walk is */
#define PRINTED_MAX    4    /* stacks, in a process */
#define PIPE_FROM      400  /* the lowest numbers of descriptors that libunwind gets */

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

/* Zero in a forked child, whose stacks are its own. Relaxed adds, any thread. */
static struct __attribute__((aligned(PROCESS_PAGE_BYTES))) {
	uint64_t by_class[COMPARE_N_CLASSES];
	uint64_t walked;   /* stacks by libunwind */
	uint64_t left_out; /* left to our own walk */
	uint64_t n_printed;
} counts;

/* Written at load, walk first. */
static __typeof__(heapspy_libunwind_walk_v1) *walk;
enum unwind_mode unwind_reference_mode;

static uint32_t walking; /* the try-lock; what follows belongs to its holder */
static uint32_t flushed_generation;
static uint64_t pcs[UNWIND_DEPTH_MAX + OWN_FRAMES_MAX];

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

/*
 * A walk that may be made now. True: *pcsp are *np pcs, from the caller of the
 * first function outside libheapspy.so on, and unlock() is the caller's to do.
 */
static bool walk_locked(struct unwind_scratch *scratch, const uint64_t *registers,
	unsigned depth_max, const uint64_t **pcsp, unsigned *np, enum unwind_libunwind_end *endp)
{
	uint32_t generation = cfi_rows_generation();
	unsigned n, n_own = 0;

	if (hs_load_relaxed(&process_seccomp) ||
		!stack_range_has_room(
			&scratch->stack, registers[CFI_RSP], UNWIND_LIBUNWIND_STACK_BYTES) ||
		!lock()) {
		hs_add_relaxed(&counts.left_out, 1);
		return false;
	}
	n = walk(
		registers, pcs, depth_max + OWN_FRAMES_MAX, generation != flushed_generation, endp);
	flushed_generation = generation;
	while (n_own < n && cfi_objects_is_own(pcs[n_own]))
		n_own++;
	*pcsp = pcs + n_own;
	*np = n - n_own;
	if (*np > depth_max) {
		*np = depth_max;
		*endp = LIBUNWIND_CUT;
	}
	hs_add_relaxed(&counts.walked, 1);
	return true;
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
	static struct unwind_scratch scratch;
	uint64_t registers[CFI_N_REGISTERS];
	enum unwind_libunwind_end end;
	int taken[PIPE_FROM];
	const uint64_t *stack;
	unsigned n, n_taken = take_descriptors(taken);

	unwind_registers_read(registers);
	if (walk_locked(&scratch, registers, 1, &stack, &n, &end))
		unlock();
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

	if (!walk_locked(scratch, registers, depth_max, &stack, &n, &end))
		return false;
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

void unwind_reference_compare(struct unwind_scratch *scratch, const uint64_t *registers,
	unsigned depth_max, unsigned n_frames)
{
	enum unwind_compare_class class;
	enum unwind_libunwind_end end;
	const uint64_t *stack;
	unsigned n, n_same;

	if (!walk_locked(scratch, registers, depth_max, &stack, &n, &end))
		return;
	class = unwind_compare(scratch->frames, n_frames, stack, n, &scratch->work, &n_same);
	hs_add_relaxed(&counts.by_class[class], 1);
	if (class > COMPARE_GUESSED && hs_add_relaxed(&counts.n_printed, 1) < PRINTED_MAX)
		unwind_compare_print(class, scratch->frames, n_frames, stack, n, n_same);
	unlock();
}

void unwind_reference_report(void)
{
	const uint64_t *by = counts.by_class;

	if (unwind_reference_mode == UNWIND_LIBUNWIND)
		log_verbose("unwinders: %lu stacks by libunwind, %lu left to cfi", counts.walked,
			counts.left_out);
	else if (counts.walked || counts.left_out)
		log_line("unwinders: %lu stacks compared: %lu equal, %lu equal up to code without "
			 "frame information, %lu own longer, %lu libunwind longer, %lu different; "
			 "%lu not compared",
			counts.walked, by[COMPARE_EQUAL], by[COMPARE_GUESSED],
			by[COMPARE_OWN_LONGER], by[COMPARE_OTHER_LONGER], by[COMPARE_DIFFERENT],
			counts.left_out);
}
