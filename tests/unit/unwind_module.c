/*
 * unwind_module.c - a library to be loaded and unloaded. It is built twice with
 * FRAME_BYTES of different size and otherwise the same layout: whoever keeps
 * what he knew of the first is wrong about the second.
 */
#include "unwind_shapes.h"

shape_function module_function;

static volatile char sink;

__attribute__((visibility("default"))) void module_function(
	unsigned size, leaf_function *leaf, void *argument)
{
	volatile char bytes[FRAME_BYTES];

	bytes[size % FRAME_BYTES] = 1;
	leaf(argument);
	sink = bytes[size % FRAME_BYTES];
}
