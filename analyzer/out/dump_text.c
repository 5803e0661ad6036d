/* dump_text.c - owns the text of `heapspy dump` and the names of flags and losses. */
#include "analyzer/out/dump.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "analyzer/out/moment_json.h"
#include "analyzer/profile.h"
#include "analyzer/units.h"
#include "sample_age.h"

const char *dump_loss_name(unsigned loss, char buffer[16])
{
	static const char *const names[] = { "reentry", "no_scratch", "state_full", "replaced",
		"folded", "modules", "thread_slots", "snapshots", "deaths", "fork_children",
		"cut_stacks", "broken_stacks" };

	if (loss < sizeof(names) / sizeof(names[0]))
		return names[loss];
	snprintf(buffer, 16, "loss_%u", loss);
	return buffer;
}

static void add_flags(
	struct strbuf *out, uint32_t flags, const char *const *names, unsigned n_names)
{
	unsigned bit;
	const char *gap = "";

	for (bit = 0; bit < 32; bit++) {
		if (!(flags >> bit & 1))
			continue;
		if (bit < n_names)
			strbuf_addf(out, "%s%s", gap, names[bit]);
		else
			strbuf_addf(out, "%sbit_%u", gap, bit);
		gap = " ";
	}
}

void dump_add_info_flags(struct strbuf *out, uint32_t flags)
{
	static const char *const names[] = { "not_interposed", "fork_child", "bytes_lower",
		"thinning", "stopped", "state_private", "lower_bound", "unseen_doors", "seccomp" };

	add_flags(out, flags, names, sizeof(names) / sizeof(names[0]));
}

void dump_add_stack_flags(struct strbuf *out, uint32_t flags)
{
	static const char *const names[] = { "cut", "truncated", "approx", "signal", "foreign",
		"folded" };

	add_flags(out, flags, names, sizeof(names) / sizeof(names[0]));
}

static void add_string(struct strbuf *out, const char *name, const char *text)
{
	strbuf_addf(out, "  %-16s", name);
	strbuf_add_escaped(out, text, strlen(text));
	strbuf_add_char(out, '\n');
}

static void add_number(struct strbuf *out, const char *name, uint64_t value)
{
	strbuf_addf(out, "  %-16s%" PRIu64 "\n", name, value);
}

static void add_pair(struct strbuf *out, const char *name, const uint64_t values[2])
{
	strbuf_addf(out, "  %-16s %" PRIu64 " %" PRIu64 "\n", name, values[0], values[1]);
}

const char *dump_limit_name(uint32_t kind)
{
	static const char *const names[] = { "none", "cgroup v2", "cgroup v1", "RLIMIT_AS" };

	return kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "unknown";
}

/* As Linux numbers errors: a file may come from elsewhere, and hold anything. */
static void add_error(struct strbuf *out, const char *name, uint32_t number)
{
	strbuf_addf(out, "  %-16s%u", name, number);
	if (number)
		strbuf_addf(out, " (%s)", number <= INT_MAX ? strerror((int)number) : "unknown");
	strbuf_add_char(out, '\n');
}

static void add_hex(struct strbuf *out, const uint8_t *bytes, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		strbuf_addf(out, "%02x", bytes[i]);
}

static void add_level(struct strbuf *out, const struct snapshot *s, uint32_t level)
{
	strbuf_addf(out, "    level %-8u%" PRIu64 " ns (", level, s->info.level_ns[level]);
	units_add_clock(out, s->info.level_ns[level]);
	strbuf_add_text(out, "): ");
	units_add_bytes(out, (double)profile_interval_bytes(s, level));
	strbuf_add_char(out, '\n');
}

