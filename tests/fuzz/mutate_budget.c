/*
 * mutate_budget.c - twenty thousand broken budgets, from a fixed seed: each gives limits, errors
 * at places inside it, or both, and never more.
 *
 * Its worth is in the sanitized build. An argument is another seed, for a longer search.
 */
#undef NDEBUG
#include <stdlib.h>
#include <string.h>

#include "sample_math.h"
#include "tests/fuzz/exercise_budget.h"
#include "tests/unit/tap.h"

#define N_MUTANTS 20000
#define BYTES_MAX 4096

static const char *const seeds[] = {
	"# limits\ntotal +5% 10GiB\npeak 2GiB\npeak +10%\nno-leaks\n",
	"site parse_header +20% 4MiB\nsite \"operator new[]\" +30%\nsite json::.* +40%\n",
	"growth 5MiB/h\nignore third_party/.*\nignore (a|b)[c-e]{2,3}\r\n\tpeak 1.5GiB # x\n",
	"site \"a \\\"b\\\" \\\\c\" 1MiB\nsite \xc3\xa4\xe2\x82\xac +2.5%\nignore ^lib.*\\.so$\n",
};
#define N_SEEDS (sizeof(seeds) / sizeof(seeds[0]))

static struct sample_rng rng;

static size_t below(size_t n)
{
	return n ? sample_rng_next(&rng) % n : 0;
}

static char odd_byte(void)
{
	static const char bytes[] = "\0\n\r\t \"\\#+%.*()[]{}|^$?-/0159aGi\x7f\x80\xc3\xff";

	return below(4) ? bytes[below(sizeof(bytes) - 1)] : (char)below(256);
}

static size_t mutate(char *text)
{
	const char *seed = seeds[below(N_SEEDS)];
	size_t bytes = strlen(seed), i, n = 1 + below(6);

	memcpy(text, seed, bytes);
	for (i = 0; i < n; i++) {
		size_t at = below(bytes + 1), take = below(12), from = below(bytes + 1);
		const char *other = seeds[below(N_SEEDS)];
		size_t start = below(strlen(other));

		switch (below(5)) {
		case 0:
			bytes = at;
			break;
		case 1:
			if (at < bytes)
				text[at] = odd_byte();
			break;
		case 2: /* one byte in */
			memmove(text + at + 1, text + at, bytes - at);
			text[at] = odd_byte();
			bytes++;
			break;
		case 3: /* a stretch out */
			take = take < bytes - at ? take : bytes - at;
			memmove(text + at, text + at + take, bytes - at - take);
			bytes -= take;
			break;
		default: /* a stretch of another in, several times */
			take = take < strlen(other) - start ? take : strlen(other) - start;
			for (from = 1 + below(8); from && bytes + take < BYTES_MAX; from--) {
				memmove(text + at + take, text + at, bytes - at);
				memcpy(text + at, other + start, take);
				bytes += take;
			}
		}
	}
	return bytes;
}

static void test_seeds_are_sound(void)
{
	size_t i;

	for (i = 0; i < N_SEEDS; i++)
		CHECK(exercise_budget(seeds[i], strlen(seeds[i])) == 0);
}

static void test_mutants(void)
{
	static char text[BYTES_MAX + 64];
	size_t i, bytes, n_sound = 0;

	for (i = 0; i < N_MUTANTS; i++) {
		char *exact;

		bytes = mutate(text);
		/* To its own size, so that a sanitizer sees the first byte beyond. */
		exact = malloc(bytes ? bytes : 1);
		memcpy(exact, text, bytes);
		n_sound += exercise_budget(exact, bytes) == 0;
		free(exact);
	}
	printf("# %d mutants: %zu sound\n", N_MUTANTS, n_sound);
	CHECK(n_sound > N_MUTANTS / 20 && n_sound < N_MUTANTS * 3 / 4);
}

int main(int argc, char **argv)
{
	sample_rng_seed(&rng, argc > 1 ? strtoull(argv[1], NULL, 10) : 41);
	TAP_RUN(test_seeds_are_sound);
	TAP_RUN(test_mutants);
	return tap_done();
}
