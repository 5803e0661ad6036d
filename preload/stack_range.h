/*
 * stack_range.h - which memory a stack walk may read.
 *
 * On the thread's own stack: plain loads between the stack pointer and the
 * stack's upper end, once every page in between was seen to be readable. On any
 * other stack (sigaltstack, coroutine): plain loads from a page that the kernel
 * called readable during this same walk; such stacks are unmapped at will, so
 * nothing is believed for longer.
 *
 * The kernel is asked by rt_sigprocmask with an operation that does not exist:
 * it reads the new mask first (EFAULT for bad memory), then refuses (EINVAL).
 * Chosen over process_vm_readv, which needs a pid, is refused by container
 * profiles and kills the program under seccomp filters that list what is allowed.
 */
#ifndef HEAPSPY_STACK_RANGE_H
#define HEAPSPY_STACK_RANGE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include "preload/compiler.h"

/* Loads of foreign frames: ASan's red zones lie between what a walk reads. */
#define STACK_RANGE_NO_ASAN __attribute__((no_sanitize("address")))

/*
 * What is known of a thread's own stack, kept between walks; all zero: nothing.
 * Pages [checked, top) are readable, and stay so while the thread lives.
 */
struct stack_known {
	uintptr_t top;     /* upper end; another one means another thread: forget the rest */
	uintptr_t checked; /* page aligned; 0: none yet */
	uintptr_t hole;    /* lowest checked page's neighbour, when it was unreadable; else 0 */
};

/* Where loads may go during one walk. */
struct stack_range {
	uintptr_t lo, hi; /* plain loads in [lo, hi); 0 on a foreign stack */
	uintptr_t
		span; /* words can start at this many addresses from lo on; 0 on a foreign stack */
	uintptr_t page; /* foreign stack: page found readable in this walk; 0 none */
	bool foreign;
};

/* Once, in a constructor, on the main thread; before any stack_range_open(). */
void stack_range_init(void);

/* Bytes below an interrupted frame's sp that are still the frame's (AMD64 ABI, 3.2.2). */
#define STACK_RANGE_RED_ZONE 128

/*
 * Sets *range up for a walk that reads nothing below lo: at its start, where lo
 * is the stack pointer, and again below a signal frame, which may lead to another
 * stack. known: the calling thread's.
 * System calls: for each page of the own stack the first time it is wanted.
 */
void stack_range_open(struct stack_range *range, struct stack_known *known, uintptr_t lo);

/*
 * Is sp on the thread's own stack, with that many bytes of it left below? The
 * main thread's grows, and is taken to have them. known: the calling thread's.
 * System calls: for each page the first time.
 */
bool stack_range_has_room(struct stack_known *known, uintptr_t sp, unsigned bytes);

/*
 * Is the page of an address known to be unreadable? For memory that was readable when the program
 * said so, or its loader, and that the program may have taken away since. False also where the
 * kernel cannot be asked. One system call: where a row is made, not where one is used.
 */
bool stack_range_is_gone(const void *address);

/*
 * The walk has come to a frame whose sp is this, higher than before: what its
 * callees had is dead to it. Nothing on a foreign stack, which has no bounds.
 */
static inline void stack_range_raise(struct stack_range *range, uintptr_t sp)
{
	if (range->foreign)
		return;
	range->lo = sp;
	range->span = sp + 7 < range->hi ? range->hi - sp - 7 : 0;
}

/* The load of a foreign stack; 8-byte aligned addresses only. */
bool stack_range_load_foreign(struct stack_range *range, uintptr_t address, uint64_t *valuep);

/* The 8 bytes at an address that is known to be readable. */
STACK_RANGE_NO_ASAN static inline uint64_t stack_range_word(uintptr_t address)
{
	typedef uint64_t __attribute__((aligned(1), may_alias)) any_word;

	return *(const any_word *)address;
}

/*
 * Reads the 8 bytes at address. False: not memory of this stack.
 * Cost: one subtraction, one comparison, one load on the own stack.
 */
static inline bool stack_range_load(struct stack_range *range, uintptr_t address, uint64_t *valuep)
{
	if (HS_LIKELY(address - range->lo < range->span)) {
		*valuep = stack_range_word(address);
		return true;
	}
	return range->foreign && stack_range_load_foreign(range, address, valuep);
}

#endif
