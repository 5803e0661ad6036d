/*
 * log.h - lines on stderr, by one write each. Nothing is printed unless the
 * user asked (HEAPSPY_VERBOSE=1) or set a value that cannot be used.
 */
#ifndef HEAPSPY_LOG_H
#define HEAPSPY_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A small sprintf: %s, %u (unsigned), %lu (uint64_t), %d (int), %c, %%; and %e
 * (int, an errno value or its negative: by name where known). Writes at most
 * bytes - 1 characters and a NUL; returns the length the whole text would have.
 * No libc, no allocation, safe in any context.
 */
size_t log_format(char *out, size_t bytes, const char *format, ...);
size_t log_vformat(char *out, size_t bytes, const char *format, va_list ap);

/* "heapspy: " TEXT "\n" on stderr, always. Only for values that cannot be used. */
void log_line(const char *format, ...);

/*
 * The same if HEAPSPY_VERBOSE is 1, at most 100 lines a process. Returns whether the line could be
 * written now and here.
 */
bool log_verbose(const char *format, ...);

void log_set_verbose(int on);

/* Nothing is written while silenced: a filter may make the system calls fatal. */
void log_silence(bool is_silent);

/* Remembers what descriptor 2 is: lines go there and nowhere else. At load. */
void log_init(void);

/* The calling thread has none of the program's descriptors: its lines go the long way round. */
void log_without_descriptors(void);

#endif
