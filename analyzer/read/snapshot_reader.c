/*
 * snapshot_reader.c - owns the checks of header, section table, and of the
 * sections that are plain arrays. The varints of STACKS are stacks_reader.c's,
 * the way from the disk file_bytes.c's.
 */
#include "analyzer/read/snapshot_reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyzer/alloc.h"
#include "analyzer/read/file_bytes.h"
#include "analyzer/read/stacks_reader.h"
#include "analyzer/strbuf.h"
#include "analyzer/units.h"
#include "sample_math.h"
#include "snapshot_codec.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the arrays are copied as they are");

#define HEADER_BYTES    sizeof(struct heapspy_file_header)
#define THREADS_MAX     0x10000 /* what a sample can name */
#define BIRTH_NS_MAX    0xffffffffffffffull
#define TABLE_BYTES_MAX (HEADER_BYTES + HEAPSPY_SECTIONS_MAX * sizeof(struct heapspy_section))

/* What is known of a file while it is taken apart. */
struct source {
	const char *name;
	const uint8_t *head; /* the file, or its first bytes */
	size_t head_bytes;
	uint64_t disk_bytes;
	struct heapspy_file_header header;
	struct heapspy_section sections[HEAPSPY_SECTIONS_MAX];
	uint32_t whole; /* bit k: kind k lies inside disk_bytes */
};