static void add_info(struct strbuf *out, const struct snapshot *s)
{
	const struct heapspy_info *i = &s->info;
	char buffer[16];
	unsigned loss, level;

	strbuf_add_text(out, "info\n  flags           ");
	dump_add_info_flags(out, i->flags);
	strbuf_add_char(out, '\n');
	add_string(out, "reason", moment_reason_text(i->reason));
	add_string(out, "label", snapshot_string(s, i->label));
	add_string(out, "comm", snapshot_string(s, i->comm));
	add_string(out, "exe", snapshot_string(s, i->exe));
	add_string(out, "host", snapshot_string(s, i->host));
	add_string(out, "front_malloc", snapshot_string(s, i->front_malloc));
	add_string(out, "next_malloc", snapshot_string(s, i->next_malloc));
	add_number(out, "number", i->number);
	add_number(out, "pid", i->pid);
	strbuf_addf(out, "  %-16s%016" PRIx64 "\n", "start_id", i->start_id);
	add_number(out, "start_ticks", i->start_ticks);
	strbuf_add_text(out, "  boot_id         ");
	add_hex(out, i->boot_id, sizeof(i->boot_id));
	strbuf_add_char(out, '\n');
	add_number(out, "start_wall_ns", i->start_wall_ns);
	add_number(out, "start_ns", i->start_ns);
	add_number(out, "cut_wall_ns", i->cut_wall_ns);
	strbuf_addf(out, "  %-16s%" PRIu64 " (", "cut_ns", i->cut_ns);
	units_add_clock(out, i->cut_ns);
	strbuf_add_text(out, ")\n");
	add_number(out, "interval_bytes", i->interval_bytes);
	add_number(out, "level", i->level);
	for (level = 1; level <= HEAPSPY_LEVEL_MAX; level++)
		if (i->level_ns[level])
			add_level(out, s, level);
	add_number(out, "variance_unit", i->variance_unit_log2);
	add_number(out, "bytes_seen", i->bytes_seen);
	add_number(out, "bytes_seen_end", i->bytes_seen_end);
	add_number(out, "samples", i->samples);
	add_number(out, "deaths", i->deaths);
	add_number(out, "self_ns", i->self_ns);
	add_number(out, "cpu_max_ppm", i->cpu_max_ppm);
	add_number(out, "state_bytes", i->state_bytes);
	add_number(out, "state_max_bytes", i->state_max_bytes);
	add_number(out, "own_bytes", i->own_bytes);
	add_error(out, "state_errno", i->state_errno);
	add_error(out, "grow_errno", i->grow_errno);
	add_error(out, "helper_errno", i->helper_errno);
	add_error(out, "snapshot_errno", i->snapshot_errno);
	add_number(out, "near_limit_ppm", i->near_limit_ppm);
	add_number(out, "keep_bytes", i->keep_bytes);
	add_number(out, "n_pruned", i->n_pruned);
	add_number(out, "rss_bytes", i->rss_bytes);
	add_number(out, "rss_peak_bytes", i->rss_peak_bytes);
	add_number(out, "live_bytes", i->live_bytes);
	add_number(out, "peak_live_bytes", i->peak_live_bytes);
	add_number(out, "peak_ns", i->peak_ns);
	add_pair(out, "half_bytes", i->half_bytes);
	add_pair(out, "half_peak_bytes", i->half_peak_bytes);
	add_pair(out, "half_other_bytes", i->half_other_bytes);
	strbuf_addf(out, "  older_peak_bytes %" PRIu64 " (level %u)\n", i->older_peak_bytes,
		i->older_peak_level);
	add_string(out, "limit_kind", dump_limit_name(i->limit_kind));
	add_number(out, "limit_bytes", i->limit_bytes);
	strbuf_addf(out, "  limit_used_bytes %" PRIu64 "\n", i->limit_used_bytes);
	strbuf_add_text(out, "losses\n");
	for (loss = 0; loss < HEAPSPY_N_LOSSES; loss++)
		if (i->losses[loss])
			add_number(out, dump_loss_name(loss, buffer), i->losses[loss]);
}

static void add_modules(struct strbuf *out, const struct snapshot *s)
{
	size_t i;

	for (i = 0; i < s->n_modules; i++) {
		const struct heapspy_module *m = &s->modules[i];
		const char *path = snapshot_string(s, m->path);

		strbuf_addf(out, "  %5u %012" PRIx64 "-%012" PRIx64 " bias %012" PRIx64 " ",
			m->serial, m->start_address, m->end_address, m->load_bias);
		if (m->build_id_bytes)
			add_hex(out, m->build_id, m->build_id_bytes);
		else
			strbuf_add_text(out, "no-build-id");
		strbuf_add_char(out, ' ');
		strbuf_add_escaped(out, path, strlen(path));
		strbuf_add_text(out, m->flags & HEAPSPY_MODULE_MAIN ? " (main)\n" : "\n");
	}
}

