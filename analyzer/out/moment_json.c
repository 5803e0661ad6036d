/* moment_json.c - owns the JSON of a snapshot's identity. Its sections are dump_json.c's. */
#include "analyzer/out/moment_json.h"

#include <math.h>

#include "analyzer/out/peak_text.h"
#include "analyzer/profile.h"

const char *moment_reason_text(uint32_t reason)
{
	static const char *const words[] = { "unknown", "interval", "exit", "label", "request",
		"peak", "limit", "recovered" };

	return words[reason < sizeof(words) / sizeof(words[0]) ? reason : 0];
}

static void add_peak(struct json *j, const struct snapshot *s)
{
	struct peak peak = peak_text_of_snapshot(s);

	json_object_begin(j, "peak");
	json_whole(j, "bytes", peak.bytes);
	if (isnan(peak.range.lo))
		json_text(j, "ci", NULL);
	else
		json_interval(j, "ci", &peak.range);
	json_unsigned(j, "vm_hwm_bytes", s->info.rss_peak_bytes);
	json_object_end(j);
}

void moment_add_json(struct json *j, const char *key, const struct input *in)
{
	const struct snapshot *s = in->snapshot;
	const char *next_malloc = snapshot_string(s, s->info.next_malloc);
	const char *label = snapshot_string(s, s->info.label);
	uint64_t n_lost;

	json_object_begin(j, key);
	json_text(j, "file", s->path);
	json_text(j, "program", input_comm(s));
	json_unsigned(j, "pid", s->info.pid);
	json_text(j, "next_malloc", next_malloc[0] ? next_malloc : NULL);
	json_unsigned(j, "number", s->info.number);
	json_text(j, "reason", moment_reason_text(s->info.reason));
	json_text(j, "label", label[0] ? label : NULL);
	json_decimal(j, "time_seconds", (double)s->info.cut_ns / 1e9, 3);
	json_time(j, "wall_time", s->info.cut_wall_ns);
	json_unsigned(j, "interval_bytes", profile_interval_bytes(s, s->level));
	json_unsigned(j, "bytes_seen", s->info.bytes_seen);
	json_unsigned(j, "rss_bytes", s->info.rss_bytes);
	json_unsigned(j, "rss_peak_bytes", s->info.rss_peak_bytes);
	json_unsigned(j, "peak_live_bytes", s->info.peak_live_bytes);
	add_peak(j, s);
	json_bool(j, "lower_bound", input_is_lower_bound(s, &n_lost));
	json_unsigned(j, "lost_samples", n_lost);
	json_object_end(j);
}