static int damaged(const char *name, struct fail *f, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int damaged(const char *name, struct fail *f, const char *format, ...)
{
	char what[256];
	va_list ap;

	va_start(ap, format);
	vsnprintf(what, sizeof(what), format, ap);
	va_end(ap);
	return fail_set(f, EXIT_CODE_INPUT, "'%s' is damaged: %s", name, what);
}

const char *snapshot_section_name(uint32_t kind)
{
	static const char *const names[] = { NULL, "INFO", "STRINGS", "MODULES", "THREADS",
		"STACKS", "LIVE", "TICKS" };

	return kind < sizeof(names) / sizeof(names[0]) ? names[kind] : NULL;
}

static int cut_short(const struct source *src, uint64_t expected_bytes, struct fail *f)
{
	const uint32_t need = 1u << HEAPSPY_SECTION_INFO | 1u << HEAPSPY_SECTION_STRINGS;
	struct strbuf text = { 0 };

	strbuf_addf(&text, "'%s' is cut short at ", src->name);
	units_add_count(&text, src->disk_bytes);
	strbuf_add_text(&text, " of ");
	units_add_count(&text, expected_bytes);
	strbuf_add_text(&text, " bytes (process killed while writing, or disk full?)");
	if ((src->whole & need) == need)
		strbuf_add_text(&text, "; use it up to there: --partial");
	fail_set(f, EXIT_CODE_INPUT, "%s", text.data);
	strbuf_deinit(&text);
	return -1;
}

/* The header and the section table, up to their checksum. */
static int check_header(struct source *src, struct fail *f)
{
	struct heapspy_file_header *h = &src->header;
	size_t table_bytes;
	struct codec_hash hash;

	if (src->head_bytes < HEAPSPY_MAGIC_BYTES ||
		memcmp(src->head, HEAPSPY_MAGIC, HEAPSPY_MAGIC_BYTES))
		return fail_set(f, EXIT_CODE_INPUT, "cannot read '%s': not a heapspy snapshot (%s)",
			src->name, file_bytes_guess(src->head, src->head_bytes));
	if (src->head_bytes < HEADER_BYTES)
		return fail_set(f, EXIT_CODE_INPUT,
			"'%s' is cut short at %zu bytes, within its header", src->name,
			src->head_bytes);
	memcpy(h, src->head, HEADER_BYTES);
	if (h->version > HEAPSPY_FORMAT_VERSION)
		return fail_set(f, EXIT_CODE_INPUT,
			"'%s': format %u is newer than this heapspy (reads 1); update heapspy",
			src->name, h->version);
	if (h->version == 0 || h->n_sections == 0 || h->n_sections > HEAPSPY_SECTIONS_MAX)
		return damaged(src->name, f, "header with version %u and %u sections", h->version,
			h->n_sections);
	table_bytes = h->n_sections * sizeof(struct heapspy_section);
	if (src->head_bytes < HEADER_BYTES + table_bytes)
		return fail_set(f, EXIT_CODE_INPUT,
			"'%s' is cut short at %zu bytes, within its section table", src->name,
			src->head_bytes);
	codec_hash_init(&hash);
	codec_hash_update(&hash, src->head, offsetof(struct heapspy_file_header, checksum));
	codec_hash_update(&hash, src->head + HEADER_BYTES, table_bytes);
	if (codec_hash_final(&hash) != h->checksum)
		return damaged(src->name, f, "the checksum of its header is wrong");
	memcpy(src->sections, src->head + HEADER_BYTES, table_bytes);
	return 0;
}

/* Sections lie behind the table, inside the file, aligned, apart, one of a kind. */
static int check_table(struct source *src, struct fail *f)
{
	const struct heapspy_file_header *h = &src->header;
	uint64_t start = HEADER_BYTES + h->n_sections * sizeof(struct heapspy_section);
	uint32_t i, j;

	for (i = 0; i < h->n_sections; i++) {
		const struct heapspy_section *a = &src->sections[i];

		if (a->offset % 8 || a->offset < start || a->offset > h->file_bytes ||
			a->bytes > h->file_bytes - a->offset)
			return damaged(src->name, f, "section %u (kind %u) lies outside the file",
				i, a->kind);
		for (j = 0; j < i; j++) {
			const struct heapspy_section *b = &src->sections[j];

			if (a->kind == b->kind)
				return damaged(src->name, f, "two sections of kind %u", a->kind);
			if (a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes)
				return damaged(src->name, f, "sections %u and %u overlap", j, i);
		}
		if (a->kind < 32 && a->offset + a->bytes <= src->disk_bytes)
			src->whole |= 1u << a->kind;
	}
	return 0;
}

static const struct heapspy_section *find_section(const struct source *src, uint32_t kind)
{
	uint32_t i;

	for (i = 0; i < src->header.n_sections; i++)
		if (src->sections[i].kind == kind)
			return &src->sections[i];
	return NULL;
}

/* Everything that can be said without the bodies. */
static int check_source(struct source *src, unsigned flags, struct fail *f)
{
	if (check_header(src, f) < 0 || check_table(src, f) < 0)
		return -1;
	if (src->disk_bytes < src->header.file_bytes && !(flags & SNAPSHOT_PARTIAL))
		return cut_short(src, src->header.file_bytes, f);
	if (src->disk_bytes > src->header.file_bytes)
		return damaged(src->name, f, "%llu bytes follow its end",
			(unsigned long long)(src->disk_bytes - src->header.file_bytes));
	return 0;
}

static int decode_info(const uint8_t *body, size_t bytes, const char *name,
	struct heapspy_info *info, struct fail *f)
{
	/* Fields added later follow these; a file without them has 0 there. */
	if (bytes < HEAPSPY_INFO_BYTES_MIN)
		return damaged(name, f, "INFO has %zu bytes, expected at least %d", bytes,
			HEAPSPY_INFO_BYTES_MIN);
	memset(info, 0, sizeof(*info));
	memcpy(info, body, bytes < sizeof(*info) ? bytes : sizeof(*info));
	if (info->interval_bytes == 0 || info->interval_bytes > SAMPLE_INTERVAL_MAX ||
		info->level > HEAPSPY_LEVEL_MAX || info->variance_unit_log2 > 78 ||
		info->cut_ns > BIRTH_NS_MAX)
		return damaged(name, f, "INFO with an interval, level, unit or time out of range");
	return 0;
}

static bool string_fits(const struct snapshot *s, uint32_t offset)
{
	return offset < s->strings_bytes || offset == 0;
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
		return damaged(s->path, f, "STRINGS do not begin and end with a NUL");
	s->strings = alloc_text((const char *)body, bytes);
	s->strings_bytes = bytes;
	if (!string_fits(s, info->comm) || !string_fits(s, info->exe) ||
		!string_fits(s, info->host) || !string_fits(s, info->label) ||
		!string_fits(s, info->front_malloc) || !string_fits(s, info->next_malloc))
		return damaged(s->path, f, "INFO names a string beyond STRINGS");
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
			return damaged(s->path, f, "module %zu is out of range", i);
		if (s->module_of_serial[m->serial])
			return damaged(s->path, f, "two modules have serial %u", m->serial);
		s->module_of_serial[m->serial] = (uint16_t)(i + 1);
	}
	return 0;
}

