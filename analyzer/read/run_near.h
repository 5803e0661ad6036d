/*
 * run_near.h - which run somebody may have meant who named a path that is none.
 */
#ifndef HEAPSPY_ANALYZER_RUN_NEAR_H
#define HEAPSPY_ANALYZER_RUN_NEAR_H

#include <stdbool.h>

#include "analyzer/fail.h"

/* Whether the directory at path has snapshots (NNNNNN.hspy), readable or not. */
bool run_near_holds_snapshots(const char *path);

/*
 * The path of a directory in the directory at path that is a run, the first by name, or
 * else of one that is called heapspy.* as runs are; NULL: there is none. The caller's, for free().
 */
char *run_near_inside(const char *path);

/*
 * The same of what lies where path would: the nearest by name, of those whose names begin as
 * path's does, or differ from it by little.
 */
char *run_near_beside(const char *path);

/*
 * Where nothing is at path, adds the run beside it to f, which tells of that: "...; did you mean
 * 'RUN@when'?". when may be NULL.
 */
void run_near_suggest(const char *path, const char *when, struct fail *f);

#endif
