/*
 * site_table.c - owns which sites of different runs are one. How a stack gets its name is
 * sites.c's business, what the figures mean baseline.c's.
 */
#include "analyzer/check/site_table.h"

#include <stdlib.h>
#include <string.h>

#include "analyzer/alloc.h"
#include "analyzer/content_index.h"
#include "analyzer/symbols/name.h"

/* The place shown is that of the candidate, unless nothing is left of it there. */
#define BASE_WEIGHT 1e-6

static const struct snapshot *snapshot_at(const struct site_table *t, size_t run)
{
	return t->profile.moments[run].snapshot;
}

/* Calls add for each stack and run with what the run has there. */
static void for_each_sum(const struct site_table *t, bool allocated, void *user,
	void (*add)(void *user, size_t run, uint32_t stack, const struct aggregate *sum))
{
	size_t run, i;

	for (run = 0; run < t->profile.n_moments; run++) {
		const struct snapshot *s = snapshot_at(t, run);
		const uint32_t *stack_of = t->profile.moments[run].stack_of;
		uint64_t interval = profile_interval_bytes(s, s->level);
		struct aggregate one;

		for (i = 0; allocated && i < s->n_stacks; i++) {
			one = profile_allocated(s, &s->stacks[i]);
			add(user, run, stack_of[i], &one);
		}
		for (i = 0; !allocated && i < s->n_samples; i++) {
			struct estimate_sample sample = profile_sample(s, &s->samples[i]);

			memset(&one, 0, sizeof(one));
			estimate_add_sample(&one, &sample, interval, s->info.variance_unit_log2);
			add(user, run, stack_of[s->samples[i].stack], &one);
		}
	}
}

struct weighing {
	const struct site_table *t;
	double *weights;
	bool *wanted;
};

static void add_weight(void *user, size_t run, uint32_t stack, const struct aggregate *sum)
{
	struct weighing *w = user;

	if (!(sum->samples > 0))
		return;
	w->wanted[stack] = true;
	w->weights[stack] += (sum->bytes + 1) * (run < w->t->n_base ? BASE_WEIGHT : 1);
}

/* Whether a module is the program of a run, whatever that is called. */
static bool is_program(const struct site_table *t, const char *path)
{
	size_t run, i;

	for (run = 0; run < t->profile.n_moments; run++) {
		const struct snapshot *s = snapshot_at(t, run);

		for (i = 0; i < s->n_modules; i++)
			if ((s->modules[i].flags & HEAPSPY_MODULE_MAIN) &&
				!strcmp(snapshot_string(s, s->modules[i].path), path))
				return true;
	}
	return false;
}

/* What a site is called, in a string of the table's. */
static const char *name_of(struct site_table *t, const struct site *site, enum sites_by by)
{
	struct strbuf name = { 0 };

	if (by == SITES_BY_MODULE)
		strbuf_add_text(&name,
			site->module[0] ? source_frames_base_name(site->module) : "(no module)");
	else if (by == SITES_BY_LINE && site->file && site->line)
		strbuf_addf(&name, "%s:%u", source_frames_base_name(site->file), site->line);
	else
		strbuf_add(&name, site->function,
			name_without_clone(site->function, strlen(site->function)));
	t->names = alloc_room(t->names, t->n_names, &t->name_capacity, sizeof(*t->names));
	t->names[t->n_names++] = name.data ? name.data : alloc_text("", 0);
	return t->names[t->n_names - 1];
}

static struct site_entry *add_entry(
	struct site_table *t, const char *name, const struct site *site, uint32_t group)
{
	struct site_entry *entry;
	size_t had = t->capacity;

	t->entries = alloc_room(t->entries, t->n_entries, &t->capacity, sizeof(*t->entries));
	if (t->capacity != had)
		t->keys = alloc_resize(t->keys, t->capacity, sizeof(*t->keys));
	entry = &t->entries[t->n_entries++];
	memset(entry, 0, sizeof(*entry));
	entry->name = name;
	entry->place = *site;
	entry->place_bytes = site->stack_weight;
	entry->group = group;
	entry->bytes = alloc_array(t->profile.n_moments, sizeof(*entry->bytes));
	return entry;
}

