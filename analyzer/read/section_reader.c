/*
 * section_reader.c - owns the checks of the sections of a file, one by one, and of those that are
 * plain arrays their decoding. The varints of STACKS are stacks_reader.c's, where the sections lie
 * is snapshot_reader.c's.
 */
#include "analyzer/read/section_reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/alloc.h"
#include "analyzer/read/stacks_reader.h"
#include "sample_age.h"
#include "sample_math.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the arrays are copied as they are");

#define THREADS_MAX 0x10000 /* what a sample can name */

int section_damaged(const char *name, struct fail *f, const char *format, ...)
{
	char what[256];
	va_list ap;

	va_start(ap, format);
	vsnprintf(what, sizeof(what), format, ap);
	va_end(ap);
	return fail_set(f, EXIT_CODE_INPUT, "'%s' is damaged: %s", name, what);
}

int section_decode_info(const uint8_t *body, size_t bytes, const char *name,
	struct heapspy_info *info, struct fail *f)
{
	/* Fields added later follow these; a file without them has 0 there. */
	if (bytes < HEAPSPY_INFO_BYTES_MIN)
		return section_damaged(name, f, "INFO has %zu bytes, expected at least %d", bytes,
			HEAPSPY_INFO_BYTES_MIN);
	memset(info, 0, sizeof(*info));
	memcpy(info, body, bytes < sizeof(*info) ? bytes : sizeof(*info));
	if (info->interval_bytes == 0 || info->interval_bytes > SAMPLE_INTERVAL_MAX ||
		info->level > HEAPSPY_LEVEL_MAX || info->older_peak_level > HEAPSPY_LEVEL_MAX ||
		info->variance_unit_log2 > 78 || info->cut_ns > INT64_MAX)
		return section_damaged(
			name, f, "INFO with an interval, level, unit or time out of range");
	return 0;
}

static bool string_fits(const struct snapshot *s, uint32_t offset)
{
	return offset < s->strings_bytes || offset == 0;
}

/* Where the samples name their stacks by id there is nothing to look them up in. */
static bool find_stack(
	const struct snapshot *s, const struct stacks_index *index, struct heapspy_sample *sample)
{
	uint32_t stack;

	if (!SNAPSHOT_HAS(s, HEAPSPY_SECTION_STACKS))
		return true;
	if (!stacks_index_find(index, sample->stack, &stack))
		return false;
	sample->stack = stack;
	return true;
}

/* A copy of an array section; *np items. */
static void *copy_items(const uint8_t *body, size_t bytes, size_t size, size_t *np)
{
	void *items = alloc_array(bytes / size, size);

	if (bytes)
		memcpy(items, body, bytes);
	*np = bytes / size;
	return items;
}

static int decode_strings(struct snapshot *s, const uint8_t *body, size_t bytes, struct fail *f)
{
	const struct heapspy_info *info = &s->info;

	if (bytes && (body[0] || body[bytes - 1]))
		return section_damaged(s->path, f, "STRINGS do not begin and end with a NUL");
	s->strings = alloc_text((const char *)body, bytes);
	s->strings_bytes = bytes;
	if (!string_fits(s, info->comm) || !string_fits(s, info->exe) ||
		!string_fits(s, info->host) || !string_fits(s, info->label) ||
		!string_fits(s, info->front_malloc) || !string_fits(s, info->next_malloc))
		return section_damaged(s->path, f, "INFO names a string beyond STRINGS");
	return 0;
}

static int decode_modules(struct snapshot *s, const uint8_t *body, size_t bytes, struct fail *f)
{
	size_t i;

	s->modules = copy_items(body, bytes, sizeof(*s->modules), &s->n_modules);
	for (i = 0; i < s->n_modules; i++) {
		const struct heapspy_module *m = &s->modules[i];

		if (m->serial == 0 || m->serial > HEAPSPY_MODULE_SERIAL_MAX ||
			m->build_id_bytes > sizeof(m->build_id) || !string_fits(s, m->path) ||
			m->end_address < m->start_address)
			return section_damaged(s->path, f, "module %zu is out of range", i);
		if (s->module_of_serial[m->serial])
			return section_damaged(s->path, f, "two modules have serial %u", m->serial);
		s->module_of_serial[m->serial] = (uint16_t)(i + 1);
	}
	return 0;
}

