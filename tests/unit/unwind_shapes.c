/*
 * unwind_shapes.c - one function a frame shape. SHAPES names the build: it is
 * the suffix of all names here, so that frames of different builds tell apart.
 */
#include <alloca.h>
#include <stdalign.h>
#include <stdint.h>
#include "unwind_shapes.h"

#define PASTE_(a, b) a##_##b
#define PASTE(a, b)  PASTE_(a, b)
#define NAME(shape)  PASTE(shape, SHAPES)
#define STRING_(a)   #a
#define STRING(a)    STRING_(a)
#define SHAPE(shape)                                                                               \
	{                                                                                          \
#shape "_" STRING(SHAPES), NAME(shape)                                             \
	}

/* Visible by dladdr(), and called as compiled, not inlined or cloned (clang does not clone). */
#ifdef __clang__
#define SHAPE_FUNCTION __attribute__((noinline, visibility("default"))) void
#else
#define SHAPE_FUNCTION __attribute__((noinline, noclone, visibility("default"))) void
#endif

static volatile unsigned sink;

shape_function NAME(plain), NAME(recursion), NAME(variable), NAME(aligned), NAME(tail), NAME(saved),
	NAME(big);

SHAPE_FUNCTION NAME(plain)(unsigned size, leaf_function *leaf, void *argument)
{
	leaf(argument);
	sink += size;
}

/* `size` frames of the same function. */
SHAPE_FUNCTION NAME(recursion)(unsigned size, leaf_function *leaf, void *argument)
{
	if (size <= 1)
		leaf(argument);
	else
		NAME(recursion)(size - 1, leaf, argument);
	sink += size;
}

SHAPE_FUNCTION NAME(variable)(unsigned size, leaf_function *leaf, void *argument)
{
	volatile char *bytes = alloca(16 + size % 1000 * 8);

	bytes[0] = 1;
	leaf(argument);
	sink += bytes[0];
}

/* A stack pointer that is rounded down, and locals of unknown size on top of it. */
SHAPE_FUNCTION NAME(aligned)(unsigned size, leaf_function *leaf, void *argument)
{
	alignas(64) volatile char line[64];
	volatile char *bytes = alloca(16 + size % 100 * 8);

	line[0] = bytes[0] = ((uintptr_t)line & 63) != 0;
	leaf(argument);
	sink += line[0] + bytes[0];
}

/* The caller of plain() is gone when that runs. */
SHAPE_FUNCTION NAME(tail)(unsigned size, leaf_function *leaf, void *argument)
{
	NAME(plain)(size + 1, leaf, argument);
}

/* Every register that a callee must keep is in use, rbp too where it is free. */
SHAPE_FUNCTION NAME(saved)(unsigned size, leaf_function *leaf, void *argument)
{
	unsigned a = sink, b = a * 3 + size, c = b * 5 + a, d = c * 7 + b, e = d ^ a, f = e + c;

	leaf(argument);
	__asm__ volatile("" ::"r"(a), "r"(b), "r"(c), "r"(d), "r"(e), "r"(f));
	leaf(argument);
	sink += a + b + c + d + e + f;
}

SHAPE_FUNCTION NAME(big)(unsigned size, leaf_function *leaf, void *argument)
{
	volatile char bytes[6000];

	bytes[size % sizeof(bytes)] = 1;
	leaf(argument);
	sink += bytes[size % sizeof(bytes)];
}

const struct shape PASTE(shapes, SHAPES)[N_SHAPES] = {
	SHAPE(plain),
	SHAPE(recursion),
	SHAPE(variable),
	SHAPE(aligned),
	{ "plain_" STRING(SHAPES), NAME(tail) },
	SHAPE(saved),
	SHAPE(big),
};
