/* program_preload.h - the other objects in LD_PRELOAD, and whose malloc comes first. */
#ifndef HEAPSPY_ANALYZER_PROGRAM_PRELOAD_H
#define HEAPSPY_ANALYZER_PROGRAM_PRELOAD_H

#include "analyzer/target/program.h"

#define PROGRAM_PRELOAD_NAME_BYTES 256

enum program_preload {
	PROGRAM_PRELOAD_FINE,
	PROGRAM_PRELOAD_MALLOC_BEFORE, /* an object before heapspy's defines malloc */
	PROGRAM_PRELOAD_MISSING, /* an object named by its path is not there, or cannot be loaded */
};

/*
 * Looks at env->preload, a list with ':' or blanks between. Objects behind libheapspy.so stand
 * behind it in the order of symbols too, and are fine; without libheapspy.so in the list nothing
 * is looked at. An object without a slash that is not found is passed over: the program's own
 * DT_RUNPATH may know it.
 * object: the name of the one that matters.
 */
enum program_preload program_preload_check(
	const struct program_environment *env, char object[PROGRAM_PRELOAD_NAME_BYTES]);

#endif
