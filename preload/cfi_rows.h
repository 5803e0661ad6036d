/*
 * cfi_rows.h - pc -> how to get from its frame to the caller's, in 64 bits.
 *
 * A row is compiled from .eh_frame once, then found in a cache shared by all
 * threads: two ways, lock-free, signal-safe. An entry is two words, the row and
 * its key mixed with the row, so that a half-written or mixed-up entry is a miss.
 *
 * Five shapes cover nearly all code; ROW_SLOW stands for all others, which need
 * the walk over all registers (unwind_slow.h).
 *
 *     kind          caller's sp (CFA)         caller's rbp            caller's pc
 *     ROW_RSP       sp + cfa                  *(CFA + bp), or same    *(CFA - 8)
 *     ROW_RBP       rbp + cfa                 *(CFA + bp), or same    *(CFA - 8)
 *     ROW_REALIGN   *(rbp + cfa)              *(rbp + bp)             *(CFA - 8)
 *     ROW_SIGNAL    *(sp + ROW_SIGNAL_SP)     *(sp + ROW_SIGNAL_BP)   *(sp + ROW_SIGNAL_PC), exact
 *     ROW_END       none: the outermost frame
 *     ROW_NO_CFI    unknown: code of a loaded object, without frame information
 *     ROW_OUTSIDE   unknown: code outside all objects and tables; never cached
 */
#ifndef HEAPSPY_CFI_ROWS_H
#define HEAPSPY_CFI_ROWS_H

#include <stdbool.h>
#include <stdint.h>
#include "heapspy/snapshot.h"
#include "preload/atomics.h"
#include "preload/cfi_interp.h"
#include "preload/compiler.h"

enum row_kind {
	ROW_RSP,
	ROW_RBP,
	ROW_REALIGN,
	ROW_SIGNAL,
	ROW_END,
	ROW_NO_CFI,
	ROW_OUTSIDE,
	ROW_SLOW,
};

/* Saved registers in a signal frame, bytes above its sp: struct ucontext_t of the x86-64 kernel. */
#define ROW_SIGNAL_BP 120
#define ROW_SIGNAL_SP 160
#define ROW_SIGNAL_PC 168

/*
 * Fields, from bit 0: kind 3, module serial 15, unused 10, bp 12 signed, cfa 24
 * signed. cfa and bp count 8-byte words; cfa is on top because the next load
 * waits for it. bp 0 is "same" with ROW_RSP and ROW_RBP.
 */
#define ROW_MODULE_SHIFT 3
#define ROW_BP_SHIFT     28
#define ROW_BP_BITS      12
#define ROW_CFA_SHIFT    40
#define ROW_CFA_BITS     24

static inline enum row_kind row_kind(uint64_t row)
{
	return row & 7;
}

static inline int64_t row_cfa_bytes(uint64_t row)
{
	return ((int64_t)row >> ROW_CFA_SHIFT) * 8;
}

static inline int64_t row_bp_bytes(uint64_t row)
{
	return ((int64_t)(row << (64 - ROW_BP_SHIFT - ROW_BP_BITS)) >> (64 - ROW_BP_BITS)) * 8;
}

static inline unsigned row_module(uint64_t row)
{
	return row >> ROW_MODULE_SHIFT & HEAPSPY_MODULE_SERIAL_MAX;
}

/*
 * Prepares the lookup. Once, from a constructor, before any other function of
 * this header; may take the dynamic linker's lock.
 */
void cfi_rows_init(void);

/*
 * Makes all rows, and what walks remember, invalid. To be called after whatever
 * changes what a row says of a pc: an object going away (before and after the
 * real dlclose: rows made during it count as made before), and a change of
 * modules_serial()'s answers (a state was made, a forked child got its own).
 * Lock-free; any thread, any context.
 */
void cfi_rows_flush(void);

/*
 * A program's __register_frame(eh_frame) or __register_frame_info(eh_frame, _),
 * and its __deregister_ counterpart (which is to be called before the real one).
 * Returns false when the table is not usable, not known, or one too many.
 * Lock-free; any thread.
 */
