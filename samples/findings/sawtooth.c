/*
 * sawtooth.c - an importer: rows pile up until a batch is full, then go out at once.
 *
 * Labels "batch N full" and "batch N flushed" for five batches of the same size.
 */
#include <string.h>
#include <heapspy/heapspy.h>
#include "finding.h"

#define N_BATCHES  5
#define BATCH_ROWS 3000
#define ROW_BYTES  2048

struct batch {
	char *rows[BATCH_ROWS];
	unsigned n_rows;
};

static void label(unsigned number, const char *what)
{
	char text[40];

	snprintf(text, sizeof(text), "batch %u %s", number, what);
	heapspy_snapshot(text);
}

static void decode_row(struct batch *b, uint64_t *seed)
{
	char *row = must(malloc(ROW_BYTES));

	memset(row, 'a' + (int)draw(seed, 26), ROW_BYTES);
	b->rows[b->n_rows++] = row;
}

static size_t flush_batch(struct batch *b)
{
	size_t sum = 0;

	while (b->n_rows) {
		char *row = b->rows[--b->n_rows];

		sum += (unsigned char)row[0];
		free(row);
	}
	return sum;
}

int main(void)
{
	struct batch *batch = must(calloc(1, sizeof(*batch)));
	uint64_t seed = 3;
	size_t sum = 0;

	for (unsigned i = 1; i <= N_BATCHES; i++) {
		while (batch->n_rows < BATCH_ROWS)
			decode_row(batch, &seed);
		label(i, "full");
		sum += flush_batch(batch);
		label(i, "flushed");
	}
	free(batch);
	printf("%u rows imported, check sum %zu\n", N_BATCHES * BATCH_ROWS, sum);
	return 0;
}
