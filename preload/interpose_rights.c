/*
 * interpose_rights.c - owns the hooks of calls by which a program gives something
 * up: system calls, the reading of time, rights, namespaces. Each forwards its
 * arguments untouched; what has to be done before is lifecycle.c's.
 */
#include <errno.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/prctl.h>
#include "preload/atomics.h"
#include "preload/compiler.h"
#include "preload/interpose_rights.h"
#include "preload/lifecycle.h"
#include "preload/process.h"
#include "preload/rawsys.h"
#include "preload/real_alloc.h"
#include "preload/thread_state.h"
#include "preload/writer.h"

_Static_assert(SYS_seccomp == 317 && SYS_prctl == 157 && SYS_capset == 126 && SYS_exit == 60 &&
		       SYS_unshare == 272 && SYS_setns == 308 && SYS_landlock_restrict_self == 446,
	"the numbers in syscall() below");

/* For syscall(), which is written in assembly. */
extern void *interpose_rights_next_syscall __attribute__((visibility("hidden")));

static struct {
	int (*prctl)(int, unsigned long, unsigned long, unsigned long, unsigned long);
	int (*capset)(cap_user_header_t, const cap_user_data_t);
	int (*unshare)(int);
	int (*setns)(int, int);
} next;

void interpose_rights_resolve(void)
{
#define RESOLVE(name) (next.name = (__typeof__(next.name))real_alloc_next(#name))
	if (HS_LIKELY(hs_load_acquire(&interpose_rights_next_syscall)))
		return;
	RESOLVE(prctl);
	RESOLVE(capset);
	RESOLVE(unshare);
	RESOLVE(setns);
	/* Last, as the sign that all are there. */
	hs_store_release(&interpose_rights_next_syscall, real_alloc_next("syscall"));
#undef RESOLVE
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

/*
 * A thread gives up rights for itself alone, and a new user namespace wants a process of one
 * thread; so does setns() for some. A helper would be where rights are left, or in the way.
 */
static void note_prctl(int option)
{
	if (option == PR_SET_NAME)
		thread_state_renamed(true);
	else if (option == PR_SET_SECUREBITS || option == PR_CAPBSET_DROP ||
		 option == PR_CAP_AMBIENT)
		lifecycle_helper_leaves();
}

HS_EXPORT int capset(cap_user_header_t header, const cap_user_data_t data);
HS_EXPORT int capset(cap_user_header_t header, const cap_user_data_t data)
{
	interpose_rights_resolve();
	lifecycle_helper_leaves();
	return next.capset(header, data);
}

HS_EXPORT int unshare(int flags)
{
	interpose_rights_resolve();
	lifecycle_helper_leaves();
	return next.unshare(flags);
}

HS_EXPORT int setns(int fd, int type)
{
	interpose_rights_resolve();
	lifecycle_helper_leaves();
	return next.setns(fd, type);
}

HS_EXPORT int hooked_prctl(int option, unsigned long a, unsigned long b, unsigned long c,
	unsigned long d) __asm__("prctl");
HS_EXPORT int hooked_prctl(
	int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
	struct giving_up giving_up;
	int result;

	interpose_rights_resolve();
	if (HS_LIKELY(option != PR_SET_SECCOMP && option != PR_SET_TSC)) {
		note_prctl(option);
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
 * the calls of this file, whose words are all in registers, go through C.
 */
void *interpose_rights_next_syscall __attribute__((visibility("hidden")));
long interpose_rights_first_syscall(void) __attribute__((visibility("hidden"), used));
long interpose_rights_seccomp(long number, long operation, long flags, long program)
	__attribute__((visibility("hidden"), used));
long interpose_rights_prctl(long number, long option, long a, long b, long c, long d)
	__attribute__((visibility("hidden"), used));
long interpose_rights_own(long number, long a, long b) __attribute__((visibility("hidden"), used));
long interpose_rights_exit(long number, long code) __attribute__((visibility("hidden"), used));

__asm__(".pushsection .text\n"
	".globl syscall\n"
	".type syscall, @function\n"
	"syscall:\n"
	"	.cfi_startproc\n"
	"	cmpq $317, %rdi\n" /* SYS_seccomp */
	"	je interpose_rights_seccomp\n"
	"	cmpq $157, %rdi\n" /* SYS_prctl */
	"	je interpose_rights_prctl\n"
	"	cmpq $126, %rdi\n" /* SYS_capset */
	"	je interpose_rights_own\n"
	"	cmpq $272, %rdi\n" /* SYS_unshare */
	"	je interpose_rights_own\n"
	"	cmpq $308, %rdi\n" /* SYS_setns */
	"	je interpose_rights_own\n"
	"	cmpq $446, %rdi\n" /* SYS_landlock_restrict_self */
	"	je interpose_rights_own\n"
	"	cmpq $60, %rdi\n" /* SYS_exit */
	"	je interpose_rights_exit\n"
	"	movq interpose_rights_next_syscall(%rip), %rax\n"
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
	"	call interpose_rights_first_syscall\n"
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
long interpose_rights_first_syscall(void)
{
	interpose_rights_resolve();
	return (long)interpose_rights_next_syscall;
}

long interpose_rights_seccomp(long number, long operation, long flags, long program)
{
	long (*real)(long, long, long, long);
	struct giving_up g;
	long result;

	interpose_rights_resolve();
	real = (long (*)(long, long, long, long))interpose_rights_next_syscall;
	/* The other operations only ask. */
	g = clock_and_calls_coming(operation == SECCOMP_SET_MODE_STRICT,
		operation == SECCOMP_SET_MODE_FILTER && program);
	result = real(number, operation, flags, program);
	conclude(&g, result < 0);
	return result;
}

long interpose_rights_prctl(long number, long option, long a, long b, long c, long d)
{
	struct giving_up g = { false, NULL };
	long (*real)(long, long, long, long, long, long);
	long result;

	interpose_rights_resolve();
	real = (long (*)(long, long, long, long, long, long))interpose_rights_next_syscall;
	note_prctl((int)option);
	if (option == PR_SET_SECCOMP || option == PR_SET_TSC)
		g = prctl_coming((int)option, (unsigned long)a, (unsigned long)b);
	result = real(number, option, a, b, c, d);
	conclude(&g, result < 0);
	return result;
}

long interpose_rights_own(long number, long a, long b)
{
	interpose_rights_resolve();
	lifecycle_helper_leaves();
	return ((long (*)(long, long, long))interpose_rights_next_syscall)(number, a, b);
}

/*
 * The main thread leaves without libc's knowing. The helper would be left alone in the end, in a
 * process that never ends and takes no signal (see pthread_exit() in interpose_process.c). A vfork
 * child leaves so as well, and is not the thread that the state is of.
 */
long interpose_rights_exit(long number, long code)
{
	const struct state_header *state = process_state();

	interpose_rights_resolve();
	if (state && !hs_load_relaxed(&process_seccomp) &&
		(uint32_t)rawsys(SYS_gettid, 0) == state->pid)
		writer_main_ends();
	return ((long (*)(long, long))interpose_rights_next_syscall)(number, code);
}
