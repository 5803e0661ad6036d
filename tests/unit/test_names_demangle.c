/*
 * test_names_demangle.c - analyzer/symbols/demangle.c: the schemes it knows, as
 * compilers write them, what the table makes of them, and what it refuses.
 */
#include "analyzer/symbols/demangle.h"

#include <stdlib.h>
#include <string.h>

#include "analyzer/symbols/intern.h"
#include "analyzer/symbols/name.h"
#include "sample_math.h"
#include "tests/unit/tap.h"

static const struct {
	const char *name, *full, *shortened; /* shortened NULL: as full */
} cases[] = {
	{ "_ZN4Cart3addEi", "Cart::add(int)", "Cart::add" },
	{ "_Z4makeIiET_S0_", "make<int>(int)", "make<>" },
	/* Rust, the older scheme: the hash is no part of the name. */
	{ "_ZN4core3fmt9Formatter3pad17h0123456789abcdefE", "core::fmt::Formatter::pad", NULL },
	{ "_ZN71_$LT$Test$u20$$u2b$$u20$$u27$static$u20$as$u20$foo..Bar$LT$Test$GT$$GT$"
	  "3bar17h930b740aa94f1d3aE",
		"<Test + 'static as foo::Bar<Test>>::bar", "<Test + 'static as foo::Bar<>>::bar" },
	{ "_ZN3std2rt10lang_start28_$u7b$$u7b$closure$u7d$$u7d$17h6f8a3f1b2c4d5e6fE",
		"std::rt::lang_start::{{closure}}", NULL },
	/* A C++ function of a class that only looks like a hash. */
	{ "_ZN3foo4h012E", "foo::h012", NULL },
	/* Rust, v0: the crate's number is no part of it either. */
	{ "_RNvCs1234_7mycrate3foo", "mycrate::foo", NULL },
	{ "_RINvNtC3std3mem8align_ofjdE", "std::mem::align_of::<usize, f64>",
		"std::mem::align_of::<>" },
	{ "_RNCNvCs4fqI2P2rA04_4demo4main0B3_", "demo::main::{closure#0}", NULL },
	{ "_RNvMNtCs6xxl1lAjzDf_1a4deepNtB2_1S2go", "<a::deep::S>::go", NULL },
	/* D, where parameters are part of the scheme. */
	{ "_D8demangle4testFaZv", "demangle.test(char)", "demangle.test" },
	{ "_D3app5Cache6insertMFiZv", "app.Cache.insert(int)", "app.Cache.insert" },
	{ "_Dmain", "D main", "main" },
	/* What is no mangled name stays. */
	{ "main", "main", NULL },
	{ "_Do_it", "_Do_it", NULL },
	{ "_D4foo", "_D4foo", NULL },
	{ "_Z_nope", "_Z_nope", NULL },
	{ "_Rust", "_Rust", NULL },
	{ "", "", NULL },
};

static void test_schemes(void)
{
	struct intern *pool = intern_new();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *full = demangle_name(pool, cases[i].name);
		const char *expected = cases[i].shortened ? cases[i].shortened : cases[i].full;
		char *shortened = name_shorten(full);

		CHECK(strcmp(full, cases[i].full) == 0);
		CHECK(strcmp(shortened, expected) == 0);
		if (strcmp(full, cases[i].full) != 0 || strcmp(shortened, expected) != 0)
			printf("# '%s': '%s', '%s'\n", cases[i].name, full, shortened);
		CHECK(demangle_name(pool, cases[i].name) == full);
		free(shortened);
	}
	intern_free(pool);
}

/* Names that stand for more than anybody wants to read, or to wait for. */
static void test_explosive_names(void)
{
	struct intern *pool = intern_new();
	char name[4000];
	size_t n;

	/* C++: each level uses the one before it twice. */
	n = (size_t)sprintf(name, "_Z1fI1AIiES_I");
	for (int i = 0; i < 200; i++)
		n += (size_t)sprintf(name + n, "1BIS%d_S%d_E", i % 10, i % 10);
	sprintf(name + n, "EEvv");
	CHECK(strlen(demangle_name(pool, name)) <= 64 * 1024);
	/* D: back references that all lead to the start of a type. */
	n = (size_t)sprintf(name, "_D1fFS1a");
	for (int i = 0; i < 100; i++)
		n += (size_t)sprintf(name + n, "Qb");
	sprintf(name + n, "Zv");
	CHECK(strcmp(demangle_name(pool, name), name) == 0);
	/* Longer than any that a compiler makes. */
	memset(name, 'P', sizeof(name));
	memcpy(name, "_D1fF", 5);
	name[sizeof(name) - 1] = '\0';
	CHECK(strcmp(demangle_name(pool, name), name) == 0);
	intern_free(pool);
}

/* Damaged names: an answer for each, and nothing for the sanitizers to find. */
static void test_damaged_names(void)
{
	static const char letters[] = "0123456789abzABCDEFIKLMNPQRSTZ_$.";
	struct sample_rng rng;
	unsigned n_demangled = 0;

	sample_rng_seed(&rng, 3);
	for (int round = 0; round < 20000; round++) {
		struct intern *pool = intern_new();
		char name[200];
		const char *full;
		size_t length;

		strcpy(name, cases[(size_t)round % (sizeof(cases) / sizeof(cases[0]))].name);
		length = strlen(name);
		for (unsigned i = 0; i < 3 && length > 2; i++)
			name[2 + sample_rng_next(&rng) % (length - 2)] =
				letters[sample_rng_next(&rng) % (sizeof(letters) - 1)];
		full = demangle_name(pool, name);
		CHECK(full && (full[0] || !name[0]));
		n_demangled += full && strcmp(full, name) != 0;
		intern_free(pool);
	}
	printf("# %u of 20000 still make sense\n", n_demangled);
	CHECK(n_demangled > 1000);
}

int main(void)
{
	TAP_RUN(test_schemes);
	TAP_RUN(test_explosive_names);
	TAP_RUN(test_damaged_names);
	return tap_done();
}
