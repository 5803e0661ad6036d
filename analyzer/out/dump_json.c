/* dump_json.c - owns the schema heapspy.dump/1. Additions keep the number. */
#include "analyzer/out/dump.h"

#include <inttypes.h>
#include <stdio.h>

#include "analyzer/out/json.h"
#include "analyzer/out/moment_json.h"
#include "sample_age.h"

/* Addresses and ids are text: a JSON number holds 53 bits. */
static void add_hex(struct json *j, const char *key, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%" PRIx64, value);
	json_text(j, key, text);
}

static void add_bytes(struct json *j, const char *key, const uint8_t *bytes, size_t n)
{
	struct strbuf text = { 0 };
	size_t i;

	for (i = 0; i < n; i++)
		strbuf_addf(&text, "%02x", bytes[i]);
	json_text(j, key, text.data);
	strbuf_deinit(&text);
}

static void add_flags(
	struct json *j, uint32_t flags, void (*add)(struct strbuf *out, uint32_t flags))
{
	struct strbuf text = { 0 };

	add(&text, flags);
	json_text(j, "flags", text.data ? text.data : "");
	strbuf_deinit(&text);
}

static void add_pair(struct json *j, const char *key, const uint64_t values[2])
{
	json_array_begin(j, key);
	json_unsigned(j, NULL, values[0]);
	json_unsigned(j, NULL, values[1]);
	json_array_end(j);
}

static void add_info(struct json *j, const struct snapshot *s)
{
	const struct heapspy_info *i = &s->info;
	char buffer[16];
	unsigned loss, level;

	json_object_begin(j, "info");
	add_flags(j, i->flags, dump_add_info_flags);
	json_text(j, "reason", moment_reason_text(i->reason));
	json_unsigned(j, "number", i->number);
	json_unsigned(j, "pid", i->pid);
	add_hex(j, "start_id", i->start_id);
	json_unsigned(j, "start_ticks", i->start_ticks);
	add_bytes(j, "boot_id", i->boot_id, sizeof(i->boot_id));
	json_unsigned(j, "start_wall_ns", i->start_wall_ns);
	json_unsigned(j, "start_ns", i->start_ns);
	json_unsigned(j, "cut_wall_ns", i->cut_wall_ns);
	json_unsigned(j, "cut_ns", i->cut_ns);
	json_unsigned(j, "interval_bytes", i->interval_bytes);
	json_unsigned(j, "level", i->level);
	json_array_begin(j, "level_ns");
	for (level = 0; level <= HEAPSPY_LEVEL_MAX; level++)
		json_unsigned(j, NULL, i->level_ns[level]);
	json_array_end(j);
	json_unsigned(j, "variance_unit_log2", i->variance_unit_log2);
	json_unsigned(j, "bytes_seen", i->bytes_seen);
	json_unsigned(j, "bytes_seen_end", i->bytes_seen_end);
	json_unsigned(j, "samples", i->samples);
	json_unsigned(j, "deaths", i->deaths);
	json_unsigned(j, "self_ns", i->self_ns);
	json_unsigned(j, "cpu_max_ppm", i->cpu_max_ppm);
	json_unsigned(j, "state_bytes", i->state_bytes);
	json_unsigned(j, "state_max_bytes", i->state_max_bytes);
	json_unsigned(j, "own_bytes", i->own_bytes);
	json_unsigned(j, "state_errno", i->state_errno);
	json_unsigned(j, "grow_errno", i->grow_errno);
	json_unsigned(j, "helper_errno", i->helper_errno);
	json_unsigned(j, "snapshot_errno", i->snapshot_errno);
	json_unsigned(j, "near_limit_ppm", i->near_limit_ppm);
	json_unsigned(j, "keep_bytes", i->keep_bytes);
	json_unsigned(j, "n_pruned", i->n_pruned);
	json_unsigned(j, "rss_bytes", i->rss_bytes);
	json_unsigned(j, "rss_peak_bytes", i->rss_peak_bytes);
	json_unsigned(j, "live_bytes", i->live_bytes);
	json_unsigned(j, "peak_live_bytes", i->peak_live_bytes);
	json_unsigned(j, "peak_ns", i->peak_ns);
	add_pair(j, "half_bytes", i->half_bytes);
	add_pair(j, "half_peak_bytes", i->half_peak_bytes);
	add_pair(j, "half_other_bytes", i->half_other_bytes);
	json_unsigned(j, "older_peak_bytes", i->older_peak_bytes);
	json_unsigned(j, "older_peak_level", i->older_peak_level);
	json_text(j, "limit_kind", i->limit_kind ? dump_limit_name(i->limit_kind) : NULL);
	json_unsigned(j, "limit_bytes", i->limit_bytes);
	json_unsigned(j, "limit_used_bytes", i->limit_used_bytes);
	json_text(j, "comm", snapshot_string(s, i->comm));
	json_text(j, "exe", snapshot_string(s, i->exe));
	json_text(j, "host", snapshot_string(s, i->host));
	json_text(j, "label", snapshot_string(s, i->label));
	json_text(j, "front_malloc", snapshot_string(s, i->front_malloc));
	json_text(j, "next_malloc", snapshot_string(s, i->next_malloc));
	json_object_begin(j, "losses");
	for (loss = 0; loss < HEAPSPY_N_LOSSES; loss++)
		json_unsigned(j, dump_loss_name(loss, buffer), i->losses[loss]);
	json_object_end(j);
	json_object_end(j);
}

