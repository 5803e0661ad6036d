/*
 * unwind_shapes.h - functions of known frame shapes, built several times with
 * different options; each calls leaf(argument) from a frame of its shape.
 */
#ifndef TESTS_UNIT_UNWIND_SHAPES_H
#define TESTS_UNIT_UNWIND_SHAPES_H

typedef void leaf_function(void *argument);
typedef void shape_function(unsigned size, leaf_function *leaf, void *argument);

struct shape {
	const char *name; /* of the function that calls the leaf, or the one that it calls */
	shape_function *run;
};

#define N_SHAPES 7

/* The same functions, built with -O2, -O0, -O2 -mstackrealign, -O2 with frame pointers. */
extern const struct shape shapes_o2[N_SHAPES], shapes_o0[N_SHAPES], shapes_realign[N_SHAPES],
	shapes_fp[N_SHAPES];

/* Without frame information: with frame pointers, and without. */
extern const struct shape shapes_nocfi_fp[N_SHAPES], shapes_nocfi[N_SHAPES];

#endif