/* The entry of a group of the profile, made where there is none of its name yet. */
static size_t entry_of(struct site_table *t, uint32_t group, enum sites_by by, const bool *programs)
{
	const struct site *site = &t->sites.sites[group];
	const char *name = name_of(t, site, by);
	const char *module = site->module_index == PROFILE_NO_MODULE ? ""
			     : programs[site->module_index]          ? ""
							    : source_frames_base_name(site->module);
	struct strbuf key = { 0 };
	uint64_t hash, at;
	size_t known;

	strbuf_addf(&key, "%s\n%s", name, module);
	hash = content_index_hash(&t->index, key.data, key.bytes);
	for (at = hash; content_index_next(&t->index, hash, &at, &known);) {
		struct site_entry *entry = &t->entries[known];

		if (strcmp(t->keys[known], key.data))
			continue;
		strbuf_deinit(&key);
		if (site->stack_weight > entry->place_bytes) {
			entry->place = *site;
			entry->place_bytes = site->stack_weight;
			entry->group = group;
		}
		return known;
	}
	add_entry(t, name, site, group);
	t->keys[t->n_entries - 1] = key.data;
	content_index_add(&t->index, hash, t->n_entries - 1);
	return t->n_entries - 1;
}

struct summing {
	struct site_table *t;
	const size_t *entry_of_group;
};

static void add_sum(void *user, size_t run, uint32_t stack, const struct aggregate *sum)
{
	const struct summing *s = user;
	uint32_t group = s->t->sites.group_of[stack];
	struct site_entry *entry;

	if (group == SITES_NO_GROUP)
		return;
	entry = &s->t->entries[s->entry_of_group[group]];
	entry->bytes[run] += sum->bytes;
	entry->samples += sum->samples;
	entry->variance += sum->variance / (double)s->t->profile.n_moments;
}

static void make_entries(struct site_table *t, const struct options *o)
{
	bool *programs = alloc_array(t->profile.n_modules, sizeof(*programs));
	size_t *entry_of_group = alloc_array(t->sites.n_sites, sizeof(*entry_of_group));
	struct summing summing = { t, entry_of_group };
	size_t i;

	for (i = 0; i < t->profile.n_modules; i++)
		programs[i] = is_program(t, t->profile.modules[i].path);
	for (i = 0; i < t->sites.n_sites; i++)
		entry_of_group[i] = entry_of(t, (uint32_t)i, o->by, programs);
	for_each_sum(t, o->metric == METRIC_ALLOCATED, &summing, add_sum);
	free(programs);
	free(entry_of_group);
}

int site_table_init(struct site_table *t, const struct check_side *base,
	const struct check_side *candidate, const struct options *o, struct fail *f)
{
	static const struct sites_filter no_filter;
	struct weighing w = { .t = t };
	size_t i;
	int rc;

	memset(t, 0, sizeof(*t));
	t->n_base = base->n_runs;
	t->n_candidate = candidate->n_runs;
	content_index_init(&t->index);
	profile_init(&t->profile);
	for (i = 0; i < base->n_runs + candidate->n_runs; i++) {
		const struct check_run *run =
			i < base->n_runs ? &base->runs[i] : &candidate->runs[i - base->n_runs];
		uint64_t interval = run_interval_bytes(run);

		profile_add(&t->profile, run->input.snapshot);
		if (interval > t->interval_bytes)
			t->interval_bytes = interval;
	}
	w.weights = alloc_array(t->profile.n_stacks, sizeof(*w.weights));
	w.wanted = alloc_array(t->profile.n_stacks, sizeof(*w.wanted));
	for_each_sum(t, o->metric == METRIC_ALLOCATED, &w, add_weight);
	rc = source_frames_init(&t->frames, &t->profile, o->hide, w.wanted, f);
	if (rc == 0) {
		t->has_sites = true;
		rc = sites_init(&t->sites, &t->frames, o->by, &no_filter, w.weights, f);
		if (rc == 0)
			make_entries(t, o);
	}
	free(w.weights);
	free(w.wanted);
	return rc;
}

size_t site_table_count(const struct site_table *t, double samples)
{
	size_t i, n = 0;

	for (i = 0; i < t->n_entries; i++)
		n += t->entries[i].samples >= samples;
	return n;
}

void site_table_deinit(struct site_table *t)
{
	size_t i;

	for (i = 0; i < t->n_entries; i++) {
		free(t->entries[i].bytes);
		free(t->keys[i]);
	}
	for (i = 0; i < t->n_names; i++)
		free(t->names[i]);
	free(t->entries);
	free(t->keys);
	free(t->names);
	if (t->has_sites) {
		sites_deinit(&t->sites);
		source_frames_deinit(&t->frames);
	}
	profile_deinit(&t->profile);
	content_index_deinit(&t->index);
	memset(t, 0, sizeof(*t));
}
