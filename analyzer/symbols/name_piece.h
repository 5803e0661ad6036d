/*
 * name_piece.h - parts of a full name: what stands in its brackets, and the
 * arguments there.
 */
#ifndef HEAPSPY_SYMBOLS_NAME_PIECE_H
#define HEAPSPY_SYMBOLS_NAME_PIECE_H

/* The bytes [from, end) of a NUL-terminated name. */
struct name_piece {
	const char *from, *end;
};

/*
 * The end of the bracket of any kind that opens at p, one behind its closing
 * one; NULL if it does not close. In angle brackets "->" closes nothing, nor do
 * signs inside parentheses, where the demangler puts comparisons.
 */
const char *name_piece_behind(const char *p);

/* The first c of piece outside brackets, or that opens one; NULL: there is none. */
const char *name_piece_find(struct name_piece piece, char c);

/* What stands in the bracket at p (may be NULL), if it closes in piece; else empty. */
struct name_piece name_piece_inside(struct name_piece piece, const char *p);

/*
 * Argument n, from 0, of what stands in a bracket, or the last of all with
 * NAME_PIECE_LAST, without spaces around it. Empty where there is none.
 */
enum { NAME_PIECE_LAST = -1 };
struct name_piece name_piece_argument(struct name_piece list, int n);

/* piece without spaces at its ends. */
struct name_piece name_piece_trim(struct name_piece piece);

#endif
