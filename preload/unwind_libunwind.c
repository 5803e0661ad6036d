/*
 * unwind_libunwind.c - all of libheapspy-libunwind.so: a walk by the system's
 * libunwind. A shared object of its own because libunwind's exports functions
 * of libgcc's and libc's names (_Unwind_*, backtrace), which must not come
 * between the program and its own: unwind_reference.c opens it RTLD_LOCAL.
 *
 * By unw_step() and not unw_backtrace(): it starts from given registers, its
 * rules can be forgotten when code is unloaded (those of unw_backtrace() cannot,
 * libunwind issue 153), and it keeps nothing for each thread. It is slower by
 * two orders of magnitude, most of that in system calls.
 *
 * The caching policy is left as it is, global: the program may use the same
 * library, and has it from the same address space.
 */
#include <errno.h>
#define UNW_LOCAL_ONLY
#include <libunwind.h>
#include <string.h>
#include "preload/cfi_interp.h"
#include "preload/compiler.h"
#include "preload/unwind_libunwind.h"

/* 2 KiB that are not on the program's stack; one walk at a time. */
static unw_context_t context;
static unw_cursor_t cursor;

static void set_context(const uint64_t *registers)
{
	greg_t *to = context.uc_mcontext.gregs;

	memset(&context, 0, sizeof(context));
	to[REG_RBX] = (greg_t)registers[CFI_RBX];
	to[REG_RBP] = (greg_t)registers[CFI_RBP];
	to[REG_RSP] = (greg_t)registers[CFI_RSP];
	to[REG_R12] = (greg_t)registers[CFI_R12];
	to[REG_R13] = (greg_t)registers[CFI_R13];
	to[REG_R14] = (greg_t)registers[CFI_R14];
	to[REG_R15] = (greg_t)registers[CFI_R15];
	to[REG_RIP] = (greg_t)registers[CFI_RIP];
}

HS_EXPORT unsigned heapspy_libunwind_walk_v1(const uint64_t *registers, uint64_t *pcs,
	unsigned n_max, bool flush, enum unwind_libunwind_end *endp)
{
	unsigned n = 0;
	int result;

	*endp = LIBUNWIND_STUCK;
	if (flush)
		unw_flush_cache(unw_local_addr_space, 0, 0);
	set_context(registers);
	/* libunwind repeats calls while errno is EINTR, without having looked whether they failed.
	 */
	errno = 0;
	if (unw_init_local(&cursor, &context) != 0)
		return 0;
	do {
		unw_word_t pc;

		if (unw_get_reg(&cursor, UNW_REG_IP, &pc) != 0)
			return n;
		if (pc == 0) {
			*endp = LIBUNWIND_OUTERMOST;
			return n;
		}
		if (n == n_max) {
			*endp = LIBUNWIND_CUT;
			return n;
		}
		pcs[n++] = pc;
		result = unw_step(&cursor);
	} while (result > 0);
	if (result == 0)
		*endp = LIBUNWIND_OUTERMOST;
	return n;
}