static int decode_threads(struct snapshot *s, const uint8_t *body, size_t bytes, struct fail *f)
{
	size_t i;

	s->threads = copy_items(body, bytes, sizeof(*s->threads), &s->n_threads);
	if (s->n_threads > THREADS_MAX)
		return damaged(s->path, f, "%zu thread names", s->n_threads);
	for (i = 0; i < s->n_threads; i++)
		if (!string_fits(s, s->threads[i]))
			return damaged(s->path, f, "thread %zu names a string beyond STRINGS", i);
	return 0;
}

static int decode_samples(struct snapshot *s, const uint8_t *body, size_t bytes, struct fail *f)
{
	struct stacks_index index;
	size_t i, n_names = s->n_threads ? s->n_threads : 1;
	int rc = 0;

	s->samples = copy_items(body, bytes, sizeof(*s->samples), &s->n_samples);
	stacks_index_init(&index, s);
	for (i = 0; i < s->n_samples && !rc; i++) {
		struct heapspy_sample *sample = &s->samples[i];
		uint32_t level = HEAPSPY_SAMPLE_LEVEL(sample), stack;

		if (!stacks_index_find(&index, sample->stack, &stack))
			rc = damaged(s->path, f, "sample %zu names stack %u, which is not there", i,
				sample->stack);
		else if (HEAPSPY_SAMPLE_THREAD(sample) >= n_names ||
			 HEAPSPY_SAMPLE_BIRTH_NS(sample) > s->info.cut_ns ||
			 HEAPSPY_SAMPLE_BIRTH_LEVEL(sample) > level)
			rc = damaged(s->path, f, "sample %zu is out of range", i);
		else
			sample->stack = stack;
		if (level > s->level)
			s->level = level;
	}
	stacks_index_deinit(&index);
	return rc;
}

