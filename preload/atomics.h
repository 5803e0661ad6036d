/*
 * atomics.h - every shared access of the library goes through these names, so
 * that one grep shows the whole memory model. The name spells the order.
 *
 * All work on naturally aligned integers and pointers of up to 8 bytes (one on
 * a pair of words), are lock-free on the supported machines, and are safe in
 * signal handlers.
 */
#ifndef HEAPSPY_ATOMICS_H
#define HEAPSPY_ATOMICS_H

#include <stdbool.h>
#include <stdint.h>

#define hs_load_relaxed(p)        __atomic_load_n((p), __ATOMIC_RELAXED)
#define hs_load_acquire(p)        __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define hs_store_relaxed(p, v)    __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define hs_store_release(p, v)    __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define hs_add_relaxed(p, v)      __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define hs_sub_relaxed(p, v)      __atomic_fetch_sub((p), (v), __ATOMIC_RELAXED)
#define hs_exchange_acq_rel(p, v) __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL)

/* Compare-and-swap; on failure *expectedp is what was found. */
#define hs_cas_acq_rel(p, expectedp, v)                                                            \
	__atomic_compare_exchange_n(                                                               \
		(p), (expectedp), (v), false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
#define hs_cas_relaxed(p, expectedp, v)                                                            \
	__atomic_compare_exchange_n(                                                               \
		(p), (expectedp), (v), false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)

/*
 * Compare-and-swap of 16 aligned bytes, a in the lower eight; on failure *expected_ap and
 * *expected_bp are what was found. Orders everything. cmpxchg16b: in every x86-64 processor since
 * 2006; not the compiler's own, which calls a library.
 */
static inline bool hs_cas_pair(
	void *pair, uint64_t *expected_ap, uint64_t *expected_bp, uint64_t a, uint64_t b)
{
	struct hs_pair {
		uint64_t words[2];
	} __attribute__((may_alias)) *p = pair;
	bool done;

	__asm__ volatile("lock cmpxchg16b %1"
			 : "=@ccz"(done), "+m"(*p), "+a"(*expected_ap), "+d"(*expected_bp)
			 : "b"(a), "c"(b)
			 : "memory");
	return done;
}

/* Orders an earlier store before a later load of another word (Dekker). */
#define hs_fence_seq_cst() __atomic_thread_fence(__ATOMIC_SEQ_CST)

#endif
