/* roots_path.h - whether root may write where somebody else says. */
#ifndef HEAPSPY_ANALYZER_ROOTS_PATH_H
#define HEAPSPY_ANALYZER_ROOTS_PATH_H

#include <stdbool.h>

/*
 * Whether nobody but root can lead this path elsewhere: it is absolute, no part of it is a symbolic
 * link, of another user, or a directory that others may write to (but for one with the sticky bit,
 * where they cannot touch what is root's). Its end may be missing, if others cannot put
 * something there first.
 */
bool roots_path_is(const char *path);

#endif
