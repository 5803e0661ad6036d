/*
 * snapshot_reader.c - owns the checks of header and section table, and which sections are read.
 * What is in them is section_reader.c's, the way from the disk file_bytes.c's.
 */
#include "analyzer/read/snapshot_reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyzer/alloc.h"
#include "analyzer/read/file_bytes.h"
#include "analyzer/read/section_reader.h"
#include "analyzer/strbuf.h"
#include "analyzer/units.h"
#include "snapshot_codec.h"

#define HEADER_BYTES    sizeof(struct heapspy_file_header)
#define TABLE_BYTES_MAX (HEADER_BYTES + HEAPSPY_SECTIONS_MAX * sizeof(struct heapspy_section))
#define KIND(name)      (1u << HEAPSPY_SECTION_##name)
#define KINDS_ALL       UINT32_MAX
#define KINDS_LIVE      (KIND(INFO) | KIND(LIVE))

/* What is known of a file while it is taken apart. */
struct source {
	const char *name;
	const uint8_t *head; /* the file, or its first bytes */
	size_t head_bytes;
	uint64_t disk_bytes;
	int fd;         /* where head is no more than those first bytes; -1: it is the file */
	uint32_t kinds; /* bit k: kind k is wanted */
	struct heapspy_file_header header;
	struct heapspy_section sections[HEAPSPY_SECTIONS_MAX];
	uint32_t whole; /* bit k: kind k lies inside disk_bytes */
};

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
		return section_damaged(src->name, f, "header with version %u and %u sections",
			h->version, h->n_sections);
	table_bytes = h->n_sections * sizeof(struct heapspy_section);
	if (src->head_bytes < HEADER_BYTES + table_bytes)
		return fail_set(f, EXIT_CODE_INPUT,
			"'%s' is cut short at %zu bytes, within its section table", src->name,
			src->head_bytes);
	codec_hash_init(&hash);
	codec_hash_update(&hash, src->head, offsetof(struct heapspy_file_header, checksum));
	codec_hash_update(&hash, src->head + HEADER_BYTES, table_bytes);
	if (codec_hash_final(&hash) != h->checksum)
		return section_damaged(src->name, f, "the checksum of its header is wrong");
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
			return section_damaged(src->name, f,
				"section %u (kind %u) lies outside the file", i, a->kind);
		for (j = 0; j < i; j++) {
			const struct heapspy_section *b = &src->sections[j];

			if (a->kind == b->kind)
				return section_damaged(
					src->name, f, "two sections of kind %u", a->kind);
			if (a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes)
				return section_damaged(
					src->name, f, "sections %u and %u overlap", j, i);
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
		return section_damaged(src->name, f, "%llu bytes follow its end",
			(unsigned long long)(src->disk_bytes - src->header.file_bytes));
	return 0;
}

/* The body of a section; *ownedp is to be freed. */
static const uint8_t *body_of(const struct source *src, const struct heapspy_section *section,
	uint8_t **ownedp, struct fail *f)
{
	*ownedp = NULL;
	if (src->fd < 0)
		return src->head + section->offset;
	*ownedp = alloc_array(section->bytes, 1);
	if (file_bytes_read(src->fd, src->name, section->offset, *ownedp, section->bytes, NULL, f) <
		0) {
		free(*ownedp);
		return NULL;
	}
	return *ownedp;
}

static int decode_bodies(
	const struct source *src, struct snapshot *s, unsigned flags, struct fail *f)
{
	uint32_t kind;
	int rc;

	for (kind = HEAPSPY_SECTION_INFO; kind <= HEAPSPY_SECTION_TICKS; kind++) {
		const struct heapspy_section *section = find_section(src, kind);
		bool required = !(flags & SNAPSHOT_PARTIAL) || kind <= HEAPSPY_SECTION_STRINGS;
		const uint8_t *body;
		uint8_t *owned;

		if (!(src->kinds >> kind & 1))
			continue;
		if (section && !(src->whole >> kind & 1)) {
			if (required)
				return cut_short(src, src->header.file_bytes, f);
			continue;
		}
		if (!section) {
			if (required && kind != HEAPSPY_SECTION_TICKS)
				return section_damaged(src->name, f, "it has no %s section",
					snapshot_section_name(kind));
			continue;
		}
		body = body_of(src, section, &owned, f);
		if (!body)
			return -1;
		if (codec_checksum(body, section->bytes) != section->checksum) {
			free(owned);
			if (required)
				return section_damaged(src->name, f,
					"the checksum of its %s section is wrong",
					snapshot_section_name(kind));
			continue;
		}
		rc = 1;
		if (!(section_needs(kind) & src->kinds & ~s->sections))
			rc = section_decode(s, kind, body, section->bytes, f);
		free(owned);
		if (rc < 0)
			return -1;
		if (rc)
			continue;
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

static int decode_kinds(const uint8_t *data, size_t bytes, const char *name, uint32_t kinds,
	unsigned flags, struct snapshot **snapshotp, struct fail *f)
{
	struct source src = {
		.name = name,
		.head = data,
		.head_bytes = bytes,
		.disk_bytes = bytes,
		.fd = -1,
		.kinds = kinds,
	};

	if (check_source(&src, flags, f) < 0)
		return -1;
	return decode_source(&src, flags, snapshotp, f);
}

int snapshot_decode(const uint8_t *data, size_t bytes, const char *name, unsigned flags,
	struct snapshot **snapshotp, struct fail *f)
{
	return decode_kinds(data, bytes, name, KINDS_ALL, flags, snapshotp, f);
}

int snapshot_decode_live(const uint8_t *data, size_t bytes, const char *name,
	struct snapshot **snapshotp, struct fail *f)
{
	return decode_kinds(data, bytes, name, KINDS_LIVE, 0, snapshotp, f);
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

int snapshot_read_live(const char *path, struct snapshot **snapshotp, struct fail *f)
{
	uint8_t buffer[TABLE_BYTES_MAX];
	struct source src = { .kinds = KINDS_LIVE };
	int rc;

	src.fd = open_source(path, buffer, 0, &src, f);
	if (src.fd < 0)
		return -1;
	rc = decode_source(&src, 0, snapshotp, f);
	close(src.fd);
	return rc;
}

/* Reads a section that must be there and whole into memory of the caller. */
static int read_section(int fd, const struct source *src, uint32_t kind, uint64_t bytes_max,
	uint8_t **bodyp, size_t *bytesp, struct fail *f)
{
	const struct heapspy_section *section = find_section(src, kind);

	if (!section || section->bytes > bytes_max)
		return section_damaged(src->name, f, "its %s section is missing or too large",
			snapshot_section_name(kind));
	*bodyp = alloc_array(section->bytes, 1);
	*bytesp = section->bytes;
	if (file_bytes_read(fd, src->name, section->offset, *bodyp, section->bytes, NULL, f) == 0) {
		if (codec_checksum(*bodyp, section->bytes) == section->checksum)
			return 0;
		section_damaged(src->name, f, "the checksum of its %s section is wrong",
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
		rc = section_decode_info(body, bytes, path, infop, f);
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
