/*
 * interpose_process.c - owns the hooks besides allocation: making threads,
 * loading and unloading objects, leaving, locking memory, registering frame tables.
 * Each forwards its arguments untouched and takes a note on the way. What a program
 * gives up is interpose_rights.c's.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <threads.h>
#include <unistd.h>
#include "preload/atomics.h"
#include "preload/cfi_rows.h"
#include "preload/compiler.h"
#include "preload/interpose_cxx.h"
#include "preload/interpose_rights.h"
#include "preload/lifecycle.h"
#include "preload/loaded_names.h"
#include "preload/process.h"
#include "preload/process_state.h"
#include "preload/rawsys.h"
#include "preload/real_alloc.h"
#include "preload/thread_state.h"
#include "preload/writer.h"

_Static_assert(RTLD_DEEPBIND == 8, "the bit in dlopen() below");

/* For dlopen(), which is written in assembly. */
extern void *interpose_process_next_dlopen __attribute__((visibility("hidden")));

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
	pid_t (*fork)(void);
	int (*daemon)(int, int);
	int (*mlockall)(int);
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
	RESOLVE(fork);
	RESOLVE(daemon);
	RESOLVE(mlockall);
	hs_store_release(&interpose_process_next_dlopen, real_alloc_next("dlopen"));
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
	if (error == EAGAIN && writer_make_way())
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
	if (result != thrd_success && writer_make_way())
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

/*
 * dlopen() finds its caller by the return address, and searches in that one's directories and
 * namespace: so it jumps. Noted is who asks for libc's functions first, before ours.
 */
void *interpose_process_next_dlopen __attribute__((visibility("hidden")));
void *interpose_process_dlopen(const char *path, int flags)
	__attribute__((visibility("hidden"), used));

__asm__(".pushsection .text\n"
	".globl dlopen\n"
	".type dlopen, @function\n"
	"dlopen:\n"
	"	.cfi_startproc\n"
	"	movq interpose_process_next_dlopen(%rip), %rax\n"
	"	testq %rax, %rax\n"
	"	je 1f\n"
	"	testl $8, %esi\n" /* RTLD_DEEPBIND */
	"	jne 1f\n"
	"	jmp *%rax\n"
	"1:	pushq %rdi\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	pushq %rsi\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	subq $8, %rsp\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	call interpose_process_dlopen\n"
	"	addq $8, %rsp\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	popq %rsi\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	popq %rdi\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	jmp *%rax\n"
	"	.cfi_endproc\n"
	".size dlopen, . - dlopen\n"
	".popsection\n");

void *interpose_process_dlopen(const char *path, int flags)
{
	resolve_early();
	if (flags & RTLD_DEEPBIND)
		lifecycle_bound_past_us(path);
	return interpose_process_next_dlopen;
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

/*
 * Children made past this hook, by a system call or by libc itself, inherit the countdown as it
 * is. Their figures are right as well, but all that one parent made at one time are sampled alike.
 */
HS_EXPORT pid_t fork(void)
{
	pid_t pid;

	resolve_early();
	pid = next.fork();
	if (!pid)
		lifecycle_forked();
	return pid;
}

/* libc's daemon() leaves the parent by an _exit of its own, which no hook sees. */
HS_EXPORT int daemon(int keep_directory, int keep_descriptors)
{
	struct state_header *leaving;
	int result;

	resolve_early();
	leaving = lifecycle_before_daemon();
	result = next.daemon(keep_directory, keep_descriptors);
	if (leaving)
		lifecycle_after_daemon(leaving, result == 0);
	return result;
}

/*
 * What a program locks is all that its process has, ours too. If that is more than it may, what was
 * only reserved for the state can go; and if it is not, too, for it is more that the program may
 * want to lock, be it as the stacks of threads (MCL_FUTURE).
 */
HS_EXPORT int mlockall(int flags)
{
	struct state_header *state;
	int result;

	resolve_early();
	result = next.mlockall(flags);
	state = process_state();
	if (!(result < 0 ? errno == ENOMEM : flags & MCL_CURRENT) || !state ||
		hs_load_relaxed(&process_seccomp))
		return result;
	if (process_state_spare_locked(state, !result) && result < 0)
		result = next.mlockall(flags);
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
	interpose_rights_resolve();
	interpose_cxx_resolve();
}

/*
 * Runs after the constructors of libraries that do not depend on us, and the
 * destructor before theirs: hooks work earlier than the one, later than the other.
 */
__attribute__((constructor)) static void loaded(void)
{
	lifecycle_load(resolve_all);
	loaded_names_end();
}

__attribute__((destructor)) static void unloaded(void)
{
	lifecycle_exit();
}
