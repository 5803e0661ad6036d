/*
 * exercise_state.h - everything that the command does with a state that may be anything, in one
 * call: for the libFuzzer target and the replay of its corpus.
 *
 * The input is not the state but what is done to a sound one (state_seed.h), so that it is short
 * and gets behind the first checks. A first byte of flags, then any number of
 *
 *     kind   arguments                              what it does
 *     0      offset:3 n:1 bytes[n]                  writes anywhere in the file
 *     1      offset:2 n:1 bytes[n]                  writes in the header
 *     2      table:1 offset:2 n:1 bytes[n]          writes in a table (index in the directory)
 *     3      stack:1 offset:1 n:1 bytes[n]          writes in the record of a stack
 *     4      offset:3 n:2 byte                      fills a stretch
 *     5      bytes:3                                cuts or lengthens the file
 *     6      table:1 word:1 delta:1                 adds a signed byte to a word of a table
 *     7      n:1                                    what follows is done at the n-th read from now
 *
 * where kind is a byte modulo 8 and offsets are taken modulo what they lie in: so every input
 * means something, and a state that changes under its reader is among them.
 */
#ifndef HEAPSPY_TEST_EXERCISE_STATE_H
#define HEAPSPY_TEST_EXERCISE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXERCISE_STATE_ALIVE (1u << 0) /* the process is there: this one */
#define EXERCISE_STATE_EMPTY (1u << 1) /* of the sound state only the header */
#define EXERCISE_STATE_PRINT (7u << 2) /* all three: what is read is printed, too (slow) */

/*
 * Returns whether a snapshot came of it. Asserts that whatever is refused is refused in one line,
 * and that a snapshot which is written is a good one.
 */
bool exercise_state(const uint8_t *data, size_t bytes);

#endif
