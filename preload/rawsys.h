/*
 * rawsys.h - system calls without libc around them: no errno, no cancellation
 * point, no interposed wrapper. Returns the kernel's value, -errno on failure.
 * Safe in any context, a signal handler and a forked child included.
 */
#ifndef HEAPSPY_RAWSYS_H
#define HEAPSPY_RAWSYS_H

#include <stdint.h>
#include <sys/syscall.h>

static inline long rawsys6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

#define rawsys(nr, ...) rawsys_pad(nr, __VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define rawsys_pad(nr, a, b, c, d, e, f, ...)                                                      \
	rawsys6((nr), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

#endif
