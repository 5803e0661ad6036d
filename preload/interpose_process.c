/*
 * interpose_process.c - owns the hooks besides allocation: making threads,
 * unloading objects, leaving, filtering system calls, registering frame tables.
 * Each forwards its arguments untouched and takes a note on the way.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <threads.h>
#include <unistd.h>
#include "preload/atomics.h"
#include "preload/cfi_rows.h"
#include "preload/compiler.h"
#include "preload/interpose_cxx.h"
#include "preload/lifecycle.h"
#include "preload/process.h"
#include "preload/process_state.h"
#include "preload/rawsys.h"
#include "preload/real_alloc.h"
#include "preload/thread_state.h"
#include "preload/writer.h"

_Static_assert(SYS_seccomp == 317 && SYS_prctl == 157, "the numbers in syscall() below");

/* For syscall(), which is written in assembly. */
extern void *interpose_process_next_syscall __attribute__((visibility("hidden")));

/*
 * The next definitions, all looked up at load: dlsym() takes the loader's lock,
 * which must not be waited for in a thread that is leaving, and it drops the
 * error text that the program may be about to ask dlerror() for. A hook called
 * earlier, by another library's constructor, looks up at once.
 */
static struct {
	int (*pthread_create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
	int (*thrd_create)(thrd_t *, thrd_start_t, void *);
	int (*pthread_setname_np)(pthread_t, const char *);
	void (*pthread_exit)(void *) __attribute__((noreturn));
	int (*dlclose)(void *);
	void (*cxa_finalize)(void *);
	void (*exit)(int) __attribute__((noreturn));
	void (*_exit)(int) __attribute__((noreturn));
	void (*_Exit)(int) __attribute__((noreturn));
	void (*quick_exit)(int) __attribute__((noreturn));
	int (*daemon)(int, int);
	int (*prctl)(int, unsigned long, unsigned long, unsigned long, unsigned long);
} next;

static void resolve(void)
{
#define RESOLVE(name) (next.name = (__typeof__(next.name))real_alloc_next(#name))
	RESOLVE(pthread_create);
	RESOLVE(thrd_create);
	RESOLVE(pthread_setname_np);
	RESOLVE(pthread_exit);
	RESOLVE(dlclose);
	next.cxa_finalize = (void (*)(void *))real_alloc_next("__cxa_finalize");
	RESOLVE(exit);
	RESOLVE(_exit);
	RESOLVE(_Exit);
	RESOLVE(daemon);
	RESOLVE(prctl);
	hs_store_release(&interpose_process_next_syscall, real_alloc_next("syscall"));
	RESOLVE(quick_exit); /* last, as the sign that all are there */
#undef RESOLVE
}

static inline void resolve_early(void)
{
	if (HS_UNLIKELY(!next.quick_exit))
		resolve();
}

/* A forked child that makes threads before its first sample needs its state now, for the helper. */
static void thread_made(bool made, bool first)
{
	if (made && !process_state())
		lifecycle_make_state();
	writer_thread_made(made, first);
}

HS_EXPORT int pthread_create(
	pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument)
{
	bool first = writer_thread_coming();
	int error;

	resolve_early();
	error = next.pthread_create(thread, attributes, start, argument);
	thread_made(!error, first);
	return error;
}

HS_EXPORT int thrd_create(thrd_t *thread, thrd_start_t start, void *argument)
{
	bool first = writer_thread_coming();
	int result;

	resolve_early();
	result = next.thrd_create(thread, start, argument);
	thread_made(result == thrd_success, first);
	return result;
}

/* prctl() is the other way to name a thread; a file in /proc, which no hook sees, the third. */
HS_EXPORT int pthread_setname_np(pthread_t thread, const char *name)
{
	int error;

	resolve_early();
	error = next.pthread_setname_np(thread, name);
	thread_state_renamed(pthread_equal(thread, pthread_self()));
	return error;
}

/*
 * The process ends with its last thread, and libc counts the helper. Once the
 * main thread is gone that can be any moment, so the helper ends first; it must
 * not be the last one either, for it would run the exit handlers, without the
 * program's descriptors.
 */
HS_EXPORT void pthread_exit(void *value)
{
	resolve_early();
	if (!hs_load_relaxed(&process_seccomp) && rawsys(SYS_gettid, 0) == rawsys(SYS_getpid, 0))
		writer_main_ends();
	next.pthread_exit(value);
}

HS_EXPORT int dlclose(void *handle)
{
	int result;

	resolve_early();
	/* Before: its code may go. After: a walk meanwhile may have made rows anew. */
	cfi_rows_flush();
	result = next.dlclose(handle);
	cfi_rows_flush();
	return result;
}

/*
 * libc unloads objects by itself, gconv modules for one, and so does who finds
 * dlclose past us. But the last that an object does, by the start files of its
 * compiler, is to call this for itself. At exit every object does.
 */
HS_EXPORT void __cxa_finalize(void *object);
HS_EXPORT void __cxa_finalize(void *object)
{
	resolve_early();
	next.cxa_finalize(object);
	/* After: what it ran was code of the object. */
	cfi_rows_flush();
}

/*
 * The end. The last snapshot is to show the program as it was, not what its
 * destructors and exit handlers have left of it: so it is taken when main
 * returns, and when exit is called. exit() may also be called by libc itself
 * (the last thread's end): then our destructor is late, but not too late.
 */
static int (*program_main)(int, char **, char **);

static int main_and_last_snapshot(int argc, char **argv, char **environment)
{
	int code = program_main(argc, argv, environment);

	lifecycle_exit();
	return code;
}

typedef int (*start_function)(int (*)(int, char **, char **), int, char **, void (*)(void),
	void (*)(void), void (*)(void), void *);

HS_EXPORT int __libc_start_main(int (*main_function)(int, char **, char **), int argc, char **argv,
	void (*init)(void), void (*fini)(void), void (*rtld_fini)(void), void *stack_end);
HS_EXPORT int __libc_start_main(int (*main_function)(int, char **, char **), int argc, char **argv,
	void (*init)(void), void (*fini)(void), void (*rtld_fini)(void), void *stack_end)
{
	start_function real = (start_function)real_alloc_next("__libc_start_main");

	program_main = main_function;
	return real(main_and_last_snapshot, argc, argv, init, fini, rtld_fini, stack_end);
}

HS_EXPORT void exit(int code)
{
	resolve_early();
	lifecycle_exit();
	next.exit(code);
}

HS_EXPORT void _exit(int code)
{
	resolve_early();
	lifecycle_exit();
	next._exit(code);
}

HS_EXPORT void _Exit(int code)
{
	resolve_early();
	lifecycle_exit();
	next._Exit(code);
}

HS_EXPORT void quick_exit(int code)
{
	resolve_early();
	lifecycle_exit();
	next.quick_exit(code);
}

/* libc's daemon() leaves the parent by an _exit of its own, which no hook sees. */
HS_EXPORT int daemon(int keep_directory, int keep_descriptors)
{
	struct state_header *state = process_state();
	uint64_t start_ticks = 0, start_ns = 0;
	bool is_ours = false;
	uint32_t pid = 0;
	int result;

	resolve_early();
	if (state && !hs_load_relaxed(&process_seccomp) &&
		state->pid == (uint32_t)rawsys(SYS_getpid, 0)) {
		pid = state->pid;
		start_ticks = state->start_ticks;
		start_ns = state->start_ns;
		is_ours = lifecycle_before_daemon();
	}
	result = next.daemon(keep_directory, keep_descriptors);
	if (!result && is_ours) /* the child: nobody else is left to remove it */
		process_state_unlink(&process_settings, pid, start_ticks, start_ns);
	return result;
}

/*
 * What a program gives up, system calls or the reading of time: we do before the
 * call, because afterwards may be too late. If it fails all is as it was, unless
 * another thread has done the same.
 */
struct giving_up {
	bool raised;
	struct state_header *resting;
};

static struct giving_up clock_and_calls_coming(bool clock, bool calls)
{
	struct giving_up g = { false, NULL };

