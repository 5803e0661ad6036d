/*
 * sample_age.h - when a live sample was born, and how old it is. A birth has 56 bits of
 * nanoseconds, 2.28 years: they go round, as those of a clock without a date do. So a process may
 * run for any time, and every block younger than that has its right age; an older one counts as
 * 2.28 years younger. For both halves.
 */
#ifndef HEAPSPY_SAMPLE_AGE_H
#define HEAPSPY_SAMPLE_AGE_H

#include <stdint.h>

#define SAMPLE_BIRTH_MASK ((UINT64_C(1) << 56) - 1)

/*
 * What is so little short of a whole round has not been born yet: another thread's time, or a
 * sample that came while the snapshot was being read. 18 minutes.
 */
#define SAMPLE_UNBORN_NS (UINT64_C(1) << 40)

/* The bits of a birth, now_ns after the start. */
static inline uint64_t sample_birth_bits(uint64_t now_ns)
{
	return now_ns & SAMPLE_BIRTH_MASK;
}

/*
 * Age, in ns, now_ns after the start of the process, of a sample with these bits of a birth (higher
 * ones are ignored). UINT64_MAX: it has not been born by then.
 */
static inline uint64_t sample_age_ns(uint64_t birth_bits, uint64_t now_ns)
{
	uint64_t age_ns = (now_ns - birth_bits) & SAMPLE_BIRTH_MASK;

	return age_ns > now_ns || age_ns > SAMPLE_BIRTH_MASK - SAMPLE_UNBORN_NS ? UINT64_MAX
										: age_ns;
}

/* The birth in ns after the start, of a sample that has been born by now_ns. */
static inline uint64_t sample_birth_ns(uint64_t birth_bits, uint64_t now_ns)
{
	return now_ns - sample_age_ns(birth_bits, now_ns);
}

#endif
