/*
 * cache.c - thumbnails behind a cache of fixed size: it fills, then stays.
 *
 * Labels: "cold" before the first picture, "warm" once the cache is full, "end" when
 * every picture that was in it then has made room for another.
 */
#include <string.h>
#include <heapspy/heapspy.h>
#include "finding.h"

#define N_SLOTS    2500
#define N_LOOKUPS  100000
#define N_PICTURES 20000

struct thumbnail {
	unsigned picture;
	size_t bytes;
	unsigned char pixels[];
};

static struct thumbnail *ring[N_SLOTS]; /* the oldest is at oldest */
static struct thumbnail *by_picture[N_PICTURES];
static unsigned oldest, n_rendered;

static void cache_put(unsigned picture, const unsigned char *pixels, size_t bytes)
{
	struct thumbnail *t = must(malloc(sizeof(*t) + bytes));

	t->picture = picture;
	t->bytes = bytes;
	memcpy(t->pixels, pixels, bytes);
	if (ring[oldest]) {
		by_picture[ring[oldest]->picture] = NULL;
		free(ring[oldest]);
	}
	ring[oldest] = by_picture[picture] = t;
	oldest = (oldest + 1) % N_SLOTS;
}

static void render(unsigned picture)
{
	size_t side = 160, bytes = side * side / 2;
	unsigned char *canvas = must(malloc(side * side));

	for (size_t i = 0; i < side * side; i++)
		canvas[i] = (unsigned char)(i * picture);
	cache_put(picture, canvas, bytes);
	free(canvas);
	n_rendered++;
}

static void look_up(uint64_t *seed)
{
	/* Half of the time one of the few pictures everybody looks at. */
	unsigned picture = draw(seed, draw(seed, 2) ? N_PICTURES : 200);

	if (!by_picture[picture])
		render(picture);
}

int main(void)
{
	uint64_t seed = 2;

	heapspy_snapshot("cold");
	while (!ring[N_SLOTS - 1])
		look_up(&seed);
	heapspy_snapshot("warm");
	for (unsigned i = 0; i < N_LOOKUPS; i++)
		look_up(&seed);
	heapspy_snapshot("end");
	printf("%u thumbnails rendered, %u kept\n", n_rendered, N_SLOTS);
	return 0;
}
