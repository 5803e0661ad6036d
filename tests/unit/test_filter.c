/* filter.h: bits shared by addresses 256 MiB apart must outlive one of their samples. */
#include <string.h>
#include "preload/filter.h"
#include "tests/unit/tap.h"

#define ALIAS_BYTES (256ull << 20)

static bool answer;
static unsigned asked;

static bool shared(struct state_header *state, uint32_t index)
{
	asked++;
	return answer;
}

static void *at(uint64_t address)
{
	return (void *)(uintptr_t)address;
}

static void test_a_clear_bit_means_no_sample(void)
{
	uint64_t a = 0x7f0012345670;

	memset(filter_words, 0, sizeof(filter_words));
	CHECK(!filter_test(at(a)));
	filter_add(at(a));
	CHECK(filter_test(at(a)));
	CHECK(!filter_test(at(a + 32)));
	CHECK(!filter_test(at(a - 32)));
	CHECK(filter_test(at(a + ALIAS_BYTES)));
	filter_remove(NULL, at(a), shared);
	CHECK(!filter_test(at(a)));
}

static void test_a_shared_bit_stays(void)
{
	uint64_t a = 0x7f0012345670;

	memset(filter_words, 0, sizeof(filter_words));
	filter_add(at(a));
	filter_add(at(a + ALIAS_BYTES));
	asked = 0;
	answer = true;
	filter_remove(NULL, at(a), shared);
	CHECK(asked == 1);
	CHECK(filter_test(at(a + ALIAS_BYTES)));
	answer = false;
	filter_remove(NULL, at(a + ALIAS_BYTES), shared);
	CHECK(!filter_test(at(a)));
}

/* A sample that arrives between the look-up and the clearing keeps its bit. */
static bool adds_meanwhile(struct state_header *state, uint32_t index)
{
	if (asked++ == 0) {
		filter_add(at((uint64_t)index << FILTER_GRAIN_LOG2));
		return false;
	}
	return true;
}

static void test_an_arrival_during_removal_is_not_lost(void)
{
	uint64_t a = 0x555500001000;

	memset(filter_words, 0, sizeof(filter_words));
	filter_add(at(a));
	filter_add(at(a));
	asked = 0;
	filter_remove(NULL, at(a), adds_meanwhile);
	CHECK(asked == 2);
	CHECK(filter_test(at(a)));
}

/*
 * During the removal of one of two samples that share a bit a third one comes and the
 * second goes: bits and count are what they were, and the bit must stay.
 */
static bool replaced_meanwhile(struct state_header *state, uint32_t index)
{
	uint64_t address = (uint64_t)index << FILTER_GRAIN_LOG2;

	if (asked++ == 0) {
		filter_add(at(address));
		answer = true;
		filter_remove(NULL, at(address + ALIAS_BYTES), shared);
		return false;
	}
	return true;
}

static void test_a_word_that_looks_the_same_is_not(void)
{
	uint64_t a = 0x555500002000;

	memset(filter_words, 0, sizeof(filter_words));
	filter_add(at(a));
	filter_add(at(a + ALIAS_BYTES));
	asked = 0;
	filter_remove(NULL, at(a), replaced_meanwhile);
	CHECK(asked > 1);
	CHECK(filter_test(at(a)));
}

/* Nobody is left to share a bit with: nobody needs to be asked. */
static void test_the_last_of_a_word_takes_all_bits(void)
{
	uint64_t a = 0x555500003000;

	memset(filter_words, 0, sizeof(filter_words));
	filter_add(at(a));
	filter_add(at(a + 64));
	answer = true;
	filter_remove(NULL, at(a), shared);
	CHECK(filter_test(at(a)) && filter_test(at(a + 64)));
	asked = 0;
	filter_remove(NULL, at(a + 64), shared);
	CHECK(asked == 0);
	CHECK(!filter_test(at(a)) && !filter_test(at(a + 64)));
}

/* More samples than can be counted: from then on the live table decides each time. */
static void test_a_word_of_too_many_asks(void)
{
	uint64_t a = 0x555500004000;
	unsigned i;

	memset(filter_words, 0, sizeof(filter_words));
	for (i = 0; i < 300; i++)
		filter_add(at(a + i * ALIAS_BYTES));
	asked = 0;
	answer = true;
	for (i = 1; i < 300; i++)
		filter_remove(NULL, at(a + i * ALIAS_BYTES), shared);
	CHECK(asked == 299);
	CHECK(filter_test(at(a)));
	answer = false;
	filter_remove(NULL, at(a), shared);
	CHECK(!filter_test(at(a)));
}

int main(void)
{
	TAP_RUN(test_a_clear_bit_means_no_sample);
	TAP_RUN(test_a_shared_bit_stays);
	TAP_RUN(test_an_arrival_during_removal_is_not_lost);
	TAP_RUN(test_a_word_that_looks_the_same_is_not);
	TAP_RUN(test_the_last_of_a_word_takes_all_bits);
	TAP_RUN(test_a_word_of_too_many_asks);
	return tap_done();
}
