/* last_sign.c - owns the choice among the times that a state holds. */
#include "analyzer/target/last_sign.h"

#include "analyzer/clock.h"
#include "analyzer/target/here.h"
#include "preload/state/state_map.h"
#include "sample_age.h"

#define LIFE_NS_MAX    (1ull << 60)   /* 36 years */
#define UNNOTED_NS_MAX 60000000000ull /* a thread can stand still before it notes the time */

static uint64_t latest_of(const struct state_header *state)
{
	uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);

	return here_is_same_boot(state) && now_ns > state->start_ns ? now_ns
								    : state->start_ns + LIFE_NS_MAX;
}

static uint64_t later(const struct state_header *state, uint64_t sign_ns, uint64_t ns)
{
	return ns > sign_ns && ns <= latest_of(state) ? ns : sign_ns;
}

uint64_t last_sign_of_header(const struct state_header *state)
{
	uint64_t sign_ns = state->start_ns;

	/* Who sets this says so; nothing of the process can be later. */
	if (state->exit_ns >= state->start_ns && state->exit_ns <= latest_of(state))
		return state->exit_ns;
	sign_ns = later(state, sign_ns, state->last_ns);
	if (state->lease.pid)
		sign_ns = later(state, sign_ns, state->lease.heartbeat_ns);
	return sign_ns;
}

/* sign_ns, or the last birth in the segment before until_ns if that is later. */
static uint64_t last_birth(const struct state_header *state, const struct state_live_segment *s,
	uint64_t bytes, uint64_t sign_ns, uint64_t until_ns)
{
	const struct state_live_bucket *bucket;
	uint64_t b, age_ns;
	unsigned i;

	if (bytes < sizeof(*s) || s->buckets > bytes || s->buckets % 8 ||
		s->n_buckets > (bytes - s->buckets) / sizeof(*bucket))
		return sign_ns;
	bucket = (const void *)((const char *)s + s->buckets);
	for (b = 0; b < s->n_buckets; b++, bucket++)
		for (i = 0; i < STATE_BUCKET_SLOTS; i++) {
			age_ns = sample_age_ns(
				bucket->value[i].birth_level, until_ns - state->start_ns);
			if (STATE_KEY_ADDRESS(bucket->key[i]) && age_ns < until_ns - sign_ns)
				sign_ns = until_ns - age_ns;
		}
	return sign_ns;
}

uint64_t last_sign_of_state(const struct state_header *state)
{
	uint64_t sign_ns = last_sign_of_header(state), until_ns = sign_ns + UNNOTED_NS_MAX;
	uint32_t i;

	if (state->exit_ns == sign_ns)
		return sign_ns;
	if (until_ns > latest_of(state))
		until_ns = latest_of(state);
	for (i = 0; i < state_n_chunks(state); i++)
		if (state->chunk[i].kind == STATE_CHUNK_LIVE)
			sign_ns = last_birth(state, state_at(state, state->chunk[i].offset),
				state->chunk[i].bytes, sign_ns, until_ns);
	return sign_ns;
}
