/*
 * symbols_none.c - the backend of a build without libdw: no address has a
 * name, and the report says why. Making module+0xoffset is left to symbols.c.
 */
#include "analyzer/symbols/symbols_backend.h"

void symbols_backend_run(struct symbols_job *job)
{
	job->source = SYMBOLS_NOT_BUILT_IN;
}
