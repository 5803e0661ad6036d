/*
 * lib_frame.c - built several times, of one shape in memory: loaded in turn they come to the same
 * addresses, with frames of different size (FRAME_BYTES). Also a gconv module, which the C library
 * loads for iconv_open() and unloads on its own.
 */
#include <gconv.h>
#include "victim.h"

void *frame_keep(size_t n);
void *frame_call(void *(*make)(size_t), size_t n);
int gconv_init(struct __gconv_step *step);
int gconv(struct __gconv_step *step, struct __gconv_step_data *data, const unsigned char **in,
	const unsigned char *end, unsigned char **out, size_t *irreversible, int flush,
	int consume);

SITE void *frame_keep(size_t n)
{
	volatile char frame[FRAME_BYTES];

	frame[0] = 1;
	frame[FRAME_BYTES - 1] = frame[0];
	return keep(malloc(n));
}

/* The same with the caller's allocation. */
SITE void *frame_call(void *(*make)(size_t), size_t n)
{
	volatile char frame[FRAME_BYTES];

	frame[0] = 1;
	frame[FRAME_BYTES - 1] = frame[0];
	return keep(make(n));
}

SITE int gconv_init(struct __gconv_step *step)
{
	volatile char frame[FRAME_BYTES];

	frame[0] = 1;
	step->__min_needed_from = step->__max_needed_from = 1;
	step->__min_needed_to = step->__max_needed_to = 4;
	step->__stateful = 0;
	step->__data = frame_keep(1000);
	frame[FRAME_BYTES - 1] = frame[0];
	return step->__data ? __GCONV_OK : __GCONV_NOMEM;
}

int gconv(struct __gconv_step *step, struct __gconv_step_data *data, const unsigned char **in,
	const unsigned char *end, unsigned char **out, size_t *irreversible, int flush, int consume)
{
	return __GCONV_EMPTY_INPUT;
}
