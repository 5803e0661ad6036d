/* unwind_shim.c - see unwind_shim.h. Stands in for the hooks, and for modules.c. */
#include <string.h>
#include "preload/cfi_rows.h"
#include "preload/modules.h"
#include "unwind_shim.h"

#define EXPORT __attribute__((visibility("default"), noinline))

/* No filter of system calls in the tests. */
uint32_t process_seccomp;

/* Any number that is the same for the same object will do; 0 would mean none. */
unsigned modules_serial(const struct dl_find_object *object)
{
	return ((uintptr_t)object->dlfo_map_start >> 12) % HEAPSPY_MODULE_SERIAL_MAX + 1;
}

EXPORT void shim_init(enum unwind_mode mode)
{
	unwind_init(mode);
}

EXPORT unsigned shim_capture(struct unwind_scratch *scratch, unsigned depth_max, uint32_t *flagsp,
	unsigned *approx_fromp)
{
	unsigned n = unwind_capture(scratch, depth_max, flagsp, approx_fromp);

	__asm__ volatile("" : "+r"(n));
	return n;
}

EXPORT unsigned shim_capture_slow(struct unwind_scratch *scratch, unsigned depth_max,
	uint32_t *flagsp, unsigned *approx_fromp)
{
	unsigned n = unwind_capture_slow(scratch, depth_max, flagsp, approx_fromp);

	__asm__ volatile("" : "+r"(n));
	return n;
}

EXPORT void shim_flush(void)
{
	cfi_rows_flush();
}

EXPORT bool shim_register(const void *eh_frame)
{
	return cfi_rows_register(eh_frame);
}

EXPORT bool shim_deregister(const void *eh_frame)
{
	return cfi_rows_deregister(eh_frame);
}

EXPORT size_t shim_stack_used(struct unwind_scratch *scratch)
{
	const unsigned char paint = 0xa5;
	unsigned char *here, *low;
	unsigned approx_from;
	uint32_t flags;

	/* Below the red zone; the loops keep to this function's own registers. */
	__asm__ volatile("movq %%rsp, %0" : "=r"(here));
	here -= 128;
	for (low = here - 1; low >= here - SHIM_PAINTED_BYTES; low--)
		*(volatile unsigned char *)low = paint;
	unwind_capture(scratch, UNWIND_DEPTH_MAX, &flags, &approx_from);
	for (low = here - SHIM_PAINTED_BYTES; low < here; low++) {
		if (*(volatile unsigned char *)low != paint)
			break;
	}
	return here - low + 128;
}