static int decode_threads(struct snapshot *s, const uint8_t *body, size_t bytes, struct fail *f)
{
	size_t i;

	s->threads = copy_items(body, bytes, sizeof(*s->threads), &s->n_threads);
	if (s->n_threads > THREADS_MAX)
		return section_damaged(s->path, f, "%zu thread names", s->n_threads);
	for (i = 0; i < s->n_threads; i++)
		if (!string_fits(s, s->threads[i]))
			return section_damaged(
				s->path, f, "thread %zu names a string beyond STRINGS", i);
	return 0;
}

static int decode_samples(struct snapshot *s, const uint8_t *body, size_t bytes, struct fail *f)
{
	struct stacks_index index;
	uint32_t duplicate;
	size_t i, n_names = s->n_threads ? s->n_threads : 1;
	int rc = 0;

	if (!SNAPSHOT_HAS(s, HEAPSPY_SECTION_THREADS))
		n_names = THREADS_MAX;
	s->samples = copy_items(body, bytes, sizeof(*s->samples), &s->n_samples);
	stacks_index_init(&index, s, &duplicate);
	for (i = 0; i < s->n_samples && !rc; i++) {
		struct heapspy_sample *sample = &s->samples[i];
		uint32_t level = HEAPSPY_SAMPLE_LEVEL(sample);

		if (!find_stack(s, &index, sample))
			rc = section_damaged(s->path, f,
				"sample %zu names stack %u, which is not there", i, sample->stack);
		else if (HEAPSPY_SAMPLE_THREAD(sample) >= n_names ||
			 sample_age_ns(sample->birth_level, s->info.cut_ns) == UINT64_MAX ||
			 HEAPSPY_SAMPLE_BIRTH_LEVEL(sample) > level)
			rc = section_damaged(s->path, f, "sample %zu is out of range", i);
		if (level > s->level)
			s->level = level;
	}
	stacks_index_deinit(&index);
	return rc;
}

int section_decode(
	struct snapshot *s, uint32_t kind, const uint8_t *body, size_t bytes, struct fail *f)
{
	static const uint32_t item_bytes[] = {
		[HEAPSPY_SECTION_MODULES] = sizeof(struct heapspy_module),
		[HEAPSPY_SECTION_THREADS] = sizeof(uint32_t),
		[HEAPSPY_SECTION_LIVE] = sizeof(struct heapspy_sample),
		[HEAPSPY_SECTION_TICKS] = sizeof(struct heapspy_tick),
	};

	if (kind < sizeof(item_bytes) / sizeof(item_bytes[0]) && item_bytes[kind] &&
		bytes % item_bytes[kind])
		return section_damaged(s->path, f, "%s has %zu bytes, no multiple of %u",
			snapshot_section_name(kind), bytes, item_bytes[kind]);
	switch (kind) {
	case HEAPSPY_SECTION_INFO:
		return section_decode_info(body, bytes, s->path, &s->info, f);
	case HEAPSPY_SECTION_STRINGS:
		return decode_strings(s, body, bytes, f);
	case HEAPSPY_SECTION_MODULES:
		return decode_modules(s, body, bytes, f);
	case HEAPSPY_SECTION_THREADS:
		return decode_threads(s, body, bytes, f);
	case HEAPSPY_SECTION_STACKS:
		return stacks_decode(s, body, bytes, f);
	case HEAPSPY_SECTION_LIVE:
		return decode_samples(s, body, bytes, f);
	default:
		s->ticks = copy_items(body, bytes, sizeof(*s->ticks), &s->n_ticks);
		return 0;
	}
}

uint32_t section_needs(uint32_t kind)
{
	static const uint32_t needed[] = {
		[HEAPSPY_SECTION_STRINGS] = 1u << HEAPSPY_SECTION_INFO,
		[HEAPSPY_SECTION_MODULES] = 1u << HEAPSPY_SECTION_STRINGS,
		[HEAPSPY_SECTION_THREADS] = 1u << HEAPSPY_SECTION_STRINGS,
		[HEAPSPY_SECTION_STACKS] = 1u << HEAPSPY_SECTION_MODULES,
		[HEAPSPY_SECTION_LIVE] =
			1u << HEAPSPY_SECTION_STACKS | 1u << HEAPSPY_SECTION_THREADS,
		[HEAPSPY_SECTION_TICKS] = 0,
	};

	return kind < sizeof(needed) / sizeof(needed[0]) ? needed[kind] : 0;
}
