/* recover_json.c - owns the JSON of `heapspy recover`. */
#include "analyzer/out/recover.h"

#include "analyzer/out/json.h"

static const char *name_of(const struct recovered *r, bool dry_run)
{
	switch (r->state.kind) {
	case DEAD_STATE_TELLS:
		return r->is_written ? "recovered" : dry_run ? "recoverable" : "failed";
	case DEAD_STATE_EMPTY:
		return "empty";
	case DEAD_STATE_TOLD:
		return "told";
	case DEAD_STATE_UNFINISHED:
		return "unfinished";
	case DEAD_STATE_DAMAGED:
		return "damaged";
	case DEAD_STATE_CLAIMED:
		return "claimed";
	default:
		return "unclear";
	}
}

static void add_figures(struct json *j, const struct recovered *r)
{
	json_decimal(j, "age_s", (double)r->info.cut_ns * 1e-9, 3);
	json_time(j, "last_seen", r->info.cut_wall_ns);
	json_whole(j, "live_bytes", r->live_bytes);
	json_interval(j, "live_ci", &r->live_range);
	json_unsigned(j, "samples", r->info.samples);
}

void recover_json(const struct recover_view *v, struct strbuf *out)
{
	size_t i, n_recovered = 0, n_removed = 0, n_failed = 0;
	struct json j = { .out = out };

	json_object_begin(&j, NULL);
	json_text(&j, "schema", "heapspy.recover/1");
	json_bool(&j, "dry_run", v->how->dry_run);
	json_array_begin(&j, "states");
	for (i = 0; i < v->n; i++) {
		const struct recovered *r = &v->all[i];

		if (r->state.kind == DEAD_STATE_ALIVE)
			continue;
		json_object_begin(&j, NULL);
		json_text(&j, "state", r->file);
		json_text(&j, "outcome", name_of(r, v->how->dry_run));
		json_text(&j, "program", r->state.comm[0] ? r->state.comm : NULL);
		json_unsigned(&j, "pid", r->state.pid);
		json_unsigned(&j, "uid", r->state.uid);
		json_unsigned(&j, "state_bytes", r->state.bytes);
		if (r->is_told)
			add_figures(&j, r);
		json_text(&j, "snapshot", r->is_written ? r->written.path : NULL);
		json_bool(&j, "removed", r->is_removed);
		json_text(&j, "reason",
			r->f.exit_code       ? r->f.text
			: r->state.reason[0] ? r->state.reason
					     : NULL);
		json_object_end(&j);
		n_recovered += r->is_written;
		n_removed += r->is_removed;
		n_failed += r->f.exit_code != 0;
	}
	json_array_end(&j);
	json_unsigned(&j, "recovered", n_recovered);
	json_unsigned(&j, "removed", n_removed);
	json_unsigned(&j, "failed", n_failed);
	json_object_end(&j);
}
