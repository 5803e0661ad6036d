/*
 * file_limit.h - RLIMIT_FSIZE. One byte written beyond it, on tmpfs too, and the
 * kernel sends SIGXFSZ, which kills: so every writer asks first.
 */
#ifndef HEAPSPY_FILE_LIMIT_H
#define HEAPSPY_FILE_LIMIT_H

#include <stdint.h>
#include <sys/resource.h>
#include "preload/rawsys.h"

/* Largest size in bytes that a file of this process may have. */
static inline uint64_t file_limit_bytes(void)
{
	struct rlimit limit;

	return rawsys(SYS_getrlimit, RLIMIT_FSIZE, &limit) < 0 ? UINT64_MAX : limit.rlim_cur;
}

#endif