	if (clock)
		g.resting = lifecycle_clock_going();
	/* Without a clock too: what a forked child inherits must say so. */
	if (clock || calls)
		g.raised = lifecycle_seccomp_coming();
	return g;
}

static struct giving_up prctl_coming(int option, unsigned long a, unsigned long b)
{
	if (option == PR_SET_TSC)
		return clock_and_calls_coming(a == PR_TSC_SIGSEGV, false);
	/* A filter without a program only asks whether there could be one. */
	return clock_and_calls_coming(a == SECCOMP_MODE_STRICT, a != SECCOMP_MODE_FILTER || b);
}

/* Keeps errno, which tells why the call failed. */
static void conclude(const struct giving_up *g, bool failed)
{
	int saved_errno = errno;

	if (failed && g->raised)
		lifecycle_seccomp_failed();
	if (failed)
		lifecycle_clock_stays(g->resting);
	errno = saved_errno;
}

HS_EXPORT int hooked_prctl(int option, unsigned long a, unsigned long b, unsigned long c,
	unsigned long d) __asm__("prctl");
HS_EXPORT int hooked_prctl(
	int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
	struct giving_up giving_up;
	int result;

	resolve_early();
	if (HS_LIKELY(option != PR_SET_SECCOMP && option != PR_SET_TSC)) {
		if (option == PR_SET_NAME)
			thread_state_renamed(true);
		return next.prctl(option, a, b, c, d);
	}
	giving_up = prctl_coming(option, a, b);
	result = next.prctl(option, a, b, c, d);
	conclude(&giving_up, result != 0);
	return result;
}

/*
 * syscall() must not touch the word that a seventh argument would have on the
 * stack: a caller with fewer keeps something else there. So it jumps, and only
 * seccomp() and prctl(), whose words are all in registers, go through C.
 */
void *interpose_process_next_syscall __attribute__((visibility("hidden")));
long interpose_process_first_syscall(void) __attribute__((visibility("hidden"), used));
long interpose_process_seccomp(long number, long operation, long flags, long program)
	__attribute__((visibility("hidden"), used));
long interpose_process_prctl(long number, long option, long a, long b, long c, long d)
	__attribute__((visibility("hidden"), used));

__asm__(".pushsection .text\n"
	".globl syscall\n"
	".type syscall, @function\n"
	"syscall:\n"
	"	.cfi_startproc\n"
	"	cmpq $317, %rdi\n" /* SYS_seccomp */
	"	je interpose_process_seccomp\n"
	"	cmpq $157, %rdi\n" /* SYS_prctl */
	"	je interpose_process_prctl\n"
	"	movq interpose_process_next_syscall(%rip), %rax\n"
	"	testq %rax, %rax\n"
	"	je 1f\n"
	"	jmp *%rax\n"
	"1:	pushq %rdi\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	pushq %rsi\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	pushq %rdx\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	pushq %rcx\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	pushq %r8\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	pushq %r9\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	subq $8, %rsp\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	call interpose_process_first_syscall\n"
	"	addq $8, %rsp\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	popq %r9\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	popq %r8\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	popq %rcx\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	popq %rdx\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	popq %rsi\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	popq %rdi\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	jmp *%rax\n"
	"	.cfi_endproc\n"
	".size syscall, . - syscall\n"
	".popsection\n");

/* A call before load: the real function, looked up. */
long interpose_process_first_syscall(void)
{
	resolve_early();
	return (long)interpose_process_next_syscall;
}

long interpose_process_seccomp(long number, long operation, long flags, long program)
{
	long (*real)(long, long, long, long);
	struct giving_up g;
	long result;

	resolve_early();
	real = (long (*)(long, long, long, long))interpose_process_next_syscall;
	/* The other operations only ask. */
	g = clock_and_calls_coming(operation == SECCOMP_SET_MODE_STRICT,
		operation == SECCOMP_SET_MODE_FILTER && program);
	result = real(number, operation, flags, program);
	conclude(&g, result < 0);
	return result;
}

long interpose_process_prctl(long number, long option, long a, long b, long c, long d)
{
	struct giving_up g = { false, NULL };
	long (*real)(long, long, long, long, long, long);
	long result;

	resolve_early();
	real = (long (*)(long, long, long, long, long, long))interpose_process_next_syscall;
	if (option == PR_SET_NAME)
		thread_state_renamed(true);
	if (option == PR_SET_SECCOMP || option == PR_SET_TSC)
		g = prctl_coming((int)option, (unsigned long)a, (unsigned long)b);
	result = real(number, option, a, b, c, d);
	conclude(&g, result < 0);
	return result;
}

/*
 * Frame tables of generated code. The unwinder of C++ exceptions must hear of
 * them whatever we do; the next definition may be one that a plugin brought.
 */
static void *next_unwinder(const char *name)
{
	static const char *const unwinders[] = { "libgcc_s.so.1", "libunwind.so.1", NULL };

	return real_alloc_next_or_in(name, unwinders);
}

HS_EXPORT void __register_frame(void *table);
HS_EXPORT void __register_frame(void *table)
{
	void (*real)(void *) = (void (*)(void *))next_unwinder("__register_frame");

	cfi_rows_register(table);
	if (real)
		real(table);
}

HS_EXPORT void __deregister_frame(void *table);
HS_EXPORT void __deregister_frame(void *table)
{
	void (*real)(void *) = (void (*)(void *))next_unwinder("__deregister_frame");

	cfi_rows_deregister(table);
	if (real)
		real(table);
}

HS_EXPORT void __register_frame_info(const void *table, void *object);
HS_EXPORT void __register_frame_info(const void *table, void *object)
{
	void (*real)(const void *, void *) =
		(void (*)(const void *, void *))next_unwinder("__register_frame_info");

	cfi_rows_register(table);
	if (real)
		real(table, object);
}

HS_EXPORT void *__deregister_frame_info(const void *table);
HS_EXPORT void *__deregister_frame_info(const void *table)
{
	void *(*real)(const void *) =
		(void *(*)(const void *))next_unwinder("__deregister_frame_info");

	cfi_rows_deregister(table);
	return real ? real(table) : NULL;
}

static void resolve_all(void)
{
	resolve_early();
	interpose_cxx_resolve();
}

/*
 * Runs after the constructors of libraries that do not depend on us, and the
 * destructor before theirs: hooks work earlier than the one, later than the other.
 */
__attribute__((constructor)) static void loaded(void)
{
	lifecycle_load(resolve_all);
}

__attribute__((destructor)) static void unloaded(void)
{
	lifecycle_exit();
}
