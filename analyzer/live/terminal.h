/*
 * terminal.h - the terminal of this process as a screen with keys: alternate
 * screen, keys without echo and line editing, and everything as it was
 * before at any exit: return, exit(), a signal that ends or stops the process, a crash.
 *
 * There is one, and one thread uses it.
 */
#ifndef HEAPSPY_ANALYZER_LIVE_TERMINAL_H
#define HEAPSPY_ANALYZER_LIVE_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

#include "analyzer/fail.h"

/* Whether standard output is a terminal. */
bool terminal_is_there(void);

/*
 * Takes over standard output, a terminal, and for keys standard input or, where that is none,
 * the controlling terminal; without any there are no keys. Call before other threads are made, with
 * signals as they come. Returns -1 with f filled when the terminal cannot show a screen.
 */
int terminal_open(struct fail *f);

/* Gives it back. Fine without terminal_open(), and twice. */
void terminal_close(void);

/* Width and height; 80 and 24 where the terminal does not know. */
void terminal_size(int *columnsp, int *linesp);

/* What terminal_wait() has seen; bits. */
#define TERMINAL_KEYS    (1u << 0) /* terminal_read() has something */
#define TERMINAL_OTHER   (1u << 1) /* fd has something */
#define TERMINAL_REPAINT (1u << 2) /* another size, or back from a stop: the screen is lost */
#define TERMINAL_ENDED   (1u << 3) /* a signal asks for the end, or the terminal is gone */

/*
 * Waits for keys, for fd, or for a signal, at most timeout_ms (-1: for ever). Ctrl-Z stops
 * the process here.
 */
unsigned terminal_wait(int fd, int timeout_ms);

/* Bytes that are there at once; 0: none. */
size_t terminal_read(char *bytes, size_t size);

/* Writes all of it, in one call when the terminal takes it. Returns false when it is gone. */
bool terminal_write(const char *bytes, size_t n);

/*
 * After terminal_close(): when a signal asked for the end, ends by it, as the process would have
 * without a handler.
 */
void terminal_obey_signal(void);

#endif