static void add_counters(struct strbuf *out, const struct snapshot *s, size_t index)
{
	const struct snapshot_stack *stack = &s->stacks[index];
	const struct snapshot_counters *c = &stack->allocated;
	const struct snapshot_thinned *t = &stack->thinned;
	uint32_t i;

	strbuf_addf(out,
		"    allocated n %" PRIu64 " S %" PRIu64 " B %" PRIu64 " V %" PRIu64 " C %" PRIu64
		"\n",
		c->n, c->S, c->B, c->V, c->C);
	if (t->n || t->S || t->B || t->V || t->C)
		strbuf_addf(out,
			"    thinned n %" PRId64 " S %" PRId64 " B %" PRId64 " V %" PRId64
			" C %" PRId64 "\n",
			t->n, t->S, t->B, t->V, t->C);
	for (i = 0; i < stack->n_deaths; i++) {
		const struct snapshot_death *d = &s->deaths[stack->first_death + i];

		strbuf_addf(out, "    died 2^%u ns: n %" PRIu64 " B %" PRIu64 " C %" PRIu64 "\n",
			d->bucket, d->n, d->B, d->C);
	}
}

static void add_stacks(struct strbuf *out, const struct snapshot *s)
{
	size_t i;
	uint32_t j;

	for (i = 0; i < s->n_stacks; i++) {
		const struct snapshot_stack *stack = &s->stacks[i];

		strbuf_addf(out, "  stack %u ", stack->id);
		dump_add_stack_flags(out, stack->flags);
		if (stack->flags & HEAPSPY_STACK_APPROX)
			strbuf_addf(out, " from frame %u", stack->approx_from);
		strbuf_add_char(out, '\n');
		for (j = 0; j < stack->n_frames; j++) {
			uint64_t frame = s->frames[stack->first_frame + j];
			uint64_t pc = HEAPSPY_FRAME_PC(frame);
			uint16_t module = s->module_of_serial[HEAPSPY_FRAME_MODULE(frame)];

			strbuf_addf(out, "    %012" PRIx64 " module %u", pc,
				HEAPSPY_FRAME_MODULE(frame));
			if (module)
				strbuf_addf(
					out, "+0x%" PRIx64, pc - s->modules[module - 1].load_bias);
			strbuf_add_text(out, frame & HEAPSPY_FRAME_EXACT ? " exact\n" : "\n");
		}
		add_counters(out, s, i);
	}
}

static void add_live(struct strbuf *out, const struct snapshot *s)
{
	size_t i;

	strbuf_add_text(out, "  address           size      birth_ns  born at  now at  thread  "
			     "stack         u\n");
	for (i = 0; i < s->n_samples; i++) {
		const struct heapspy_sample *p = &s->samples[i];

		strbuf_addf(out,
			"  %012" PRIx64 "  %8" PRIu64 "  %12" PRIu64 "  %7u  %6u  %6u  %5u  %08x\n",
			p->address, (uint64_t)HEAPSPY_SAMPLE_SIZE(p),
			sample_birth_ns(p->birth_level, s->info.cut_ns),
			HEAPSPY_SAMPLE_BIRTH_LEVEL(p), HEAPSPY_SAMPLE_LEVEL(p),
			HEAPSPY_SAMPLE_THREAD(p), s->stacks[p->stack].id, p->u);
	}
}

void dump_text(const struct dump_view *v, struct strbuf *out)
{
	const struct snapshot *s = v->input->snapshot;
	size_t i;

	strbuf_add_text(out, "file ");
	strbuf_add_escaped(out, s->path, strlen(s->path));
	strbuf_addf(out, "\n  %-16s%d\n", "format", HEAPSPY_FORMAT_VERSION);
	add_number(out, "bytes", s->file_bytes);
	add_info(out, s);
	strbuf_addf(out, "modules %zu\n", s->n_modules);
	add_modules(out, s);
	strbuf_addf(out, "threads %zu\n", s->n_threads);
	for (i = 0; i < s->n_threads; i++) {
		const char *name = snapshot_string(s, s->threads[i]);

		strbuf_addf(out, "  %5zu ", i);
		strbuf_add_escaped(out, name, strlen(name));
		strbuf_add_char(out, '\n');
	}
	strbuf_addf(out, "stacks %zu, frames %zu\n", s->n_stacks, s->n_frames);
	if (v->stacks)
		add_stacks(out, s);
	strbuf_addf(out, "live %zu\n", s->n_samples);
	if (v->live)
		add_live(out, s);
	strbuf_addf(out, "ticks %zu\n", s->n_ticks);
	for (i = 0; i < s->n_ticks; i++)
		strbuf_addf(out, "  %" PRIu64 " ns  bytes_seen %" PRIu64 "  live %" PRIu64 "\n",
			s->ticks[i].time_ns, s->ticks[i].bytes_seen, s->ticks[i].live_samples);
}