static int decode_section(
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
		return damaged(s->path, f, "%s has %zu bytes, no multiple of %u",
			snapshot_section_name(kind), bytes, item_bytes[kind]);
	switch (kind) {
	case HEAPSPY_SECTION_INFO:
		return decode_info(body, bytes, s->path, &s->info, f);
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

/* Sections a section refers to; without them it cannot be checked nor used. */
static uint32_t sections_needed_by(uint32_t kind)
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

static int decode_bodies(
	const struct source *src, struct snapshot *s, unsigned flags, struct fail *f)
{
	uint32_t kind;

	for (kind = HEAPSPY_SECTION_INFO; kind <= HEAPSPY_SECTION_TICKS; kind++) {
		const struct heapspy_section *section = find_section(src, kind);
		bool required = !(flags & SNAPSHOT_PARTIAL) || kind <= HEAPSPY_SECTION_STRINGS;
		const uint8_t *body;

		if (section && !(src->whole >> kind & 1)) {
			if (required)
				return cut_short(src, src->header.file_bytes, f);
			continue;
		}
		if (!section) {
			if (required && kind != HEAPSPY_SECTION_TICKS)
				return damaged(src->name, f, "it has no %s section",
					snapshot_section_name(kind));
			continue;
		}
		body = src->head + section->offset;
		if (codec_checksum(body, section->bytes) != section->checksum) {
			if (required)
				return damaged(src->name, f,
					"the checksum of its %s section is wrong",
					snapshot_section_name(kind));
			continue;
		}
		if (sections_needed_by(kind) & ~s->sections)
			continue;
		if (decode_section(s, kind, body, section->bytes, f) < 0)
			return -1;
		s->sections |= 1u << kind;
		if (kind == HEAPSPY_SECTION_INFO)
			s->level = s->info.level;
	}
	return 0;
}

static int decode_source(
	const struct source *src, unsigned flags, struct snapshot **snapshotp, struct fail *f)
{
	struct snapshot *s = alloc_array(1, sizeof(*s));

	s->path = alloc_text(src->name, strlen(src->name));
	s->file_bytes = src->disk_bytes;
	s->module_of_serial =
		alloc_array(HEAPSPY_MODULE_SERIAL_MAX + 1, sizeof(*s->module_of_serial));
	if (decode_bodies(src, s, flags, f) < 0) {
		snapshot_free(s);
		return -1;
	}
	*snapshotp = s;
	return 0;
}

int snapshot_decode(const uint8_t *data, size_t bytes, const char *name, unsigned flags,
	struct snapshot **snapshotp, struct fail *f)
{
	struct source src = {
		.name = name, .head = data, .head_bytes = bytes, .disk_bytes = bytes
	};

	if (check_source(&src, flags, f) < 0)
		return -1;
	return decode_source(&src, flags, snapshotp, f);
}

/* Opens path and checks what its first bytes say; fills src, whose head is buffer. */
static int open_source(const char *path, uint8_t buffer[TABLE_BYTES_MAX], unsigned flags,
	struct source *src, struct fail *f)
{
	int fd = file_bytes_open(path, &src->disk_bytes, f);

	if (fd < 0)
		return -1;
	src->name = path;
	src->head = buffer;
	src->head_bytes = src->disk_bytes < TABLE_BYTES_MAX ? src->disk_bytes : TABLE_BYTES_MAX;
	if (file_bytes_read(fd, path, 0, buffer, src->head_bytes, NULL, f) < 0 ||
		check_source(src, flags, f) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

int snapshot_read(const char *path, unsigned flags, struct snapshot **snapshotp, struct fail *f)
{
	uint8_t buffer[TABLE_BYTES_MAX], *data;
	struct source src = { 0 };
	int fd = open_source(path, buffer, flags, &src, f);
	int rc;

	if (fd < 0)
		return -1;
	data = alloc_array(src.disk_bytes, 1);
	rc = file_bytes_read(fd, path, 0, data, src.disk_bytes, NULL, f);
	close(fd);
	/* Checked anew: between the two reads the file may have been rewritten. */
	if (rc == 0)
		rc = snapshot_decode(data, src.disk_bytes, path, flags, snapshotp, f);
	free(data);
	return rc;
}

/* Reads a section that must be there and whole into memory of the caller. */
static int read_section(int fd, const struct source *src, uint32_t kind, uint64_t bytes_max,
	uint8_t **bodyp, size_t *bytesp, struct fail *f)
{
	const struct heapspy_section *section = find_section(src, kind);

	if (!section || section->bytes > bytes_max)
		return damaged(src->name, f, "its %s section is missing or too large",
			snapshot_section_name(kind));
	*bodyp = alloc_array(section->bytes, 1);
	*bytesp = section->bytes;
	if (file_bytes_read(fd, src->name, section->offset, *bodyp, section->bytes, NULL, f) == 0) {
		if (codec_checksum(*bodyp, section->bytes) == section->checksum)
			return 0;
		damaged(src->name, f, "the checksum of its %s section is wrong",
			snapshot_section_name(kind));
	}
	free(*bodyp);
	return -1;
}

int snapshot_peek(const char *path, struct heapspy_info *infop, char *label, size_t label_bytes,
	struct fail *f)
{
	/* More than INFO or STRINGS ever hold, and bearable for each file of a run. */
	const uint64_t bytes_max = 16 << 20;
	uint8_t buffer[TABLE_BYTES_MAX], *body;
	struct source src = { 0 };
	size_t bytes;
	int rc, fd = open_source(path, buffer, 0, &src, f);

	if (fd < 0)
		return -1;
	label[0] = '\0';
	rc = read_section(fd, &src, HEAPSPY_SECTION_INFO, bytes_max, &body, &bytes, f);
	if (rc == 0) {
		rc = decode_info(body, bytes, path, infop, f);
		free(body);
	}
	if (rc == 0 && infop->label) {
		rc = read_section(fd, &src, HEAPSPY_SECTION_STRINGS, bytes_max, &body, &bytes, f);
		if (rc == 0) {
			if (infop->label < bytes && body[bytes - 1] == '\0')
				snprintf(label, label_bytes, "%s", (char *)body + infop->label);
			free(body);
		}
	}
	close(fd);
	return rc;
}

void snapshot_free(struct snapshot *s)
{
	if (!s)
		return;
	free(s->path);
	free(s->strings);
	free(s->modules);
	free(s->module_of_serial);
	free(s->threads);
	free(s->stacks);
	free(s->frames);
	free(s->deaths);
	free(s->samples);
	free(s->ticks);
	free(s);
}

const char *snapshot_string(const struct snapshot *s, uint32_t offset)
{
	return offset < s->strings_bytes ? s->strings + offset : "";
}
