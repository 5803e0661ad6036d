/*
 * interpose_process.c - owns the hooks besides allocation: making threads,
 * unloading objects, leaving, filtering system calls, registering frame tables.
 * Each forwards its arguments untouched and takes a note on the way.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <threads.h>
#include <unistd.h>
#include "preload/atomics.h"
#include "preload/cfi_rows.h"
#include "preload/compiler.h"
#include "preload/lifecycle.h"
#include "preload/modules.h"
#include "preload/rawsys.h"
#include "preload/real_alloc.h"
#include "preload/writer.h"

/*
 * The next definition of name, looked up at first use. Two threads that look at
 * the same time find the same; the store is a single word.
 */
#define NEXT(function, name)                                                                       \
	({                                                                                         \
		static void *next_;                                                                \
		void *known_ = hs_load_acquire(&next_);                                            \
                                                                                                   \
		if (!known_) {                                                                     \
			known_ = real_alloc_next(name);                                            \
			hs_store_release(&next_, known_);                                          \
		}                                                                                  \
		(function) known_;                                                                 \
	})

HS_EXPORT int pthread_create(
	pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument)
{
	typedef int (*create_function)(
		pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
	create_function real = NEXT(create_function, "pthread_create");
	int error;

	writer_thread_coming();
	error = real ? real(thread, attributes, start, argument) : ENOSYS;
	writer_thread_made(!error);
	return error;
}

HS_EXPORT int thrd_create(thrd_t *thread, thrd_start_t start, void *argument)
{
	typedef int (*thrd_function)(thrd_t *, thrd_start_t, void *);
	thrd_function real = NEXT(thrd_function, "thrd_create");
	int result;

	writer_thread_coming();
	result = real ? real(thread, start, argument) : thrd_error;
	writer_thread_made(result == thrd_success);
	return result;
}

HS_EXPORT int dlclose(void *handle)
{
	typedef int (*dlclose_function)(void *);
	dlclose_function real = NEXT(dlclose_function, "dlclose");
	int result;

	/* Before: its code may go. After: a walk meanwhile may have made rows anew. */
	cfi_rows_flush();
	modules_unload_seen();
	result = real(handle);
	cfi_rows_flush();
	modules_unload_seen();
	return result;
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
	start_function real = NEXT(start_function, "__libc_start_main");

	program_main = main_function;
	return real(main_and_last_snapshot, argc, argv, init, fini, rtld_fini, stack_end);
}

typedef void (*leave_function)(int) __attribute__((noreturn));

HS_EXPORT void exit(int code)
{
	leave_function real = NEXT(leave_function, "exit");

	lifecycle_exit();
	real(code);
}

HS_EXPORT void _exit(int code)
{
	leave_function real = NEXT(leave_function, "_exit");

	lifecycle_exit();
	real(code);
}

HS_EXPORT void _Exit(int code)
{
	leave_function real = NEXT(leave_function, "_Exit");

	lifecycle_exit();
	real(code);
}

HS_EXPORT void quick_exit(int code)
{
	leave_function real = NEXT(leave_function, "quick_exit");

	lifecycle_exit();
	real(code);
}

/* The variadic ones are declared with all the words they can have, so that forwarding is a jump. */
#define PRCTL_WORDS unsigned long a, unsigned long b, unsigned long c, unsigned long d

HS_EXPORT int hooked_prctl(int option, PRCTL_WORDS) __asm__("prctl");
HS_EXPORT int hooked_prctl(int option, PRCTL_WORDS)
{
	typedef int (*prctl_function)(int, PRCTL_WORDS);
	prctl_function real = NEXT(prctl_function, "prctl");
	int result;

	if (HS_LIKELY(option != PR_SET_SECCOMP))
		return real(option, a, b, c, d);
	lifecycle_set_seccomp(true); /* before: afterwards may be too late */
	result = real(option, a, b, c, d);
	if (result)
		lifecycle_set_seccomp(false);
	return result;
}

#define SYSCALL_WORDS long a, long b, long c, long d, long e, long f

HS_EXPORT long hooked_syscall(long number, SYSCALL_WORDS) __asm__("syscall");
HS_EXPORT long hooked_syscall(long number, SYSCALL_WORDS)
{
	typedef long (*syscall_function)(long, SYSCALL_WORDS);
	syscall_function real = NEXT(syscall_function, "syscall");
	long result;

	if (HS_LIKELY(number != SYS_seccomp))
		return real(number, a, b, c, d, e, f);
	lifecycle_set_seccomp(true);
	result = real(number, a, b, c, d, e, f);
	if (result < 0)
		lifecycle_set_seccomp(false);
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

/*
 * Runs after the constructors of libraries that do not depend on us, and the
 * destructor before theirs: hooks work earlier than the one, later than the other.
 */
__attribute__((constructor)) static void loaded(void)
{
	lifecycle_load();
}

__attribute__((destructor)) static void unloaded(void)
{
	lifecycle_exit();
}
