/*
 * heapspy.h - talk to the profiler from inside the program. Optional: nothing
 * here is needed to be profiled, and nothing has to be linked.
 *
 *     #include <heapspy/heapspy.h>
 *
 *     load_index();
 *     heapspy_snapshot("index loaded");
 *     ...
 *     heapspy diff heapspy.server.4121@mark:'index loaded' heapspy.server.4121
 *
 * The functions are weak: without libheapspy.so in LD_PRELOAD each call is a
 * test and nothing else, and says so in its result. All may be called from any
 * thread; not from a signal handler. Not promised: that a snapshot is on disk
 * after a power failure (there is no fsync in your process).
 */
#ifndef HEAPSPY_HEAPSPY_H
#define HEAPSPY_HEAPSPY_H

#ifdef __cplusplus
extern "C" {
#endif

/* The library's side; call the functions below instead. */
int heapspy_snapshot_v1(const char *label) __attribute__((weak));
int heapspy_start_v1(void) __attribute__((weak));
int heapspy_stop_v1(void) __attribute__((weak));
int heapspy_is_active_v1(void) __attribute__((weak));

/*
 * The address of a weak function at run time, NULL without the library. A plain
 * reference will not do: in a program that is not position independent the
 * linker settles it for NULL once and for all. One through the GOT stays open.
 */
#if defined(__x86_64__)
#define HEAPSPY_ADDRESS(function)                                                                  \
	__extension__({                                                                            \
		__typeof__(&function) address_;                                                    \
                                                                                                   \
		__asm__(".weak " #function "\n\tmovq " #function "@GOTPCREL(%%rip), %0"            \
			: "=r"(address_));                                                         \
		address_;                                                                          \
	})
#else
#define HEAPSPY_ADDRESS(function) (&function)
#endif

/*
 * Writes a snapshot now and returns when the file is in place.
 *
 * label: shown by `heapspy dump`, and found by RUN@mark:LABEL; NULL for none,
 *        up to 200 bytes are kept. Copied.
 * Returns the number of the snapshot (from 1); 0 when the library is not
 * loaded, profiles nothing, or could not write (counted in later snapshots).
 */
static inline int heapspy_snapshot(const char *label)
{
	int (*function)(const char *) = HEAPSPY_ADDRESS(heapspy_snapshot_v1);

	return function ? function(label) : 0;
}

/*
 * Switches sampling on, off. Blocks sampled before a stop stay followed until
 * they are freed. The calling thread obeys at once, another one after at most
 * 256 KiB of its own allocations. Returns 1, or 0 without the library.
 */
static inline int heapspy_start(void)
{
	int (*function)(void) = HEAPSPY_ADDRESS(heapspy_start_v1);

	return function ? function() : 0;
}

static inline int heapspy_stop(void)
{
	int (*function)(void) = HEAPSPY_ADDRESS(heapspy_stop_v1);

	return function ? function() : 0;
}

/* 1 while allocations of this process are sampled, else 0. */
static inline int heapspy_is_active(void)
{
	int (*function)(void) = HEAPSPY_ADDRESS(heapspy_is_active_v1);

	return function ? function() : 0;
}

#ifdef __cplusplus
}
#endif

#endif