bool cfi_rows_register(const void *eh_frame);
bool cfi_rows_deregister(const void *eh_frame);

extern uint32_t cfi_rows_generation_now __attribute__((visibility("hidden")));

/*
 * The present generation, by which a walk marks what it remembers.
 * Relaxed: whoever runs code of a newly loaded object has synchronized with the
 * thread that closed the old one, so it sees the new generation.
 */
static inline uint32_t cfi_rows_generation(void)
{
	return hs_load_relaxed(&cfi_rows_generation_now);
}

/*
 * Private half of cfi_rows_find(): the table and the miss.
 * Invariant of an entry: mixed == row ^ row_key_mix(key), or it does not exist.
 */
struct row_entry {
	uint64_t mixed, row;
};

#define ROW_SETS_LOG2 13
#define ROW_WAYS      2
extern struct row_entry cfi_rows_table[1u << ROW_SETS_LOG2][ROW_WAYS]
	__attribute__((visibility("hidden"), aligned(64)));

uint64_t cfi_rows_compile(uint64_t frame, uint64_t key, struct cfi_work *work);

/*
 * Generation in the bits that a frame word has for its module. One of 32768: the
 * flush that would make an old one valid again wipes the table.
 */
static inline uint64_t row_key(uint64_t frame, uint32_t generation)
{
	return frame | (uint64_t)(generation & HEAPSPY_MODULE_SERIAL_MAX) << 48;
}

/* One to one; two keys that differ in few bits differ in many here. */
static inline uint64_t row_key_mix(uint64_t key)
{
	return key * 0x9e3779b97f4a7c15ull;
}

/*
 * The set of a pc. Shifts and not the product above: each step of a walk waits
 * for this address, and for the proof only when it has guessed wrong.
 */
static inline struct row_entry *row_set(uint64_t pc)
{
	const uint64_t set_bytes = sizeof(cfi_rows_table[0]);
	const uint64_t mask = sizeof(cfi_rows_table) - set_bytes;
	uint64_t offset = (pc * set_bytes ^ pc * set_bytes >> ROW_SETS_LOG2) & mask;

	return (struct row_entry *)((char *)cfi_rows_table + offset);
}

/*
 * The row of a frame word with module 0: a return address, or an exact pc; 0, which
 * is no frame's row, when there is none yet. Calls nothing, so that a loop around
 * it has all registers.
 * Cost: two loads of one cache line, a multiplication, a branch.
 *
 * Relaxed loads: an entry's two words prove each other, and nothing else is
 * reached through them.
 */
static inline uint64_t cfi_rows_peek(uint64_t frame, uint32_t generation)
{
	uint64_t mix = row_key_mix(row_key(frame, generation));
	struct row_entry *set = row_set(frame);
	uint64_t row;

	row = hs_load_relaxed(&set[0].row);
	if (HS_LIKELY((hs_load_relaxed(&set[0].mixed) ^ row) == mix))
		return row;
	row = hs_load_relaxed(&set[1].row);
	if (HS_LIKELY((hs_load_relaxed(&set[1].mixed) ^ row) == mix))
		return row;
	return 0;
}

/*
 * The same, and the row is made if there is none.
 * generation: cfi_rows_generation() at the start of the walk. work: for a miss.
 */
static inline uint64_t cfi_rows_find(uint64_t frame, uint32_t generation, struct cfi_work *work)
{
	uint64_t row = cfi_rows_peek(frame, generation);

	return HS_LIKELY(row) ? row : cfi_rows_compile(frame, row_key(frame, generation), work);
}

/*
 * The slow walk's lookup: entry and rules of a frame word, uncached, into
 * *sectionp and work->now. Returns ROW_SLOW when there are rules (signal frames
 * say so in *signal_framep); ROW_END, ROW_NO_CFI or ROW_OUTSIDE when not; *modulep as in a row.
 */
enum row_kind cfi_rows_rules(uint64_t frame, struct cfi_work *work, struct cfi_section *sectionp,
	bool *signal_framep, unsigned *modulep);

#endif
