/*
 * interpose_sanitizer.c - owns one word to AddressSanitizer.
 *
 * Its runtime ends a program in which another library comes first, and a program that inherits
 * LD_PRELOAD has not asked for that. Its functions work behind ours, which pass everything on. A
 * program's own definition of this function comes before ours.
 */
#include "preload/compiler.h"

const char *__asan_default_options(void);

HS_EXPORT const char *__asan_default_options(void)
{
	return "verify_asan_link_order=0";
}
