/* trend_words.c - owns what a verdict is called in a table, and its evidence in words. */
#include "analyzer/out/trend_parts.h"

#include <math.h>
#include <string.h>

#include "analyzer/units.h"

/* Loads that differ by less are called the same. */
#define LOAD_MARGIN .1
#define SWINGS_MIN  3  /* both ways: from so many on it is a sawtooth, else old blocks renewed */
#define LEVEL_FAR   20 /* times what is live: a level no table should promise */

static bool swings(const struct trend_result *r)
{
	return r->rises >= SWINGS_MIN && r->falls >= SWINGS_MIN;
}

const char *trend_word(const struct trend_result *r)
{
	static const char *const words[TREND_N_VERDICTS] = {
		[TREND_LEAK] = "leak-like",
		[TREND_LEAK_SLOWING] = "slowing",
		[TREND_CONTAINER] = "container",
		[TREND_TURNING_OVER] = "turning over",
		[TREND_SAWTOOTH] = "sawtooth",
		[TREND_LOAD_FOLLOWING] = "load-following",
		[TREND_ONE_OFF] = "one-off step",
		[TREND_WARM_UP] = "steady, warmed up",
		[TREND_STEADY] = "steady",
		[TREND_SHRINKING] = "shrinking",
		[TREND_TOO_FEW] = "too few samples",
	};

	/* "Warmed up" would say that it is over. */
	if (r->grew_late)
		return "grew late";
	return r->verdict == TREND_SAWTOOTH && !swings(r) ? "cache" : words[r->verdict];
}

/* "4 -> 32 MiB": the unit once where both have it. */
static void add_two(struct strbuf *out, double a, const char *between, double b)
{
	struct strbuf first = { 0 }, second = { 0 };
	const char *unit;

	units_add_bytes(&first, a);
	units_add_bytes(&second, b);
	unit = strchr(first.data, ' ');
	if (unit && strchr(second.data, ' ') && !strcmp(unit, strchr(second.data, ' ')))
		strbuf_add(out, first.data, (size_t)(unit - first.data));
	else
		strbuf_add_text(out, first.data);
	strbuf_addf(out, "%s%s", between, second.data);
	strbuf_deinit(&first);
	strbuf_deinit(&second);
}

static const char *samples_word(const struct trend_view *v, double n)
{
	if (v->history->run.interval_bytes <= 1)
		return n == 1 ? "block" : "blocks";
	return n == 1 ? "sample" : "samples";
}

/* What became of the blocks that a leak would keep. */
static void add_freed(struct strbuf *out, const struct trend_view *v, const struct trend_result *r)
{
	double died = r->old_died, of = r->old_samples;
	const char *old = "old";

	/* No cohort to follow: all that grew old in the second half. */
	if (!(of > 0)) {
		died = r->late_flow.out_samples;
		of = r->late_flow.in_samples;
		old = "aged";
	}
	units_add_rounded(out, died);
	strbuf_add_text(out, " of ");
	units_add_rounded(out, of);
	strbuf_addf(out, " %s %s freed", old, samples_word(v, of));
}

static void add_slowing(struct strbuf *out, const struct trend_result *r)
{
	strbuf_addf(out, "growth has slowed by %.0f %%", 100 * r->slowed_by);
	/* Exactly 1: nothing else allocated that could be compared with. */
	if (r->load != 1) {
		if (fabs(r->load - 1) <= LOAD_MARGIN)
			strbuf_add_text(out, " at the same load");
		else if (r->load < 1)
			strbuf_addf(out, " beyond the %.0f %% by which the load fell",
				100 * (1 - r->load));
		else
			strbuf_addf(out, " though the load rose by %.0f %%", 100 * (r->load - 1));
	}
	strbuf_add_text(out, ": a cache still filling, or a leak with fewer triggers");
}

static void add_container(struct strbuf *out, const struct trend_result *r)
{
	add_two(out, r->container.from_bytes, " -> ", r->container.to_bytes);
	if (r->container.to_blocks < 1.5) {
		strbuf_add_text(out, " in 1 block, each replaced by a larger one");
		return;
	}
	strbuf_add_text(out, " in about ");
	units_add_rounded(out, r->container.to_blocks);
	strbuf_add_text(out, " blocks, the largest ");
	add_two(out, r->container.from_largest, " -> ", r->container.to_largest);
	strbuf_add_text(out, ", each replaced by a larger one");
}

