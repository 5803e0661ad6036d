/*
 * prog_lifetimes.c - five sites whose blocks have lifetimes of their own, at even rates:
 *
 *	make_garbage	freed at once, 32 MiB/s
 *	decode_row	after 20 ms, 2.5 MiB/s
 *	fill_cache	after 1.4 s, 6 MiB/s
 *	append_log	never, 3 MiB/s
 *	odd_job		freed at once, 0.1 MiB/s
 *
 *     prog_lifetimes WARM_UP_SECONDS SECONDS
 *
 * Labels "begin" and "end" enclose the second time. Prints what each site allocated in it, and what
 * died in it at which age, by the clock: a machine that is busy moves the truth and nothing else.
 */
#include "heapspy/heapspy.h"
#include "victim.h"

#define TICK_S   .002
#define RING     8192
#define YOUNG_S  .134217728
#define MIDDLE_S 1.073741824

struct site {
	const char *function;
	void *(*make)(size_t bytes);
	double lifetime_s; /* below 0: for ever */
	size_t bytes;      /* of a block */
	double per_tick;   /* blocks */
	double due;
	struct {
		void *block;
		double born_s;
	} ring[RING];
	unsigned head, tail;
	/* In the window. */
	size_t blocks, deaths, young, middle;
};

SITE static void *make_garbage(size_t bytes)
{
	return keep(malloc(bytes));
}

SITE static void *decode_row(size_t bytes)
{
	return keep(malloc(bytes));
}

SITE static void *fill_cache(size_t bytes)
{
	return keep(malloc(bytes));
}

SITE static void *append_log(size_t bytes)
{
	return keep(malloc(bytes));
}

SITE static void *odd_job(size_t bytes)
{
	return keep(malloc(bytes));
}

/* MiB/s as blocks a tick. */
#define PER_TICK(mib, bytes) ((mib)*MIB * TICK_S / (bytes))

static struct site sites[] = {
	{ "make_garbage", make_garbage, 0, 6000, PER_TICK(32, 6000) },
	{ "decode_row", decode_row, .02, 1000, PER_TICK(2.5, 1000) },
	{ "fill_cache", fill_cache, 1.4, 20000, PER_TICK(6, 20000) },
	{ "append_log", append_log, -1, 5000, PER_TICK(3, 5000) },
	{ "odd_job", odd_job, 0, 500, PER_TICK(.1, 500) },
};
#define N_SITES (sizeof(sites) / sizeof(sites[0]))

static void let_die(struct site *s, void *block, double born_s)
{
	double age_s;

	free(block);
	age_s = now_s() - born_s;
	s->deaths++;
	s->young += age_s < YOUNG_S;
	s->middle += age_s >= MIDDLE_S;
}

static void work(struct site *s, double now)
{
	while (s->tail != s->head && now - s->ring[s->tail % RING].born_s >= s->lifetime_s) {
		let_die(s, s->ring[s->tail % RING].block, s->ring[s->tail % RING].born_s);
		s->tail++;
	}
	for (s->due += s->per_tick; s->due >= 1; s->due--) {
		double born_s = now_s();
		char *block = s->make(s->bytes);

		REQUIRE(block);
		block[0] = 1;
		s->blocks++;
		if (s->lifetime_s == 0) {
			let_die(s, block, born_s);
		} else if (s->lifetime_s > 0) {
			REQUIRE(s->head - s->tail < RING);
			s->ring[s->head % RING].block = block;
			s->ring[s->head++ % RING].born_s = born_s;
		}
	}
}

static void run_for(double seconds)
{
	double next_s = now_s(), end_s = next_s + seconds;

	for (; next_s < end_s; next_s += TICK_S) {
		double now = now_s();

		for (unsigned i = 0; i < N_SITES; i++)
			work(&sites[i], now);
		sleep_s(next_s + TICK_S - now_s());
	}
}

int main(int argc, char **argv)
{
	REQUIRE(argc == 3);
	run_for(atof(argv[1]));
	for (unsigned i = 0; i < N_SITES; i++)
		sites[i].blocks = sites[i].deaths = sites[i].young = sites[i].middle = 0;
	heapspy_snapshot("begin");
	run_for(atof(argv[2]));
	heapspy_snapshot("end");
	printf("{");
	for (unsigned i = 0; i < N_SITES; i++)
		printf("%s\"%s\": {\"bytes\": %zu, \"blocks\": %zu, \"deaths\": %zu, \"young\": "
		       "%zu, "
		       "\"middle\": %zu}",
			i ? ", " : "", sites[i].function, sites[i].bytes * sites[i].blocks,
			sites[i].blocks, sites[i].deaths, sites[i].young, sites[i].middle);
	printf("}\n");
	return 0;
}
