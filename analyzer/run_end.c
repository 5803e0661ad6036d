/*
 * run_end.c - owns what counts as memory freed at the end of a program. What follows from it is
 * moment.c's and history_cuts.c's.
 */
#include "analyzer/run_end.h"

#include <math.h>

#define FREED_SHARE     .05
#define STANDARD_ERRORS 2
#define FALL_BEGINS     .75 /* of the time */

double run_end_freed(const struct heapspy_info *before, const struct heapspy_info *after)
{
	double was = (double)before->live_bytes, is = (double)after->live_bytes;
	double interval_bytes = ldexp((double)before->interval_bytes, (int)before->level);
	double noise = STANDARD_ERRORS * sqrt(was * interval_bytes), freed = was - is;

	if (!(was > 0) || !(freed > 0))
		return 0;
	if (freed <= was / 2 && (freed <= FREED_SHARE * was || freed <= noise))
		return 0;
	return freed / was;
}

/* The first entry not before this share of the time. */
static size_t entry_at(const struct run_entry *const *entries, size_t n, double share)
{
	double from = (double)entries[0]->info.cut_ns, to = (double)entries[n - 1]->info.cut_ns;
	size_t i = 0;

	while (i < n - 1 && (double)entries[i]->info.cut_ns < from + share * (to - from))
		i++;
	return i;
}

struct run_fall run_end_find_fall(const struct run_entry *const *entries, size_t n)
{
	struct run_fall fall = { 0, 0 };
	size_t i, top;

	if (n < 3)
		return fall;
	top = entry_at(entries, n, FALL_BEGINS);
	for (i = top; i < n; i++)
		if (entries[i]->info.live_bytes >= entries[top]->info.live_bytes)
			top = i;
	for (i = entry_at(entries, n, .5); i < top; i++)
		if (entries[i]->info.live_bytes <= entries[n - 1]->info.live_bytes)
			return fall;
	fall.number = entries[top]->number;
	fall.share = run_end_freed(&entries[top]->info, &entries[n - 1]->info);
	return fall;
}

void run_end_add_hint(
	struct strbuf *out, const struct run_fall *fall, const char *command, const char *run_name)
{
	strbuf_addf(out, "live fell by %.0f %% at the end (shutting down?): heapspy %s ",
		100 * fall->share, command);
	strbuf_add_shell_word(out, run_name);
	strbuf_addf(out, " --until %llu", (unsigned long long)fall->number);
}