bool trend_level(const struct trend_result *r, double *bytesp, struct interval *rangep)
{
	if (!r->has_level)
		return false;
	*bytesp = r->level_bytes;
	*rangep = r->level_range;
	return *bytesp < LEVEL_FAR * r->last_bytes;
}

static void add_turning_over(
	struct strbuf *out, const struct trend_view *v, const struct trend_result *r)
{
	struct interval range;
	double level;

	if (trend_level(r, &level, &range)) {
		strbuf_add_text(out, "levels off near ");
		units_add_bytes(out, level);
		strbuf_add_text(out, " (");
		units_add_range(out, range.lo, range.hi, level);
		strbuf_add_text(out, "); ");
	}
	add_freed(out, v, r);
}

static void add_sawtooth(
	struct strbuf *out, const struct trend_view *v, const struct trend_result *r)
{
	if (swings(r)) {
		strbuf_addf(out, "%u swings between ", r->rises < r->falls ? r->rises : r->falls);
		add_two(out, r->min_bytes, " and ", r->max_bytes);
		return;
	}
	strbuf_add_text(out, "old blocks are renewed: ");
	units_add_bytes(out, r->died_bytes);
	strbuf_add_text(out, " of them freed");
	if (r->old_samples > 0) {
		strbuf_add_text(out, "; ");
		add_freed(out, v, r);
	}
}

static void add_step(struct strbuf *out, const struct trend_view *v, const struct trend_result *r)
{
	units_add_bytes(out, r->step_bytes);
	strbuf_add_text(out, " between ");
	units_add_clock(out, v->history->cut_ns[r->step_from]);
	strbuf_add_text(out, " and ");
	units_add_clock(out, v->history->cut_ns[r->step_to]);
}

/* "grew by 20 MiB (14..27)" of a test that was significant, or anything that is shown as such. */
static void add_growth(struct strbuf *out, const char *verb, const struct growth *growth)
{
	strbuf_add_text(out, verb);
	units_add_bytes(out, growth->bytes);
	strbuf_add_text(out, " (");
	units_add_range(out, growth->range.lo, growth->range.hi, growth->bytes);
	strbuf_add_char(out, ')');
}

/* A leak may have begun there, and had no time to show. */
static void add_late(struct strbuf *out, const struct trend_view *v, const struct trend_result *r)
{
	add_growth(out, "grew by ", &r->all.growth);
	strbuf_add_text(out, ", mostly after ");
	units_add_clock(out, v->history->cut_ns[r->late_cut]);
	strbuf_add_text(out, ": too early to tell, look again");
}

void trend_add_why(struct strbuf *out, const struct trend_view *v, const struct trend_result *r)
{
	if (r->grew_late) {
		add_late(out, v, r);
		return;
	}
	switch (r->verdict) {
	case TREND_LEAK:
		add_freed(out, v, r);
		strbuf_addf(out, "; grew in %u of %d parts", r->bins_up, TREND_PLAN_BINS);
		break;
	case TREND_LEAK_SLOWING:
		add_slowing(out, r);
		break;
	case TREND_CONTAINER:
		add_container(out, r);
		break;
	case TREND_TURNING_OVER:
		add_turning_over(out, v, r);
		break;
	case TREND_SAWTOOTH:
		add_sawtooth(out, v, r);
		break;
	case TREND_LOAD_FOLLOWING:
		add_growth(out, "grew by ", &r->all.growth);
		strbuf_addf(out, "; %.0f %% of it is old", 100 * r->aged_share);
		break;
	case TREND_ONE_OFF:
		add_step(out, v, r);
		break;
	case TREND_WARM_UP:
		add_growth(out, "grew by ", &r->all.growth);
		add_growth(out, "; in the second half by ", &r->late.growth);
		break;
	case TREND_SHRINKING:
		add_growth(out, "shrank by ", &r->shrink.growth);
		break;
	case TREND_TOO_FEW:
		strbuf_addf(out, "%.0f %s", r->samples, samples_word(v, r->samples));
		break;
	case TREND_STEADY:
	case TREND_N_VERDICTS:
		add_growth(out, "changed by ", &r->all.growth);
		break;
	}
}
