/*
 * stack_range.c - bounds of stacks, without asking libc: pthread_getattr_np
 * allocates while it holds the lock that a second call from a hook waits for.
 *
 * Owns the question "is this page readable". Leaves to unwind.c what to read.
 */
#include <dlfcn.h>
#include <errno.h>
#include "preload/process.h"
#include "preload/rawsys.h"
#include "preload/stack_range.h"

/* The smallest page of the architecture: larger ones are only probed more often. */
#define PAGE_BYTES 4096u

/* A thread that is deeper than this on one stack is walked as a foreign one: slower, as right. */
#define OWN_STACK_MAX_BYTES (64u << 20)

#define KERNEL_SIGSET_BYTES 8
#define SIG_NO_SUCH_HOW     (~0)

static uintptr_t page_of(uintptr_t address)
{
	return address & ~(uintptr_t)(PAGE_BYTES - 1);
}

static bool page_readable(uintptr_t page)
{
	long result;

	/* A filter may kill us for asking. */
	if (hs_load_relaxed(&process_seccomp))
		return false;
	result = rawsys(SYS_rt_sigprocmask, SIG_NO_SUCH_HOW, page, 0, KERNEL_SIGSET_BYTES);

	/* EINVAL, and only it: a sandbox that refuses the call has not looked at the page. */
	return result == -EINVAL;
}

bool stack_range_is_gone(const void *address)
{
	return !hs_load_relaxed(&process_seccomp) &&
	       rawsys(SYS_rt_sigprocmask, SIG_NO_SUCH_HOW, page_of((uintptr_t)address), 0,
		       KERNEL_SIGSET_BYTES) == -EFAULT;
}

/* Of the thread that loaded the library, which under LD_PRELOAD is the main one; constant. */
static uintptr_t main_thread_pointer;

/* The main thread's stack pointer at the program's start; 0 where ld.so does not tell. Constant. */
static uintptr_t main_stack_end;

static uintptr_t thread_pointer(void)
{
	uintptr_t value;

	__asm__("movq %%fs:0, %0" : "=r"(value));
	return value;
}

void stack_range_init(void)
{
	/* Not by name: the library would need ld.so's file, and musl's programs have none. */
	void *const *end = dlsym(RTLD_DEFAULT, "__libc_stack_end");

	main_thread_pointer = thread_pointer();
	main_stack_end = end ? (uintptr_t)*end : 0;
}

/*
 * Upper end of the thread's own stack. glibc puts a thread's descriptor, which
 * is where the thread pointer leads, at the upper end of the stack that it
 * makes or is given; only the main thread's is elsewhere.
 */
static uintptr_t own_top(void)
{
	uintptr_t pointer = thread_pointer();

	return pointer == main_thread_pointer ? main_stack_end : pointer;
}

/* Extends the checked pages down to the one of sp. False: something unreadable lies between. */
static bool check_down_to(struct stack_known *known, uintptr_t sp)
{
	uintptr_t wanted = page_of(sp);
	uintptr_t page = known->checked ? known->checked : page_of(known->top - 1) + PAGE_BYTES;

	/*
	 * The unreadable page may have become stack meanwhile: the main thread's
	 * grows. One call tells, where a scan would cost one a page each time.
	 */
	if (known->hole && !page_readable(known->hole))
		return false;
	known->hole = 0;
	while (page > wanted) {
		page -= PAGE_BYTES;
		if (!page_readable(page)) {
			known->hole = page;
			return false;
		}
		known->checked = page;
	}
	return true;
}

HS_SAMPLED void stack_range_open(struct stack_range *range, struct stack_known *known, uintptr_t lo)
{
	uintptr_t top = own_top();

	*range = (struct stack_range){ .foreign = true };
	/* Above the top the difference is a huge number. */
	if (top - lo < 8 || top - lo > OWN_STACK_MAX_BYTES)
		return;
	if (top != known->top)
		*known = (struct stack_known){ .top = top };
	if ((known->checked && lo >= known->checked) || check_down_to(known, lo))
		*range = (struct stack_range){ .lo = lo, .hi = top, .span = top - lo - 7 };
}

bool stack_range_has_room(struct stack_known *known, uintptr_t sp, unsigned bytes)
{
	struct stack_range range;

	stack_range_open(&range, known, sp);
	if (range.foreign)
		return false;
	if (thread_pointer() == main_thread_pointer)
		return true;
	stack_range_open(&range, known, sp - bytes);
	return !range.foreign;
}

STACK_RANGE_NO_ASAN bool stack_range_load_foreign(
	struct stack_range *range, uintptr_t address, uint64_t *valuep)
{
	typedef uint64_t __attribute__((may_alias)) any_word;

	if (address & 7 || address < PAGE_BYTES)
		return false;
	if (page_of(address) != range->page) {
		if (!page_readable(page_of(address)))
			return false;
		range->page = page_of(address);
	}
	*valuep = *(const any_word *)address;
	return true;
}