static void add_modules(struct json *j, const struct snapshot *s)
{
	size_t i;

	json_array_begin(j, "modules");
	for (i = 0; i < s->n_modules; i++) {
		const struct heapspy_module *m = &s->modules[i];

		json_object_begin(j, NULL);
		json_unsigned(j, "serial", m->serial);
		json_text(j, "path", snapshot_string(s, m->path));
		add_hex(j, "start", m->start_address);
		add_hex(j, "end", m->end_address);
		add_hex(j, "load_bias", m->load_bias);
		json_bool(j, "main", m->flags & HEAPSPY_MODULE_MAIN);
		add_bytes(j, "build_id", m->build_id, m->build_id_bytes);
		json_object_end(j);
	}
	json_array_end(j);
}

static void add_frames(struct json *j, const struct snapshot *s, const struct snapshot_stack *stack)
{
	uint32_t i;

	json_array_begin(j, "frames");
	for (i = 0; i < stack->n_frames; i++) {
		uint64_t frame = s->frames[stack->first_frame + i];

		json_object_begin(j, NULL);
		add_hex(j, "pc", HEAPSPY_FRAME_PC(frame));
		json_unsigned(j, "module", HEAPSPY_FRAME_MODULE(frame));
		json_bool(j, "exact", frame & HEAPSPY_FRAME_EXACT);
		json_object_end(j);
	}
	json_array_end(j);
}

static void add_history(
	struct json *j, const struct snapshot *s, const struct snapshot_stack *stack)
{
	uint32_t i;

	json_object_begin(j, "thinned");
	json_signed(j, "n", stack->thinned.n);
	json_signed(j, "S", stack->thinned.S);
	json_signed(j, "B", stack->thinned.B);
	json_signed(j, "V", stack->thinned.V);
	json_signed(j, "C", stack->thinned.C);
	json_object_end(j);
	json_array_begin(j, "deaths");
	for (i = 0; i < stack->n_deaths; i++) {
		const struct snapshot_death *d = &s->deaths[stack->first_death + i];

		json_object_begin(j, NULL);
		json_unsigned(j, "bucket", d->bucket);
		json_unsigned(j, "n", d->n);
		json_unsigned(j, "B", d->B);
		json_unsigned(j, "C", d->C);
		json_object_end(j);
	}
	json_array_end(j);
}

/* The counters of a stack always; in full also its frames and its history. */
static void add_stack(
	struct json *j, const struct snapshot *s, const struct snapshot_stack *stack, bool in_full)
{
	json_object_begin(j, NULL);
	json_unsigned(j, "id", stack->id);
	add_flags(j, stack->flags, dump_add_stack_flags);
	json_unsigned(j, "n", stack->allocated.n);
	json_unsigned(j, "S", stack->allocated.S);
	json_unsigned(j, "B", stack->allocated.B);
	json_unsigned(j, "V", stack->allocated.V);
	json_unsigned(j, "C", stack->allocated.C);
	json_unsigned(j, "n_frames", stack->n_frames);
	if (in_full) {
		json_unsigned(j, "approx_from", stack->approx_from);
		add_frames(j, s, stack);
		add_history(j, s, stack);
	}
	json_object_end(j);
}

static void add_sample(struct json *j, const struct snapshot *s, const struct heapspy_sample *p)
{
	json_object_begin(j, NULL);
	add_hex(j, "address", p->address);
	json_unsigned(j, "size", HEAPSPY_SAMPLE_SIZE(p));
	json_unsigned(j, "birth_ns", sample_birth_ns(p->birth_level, s->info.cut_ns));
	json_unsigned(j, "birth_level", HEAPSPY_SAMPLE_BIRTH_LEVEL(p));
	json_unsigned(j, "level", HEAPSPY_SAMPLE_LEVEL(p));
	json_unsigned(j, "thread", HEAPSPY_SAMPLE_THREAD(p));
	json_unsigned(j, "stack", s->stacks[p->stack].id);
	json_unsigned(j, "u", p->u);
	json_object_end(j);
}

void dump_json(const struct dump_view *v, struct strbuf *out)
{
	const struct snapshot *s = v->input->snapshot;
	struct json j = { .out = out };
	size_t i;

	json_object_begin(&j, NULL);
	json_text(&j, "schema", "heapspy.dump/1");
	json_text(&j, "file", s->path);
	json_unsigned(&j, "format", HEAPSPY_FORMAT_VERSION);
	json_unsigned(&j, "bytes", s->file_bytes);
	add_info(&j, s);
	add_modules(&j, s);
	json_array_begin(&j, "threads");
	for (i = 0; i < s->n_threads; i++)
		json_text(&j, NULL, snapshot_string(s, s->threads[i]));
	json_array_end(&j);
	json_unsigned(&j, "n_stacks", s->n_stacks);
	json_unsigned(&j, "n_frames", s->n_frames);
	json_unsigned(&j, "n_live", s->n_samples);
	json_array_begin(&j, "stacks");
	for (i = 0; i < s->n_stacks; i++)
		add_stack(&j, s, &s->stacks[i], v->stacks);
	json_array_end(&j);
	if (v->live) {
		json_array_begin(&j, "live");
		for (i = 0; i < s->n_samples; i++)
			add_sample(&j, s, &s->samples[i]);
		json_array_end(&j);
	}
	json_array_begin(&j, "ticks");
	for (i = 0; i < s->n_ticks; i++) {
		json_object_begin(&j, NULL);
		json_unsigned(&j, "time_ns", s->ticks[i].time_ns);
		json_unsigned(&j, "bytes_seen", s->ticks[i].bytes_seen);
		json_unsigned(&j, "live_samples", s->ticks[i].live_samples);
		json_object_end(&j);
	}
	json_array_end(&j);
	json_object_end(&j);
}
