/*
 * test_unwind_guess.c - chains of frame pointers made by hand: which return
 * address is believed. Code outside all objects is where nothing is mapped.
 */
#include <stdlib.h>
#include "preload/cfi_objects.h"
#include "preload/modules.h"
#include "preload/unwind_guess.h"
#include "tap.h"

#define OUTSIDE 0x700000010000ull
#define N_SLOTS 200

/* No filter of system calls in the test. */
uint32_t process_seccomp;

unsigned modules_serial(const struct dl_find_object *object)
{
	return 3;
}

/* Right after a call in this program, and in this program but not after a call. */
static uintptr_t after_call, no_call;

static __attribute__((noinline)) uintptr_t return_address(void)
{
	return (uintptr_t)__builtin_return_address(0);
}

/* The frames of a chain: a frame pointer and a return address each, on the test's own stack. */
struct chain {
	uint64_t slots[N_SLOTS];
	unsigned n;
};

/* The frame after the last one: it returns to pc. */
static void add(struct chain *chain, uint64_t pc)
{
	chain->slots[chain->n] = (uintptr_t)&chain->slots[chain->n + 2];
	chain->slots[chain->n + 1] = pc;
	chain->n += 2;
}

/* Is the caller of code in a loaded object found, and is it the chain's first return address? */
static bool believed(struct chain *chain, enum guess_trust trust)
{
	uintptr_t sp = (uintptr_t)chain->slots, bp = sp, pc = no_call;
	struct stack_known known = { 0 };
	struct stack_range range;

	stack_range_open(&range, &known, sp);
	CHECK(!range.foreign);
	if (!unwind_guess_caller(&range, trust, &pc, &sp, &bp)) {
		CHECK(pc == no_call && sp == (uintptr_t)chain->slots && bp == sp);
		return false;
	}
	CHECK(pc == chain->slots[1] && sp == (uintptr_t)&chain->slots[2] && bp == chain->slots[0]);
	return true;
}

static void test_objects(void)
{
	struct chain call = { { 0 }, 0 }, other = { { 0 }, 0 }, end = { { 0 }, 0 };

	add(&call, after_call);
	CHECK(believed(&call, GUESS_OBJECT) && believed(&call, GUESS_OUTSIDE));
	add(&other, no_call);
	CHECK(!believed(&other, GUESS_OBJECT) && !believed(&other, GUESS_OUTSIDE));
	CHECK(believed(&other, GUESS_PLAIN));
	add(&end, 0);
	CHECK(believed(&end, GUESS_OBJECT));
}

static void test_frame_pointers(void)
{
	struct chain chain = { { 0 }, 0 };
	struct stack_known known = { 0 };
	struct stack_range range;
	const uintptr_t sp = (uintptr_t)&chain.slots[10];
	const uintptr_t bad[] = { sp - 8, sp + 4, sp + (1 << 20), 0, UINTPTR_MAX - 7 };

	for (unsigned i = 0; i < N_SLOTS / 2; i++)
		add(&chain, after_call);
	stack_range_open(&range, &known, sp);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uintptr_t pc = no_call, at = sp, bp = bad[i];

		CHECK(!unwind_guess_caller(&range, GUESS_PLAIN, &pc, &at, &bp));
		CHECK(pc == no_call && at == sp && bp == bad[i]);
	}
}

/* A frame outside, of a region nothing is known of, must lead back to a call in an object. */
static void test_chain_leads_back(void)
{
	struct chain lost = { { 0 }, 0 }, back = { { 0 }, 0 }, wrong = { { 0 }, 0 };
	struct chain deep = { { 0 }, 0 }, too_deep = { { 0 }, 0 }, down = { { 0 }, 0 };

	add(&lost, OUTSIDE);
	lost.slots[0] = 1;
	CHECK(!believed(&lost, GUESS_OBJECT));
	add(&back, OUTSIDE);
	add(&back, after_call);
	CHECK(believed(&back, GUESS_OBJECT));
	add(&wrong, OUTSIDE);
	add(&wrong, no_call);
	add(&wrong, after_call);
	CHECK(!believed(&wrong, GUESS_OBJECT));
	for (unsigned i = 0; i < 20; i++)
		add(&deep, OUTSIDE + i * 64);
	add(&deep, after_call);
	CHECK(believed(&deep, GUESS_OBJECT));
	for (unsigned i = 0; i < 80; i++)
		add(&too_deep, OUTSIDE + i * 64);
	add(&too_deep, after_call);
	CHECK(!believed(&too_deep, GUESS_OBJECT));
	add(&down, OUTSIDE);
	add(&down, after_call);
	down.slots[0] = (uintptr_t)down.slots;
	CHECK(!believed(&down, GUESS_OBJECT));
	/* None of these has taught anything. */
	CHECK(!believed(&lost, GUESS_OBJECT));
}

static void test_learned_region(void)
{
	struct chain near = { { 0 }, 0 }, far = { { 0 }, 0 };

	add(&near, OUTSIDE + (1 << 29));
	add(&far, OUTSIDE + (1ull << 32));
	near.slots[0] = far.slots[0] = 1;
	CHECK(!believed(&near, GUESS_OBJECT) && !believed(&far, GUESS_OBJECT));
	unwind_guess_learn(OUTSIDE);
	CHECK(believed(&near, GUESS_OBJECT) && !believed(&far, GUESS_OBJECT));
}

int main(void)
{
	stack_range_init();
	cfi_objects_init();
	after_call = return_address();
	no_call = (uintptr_t)return_address;
	TAP_RUN(test_objects);
	TAP_RUN(test_frame_pointers);
	TAP_RUN(test_chain_leads_back);
	TAP_RUN(test_learned_region);
	return tap_done();
}
