/*
 * names_cache.c - owns the bytes of a file of remembered names. The directory
 * is cache_dir.c's.
 *
 * A file is a header, addresses in ascending order, levels of all of them, and
 * strings that end in NUL, the first of them empty and standing for none; all
 * in the byte order of the machine. It is ours, but may be damaged or written
 * by another heapspy: the checksum is over all behind the header's first two
 * fields, and every reference is checked before the first is used.
 */
#include "analyzer/symbols/names_cache.h"

#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "analyzer/symbols/cache_dir.h"
#include "analyzer/symbols/debug_file.h"
#include "analyzer/symbols/intern.h"
#include "snapshot_codec.h"

static const char magic[8] = "HSNAMES\1";

struct header {
	char magic[8];
	uint64_t checksum;
	uint64_t source_hash;
	uint32_t source; /* enum symbols_source */
	uint32_t n_addresses, n_levels, n_string_bytes;
};

struct address_entry {
	uint64_t vaddr;
	uint32_t file, line; /* file: offset of a string */
	uint32_t first_level, n_levels;
	uint32_t bare, reserved; /* 0 or 1; 0 */
};

struct level_entry {
	uint32_t function, call_file; /* offsets of strings */
	uint32_t call_line;
};

/* The parts of a file in memory. */
struct parts {
	const struct header *header;
	const struct address_entry *addresses;
	const struct level_entry *levels;
	const char *strings;
};

static struct parts parts_of(const uint8_t *bytes)
{
	const struct header *header = (const void *)bytes;
	struct parts parts = { .header = header, .addresses = (const void *)(header + 1) };

	parts.levels = (const void *)(parts.addresses + header->n_addresses);
	parts.strings = (const void *)(parts.levels + header->n_levels);
	return parts;
}

static bool is_sound(const uint8_t *bytes, size_t n_bytes, const struct names_cache_key *key)
{
	const size_t skipped = sizeof(magic) + sizeof(uint64_t);
	const struct header *header = (const void *)bytes;
	struct parts parts;
	uint32_t n_strings;

	if (n_bytes < sizeof(*header) || memcmp(header->magic, magic, sizeof(magic)) != 0 ||
		header->source_hash != key->source_hash || header->n_string_bytes == 0 ||
		header->source < SYMBOLS_SPLIT || header->source > SYMBOLS_DYNSYM ||
		n_bytes != sizeof(*header) +
				   (uint64_t)header->n_addresses * sizeof(struct address_entry) +
				   (uint64_t)header->n_levels * sizeof(struct level_entry) +
				   header->n_string_bytes ||
		header->checksum != codec_checksum(bytes + skipped, n_bytes - skipped))
		return false;
	parts = parts_of(bytes);
	n_strings = header->n_string_bytes;
	if (parts.strings[0] != '\0' || parts.strings[n_strings - 1] != '\0')
		return false;
	for (uint32_t i = 0; i < header->n_addresses; i++) {
		const struct address_entry *entry = &parts.addresses[i];

		if ((i && entry[-1].vaddr >= entry->vaddr) || entry->file >= n_strings ||
			entry->first_level > header->n_levels ||
			entry->n_levels > header->n_levels - entry->first_level ||
			entry->n_levels > SYMBOLS_LEVELS_MAX)
			return false;
	}
	for (uint32_t i = 0; i < header->n_levels; i++) {
		if (parts.levels[i].function >= n_strings || parts.levels[i].call_file >= n_strings)
			return false;
	}
	return true;
}

static void file_name(const struct names_cache_key *key, char *name, size_t name_bytes)
{
	size_t n = 0;

	for (size_t i = 0; i < key->build_id_len; i++)
		n += (size_t)snprintf(name + n, name_bytes - n, "%02x", key->build_id[i]);
	snprintf(name + n, name_bytes - n, "-%016llx", (unsigned long long)key->source_hash);
}

/* 2 digits a byte, a dash, 16 digits. */
enum { FILE_NAME_BYTES = 2 * SYMBOLS_BUILD_ID_MAX + 1 + 16 + 1 };

static void hash_file(struct codec_hash *hash, uint64_t n_bytes, uint64_t inode, int64_t changed_ns)
{
	uint64_t facts[] = { n_bytes, inode, (uint64_t)changed_ns };

	codec_hash_update(hash, facts, sizeof(facts));
}

static void hash_path(struct codec_hash *hash, const char *path)
{
	struct stat status;

	if (stat(path, &status) == 0)
		hash_file(hash, (uint64_t)status.st_size, status.st_ino,
			(int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec);
	else
		hash_file(hash, 0, 0, 0);
}

/* The places where libdw looks for the shared part: by name, and by build id. */
static void hash_shared_part(
	struct codec_hash *hash, const struct debug_file *file, const char *debug_root)
{
	Elf_Scn *section = debug_file_section(file->elf, ".gnu_debugaltlink");
	Elf_Data *data = section ? elf_rawdata(section, NULL) : NULL;
	const uint8_t *id;
	size_t name_bytes, id_bytes;
	const char *slash;
	char path[4096], hex[2 * SYMBOLS_BUILD_ID_MAX + 1] = "";

	if (!data || !data->d_buf || !memchr(data->d_buf, '\0', data->d_size) || !file->path)
		return;
	name_bytes = strlen(data->d_buf) + 1;
	slash = strrchr(file->path, '/');
	snprintf(path, sizeof(path), "%.*s%s",
		*(char *)data->d_buf == '/' || !slash ? 0 : (int)(slash + 1 - file->path),
		file->path, (char *)data->d_buf);
	hash_path(hash, path);
	id = (const uint8_t *)data->d_buf + name_bytes;
	id_bytes = data->d_size - name_bytes;
	if (id_bytes < 2 || id_bytes > SYMBOLS_BUILD_ID_MAX)
		return;
	for (size_t i = 0; i < id_bytes; i++)
		snprintf(hex + 2 * i, 3, "%02x", id[i]);
	snprintf(path, sizeof(path), "%s/.build-id/%.2s/%s.debug", debug_root, hex, hex + 2);
	hash_path(hash, path);
}

void names_cache_key_init(struct names_cache_key *key, const struct debug_file *own,
	const struct debug_file *separate, const char *debug_root)
{
	const struct debug_file *files[] = { own, separate };
	uint32_t revision = NAMES_CACHE_REVISION;
	struct codec_hash hash;

	*key = (struct names_cache_key){ 0 };
	codec_hash_init(&hash);
	codec_hash_update(&hash, HEAPSPY_VERSION, sizeof(HEAPSPY_VERSION));
	codec_hash_update(&hash, &revision, sizeof(revision));
	for (unsigned i = 0; i < 2; i++) {
		if (!files[i]->elf) {
			hash_file(&hash, 0, 0, 0);
			continue;
		}
		hash_file(&hash, files[i]->size_bytes, files[i]->inode, files[i]->changed_ns);
		hash_shared_part(&hash, files[i], debug_root);
		if (key->build_id_len == 0 && files[i]->build_id_len >= 2 &&
			files[i]->build_id_len <= SYMBOLS_BUILD_ID_MAX) {
			key->build_id_len = files[i]->build_id_len;
			memcpy(key->build_id, files[i]->build_id, key->build_id_len);
		}
	}
	key->source_hash = codec_hash_final(&hash);
}

bool names_cache_open(
	struct names_cache *cache, const char *path, const struct names_cache_key *key)
{
	char name[FILE_NAME_BYTES];
	int fd = key->build_id_len ? cache_dir_open(path, false) : -1;

	*cache = (struct names_cache){ 0 };
	if (fd < 0)
		return false;
	file_name(key, name, sizeof(name));
	cache->bytes = cache_dir_read(fd, name, &cache->n_bytes);
	close(fd);
	if (cache->bytes && is_sound(cache->bytes, cache->n_bytes, key))
		return true;
	names_cache_close(cache);
	return false;
}

void names_cache_close(struct names_cache *cache)
{
	free(cache->bytes);
	*cache = (struct names_cache){ 0 };
}

/* Fills address from an entry; strings go to pool. */
static void take(const struct parts *parts, const struct address_entry *entry, struct intern *pool,
	struct symbols_address *address)
{
	const char *strings = parts->strings;

	for (uint32_t i = 0; i < entry->n_levels; i++) {
		const struct level_entry *from = &parts->levels[entry->first_level + i];
		struct symbols_level level = { .call_line = from->call_line };

		if (from->function)
			level.function = intern_string(pool, strings + from->function);
		if (from->call_file)
			level.call_file = intern_string(pool, strings + from->call_file);
		symbols_address_push(address, &level);
	}
	address->file = entry->file ? intern_string(pool, strings + entry->file) : NULL;
	address->line = entry->line;
	address->bare = entry->bare != 0;
	address->answered = true;
}

size_t names_cache_answer(const struct names_cache *cache, struct symbols_job *job)
{
	size_t n_answered = 0, at = 0;
	struct parts parts;

	if (!cache->bytes)
		return 0;
	parts = parts_of(cache->bytes);
	for (size_t i = 0; i < job->n_addresses; i++) {
		while (at < parts.header->n_addresses &&
			parts.addresses[at].vaddr < job->addresses[i].vaddr)
			at++;
		if (at == parts.header->n_addresses)
			break;
		if (parts.addresses[at].vaddr != job->addresses[i].vaddr)
			continue;
		take(&parts, &parts.addresses[at], job->pool, &job->addresses[i]);
		n_answered++;
	}
	if (n_answered)
		job->source = parts.header->source;
	return n_answered;
}

/* A file in the making. */
struct writer {
	struct intern *pool;
	struct address_entry *addresses;
	struct level_entry *levels;
	char *strings;
	size_t n_addresses, n_levels, n_string_bytes;
	size_t level_capacity, string_capacity;
	bool failed;
};

static void *room_for(struct writer *to, void *array, size_t needed, size_t *capacityp, size_t size)
{
	size_t n = *capacityp ? *capacityp : 1024;
	void *grown;

	if (to->failed || needed <= *capacityp)
		return array;
	while (n < needed)
		n *= 2;
	grown = n * size <= CACHE_DIR_FILE_MAX_BYTES ? reallocarray(array, n, size) : NULL;
	if (!grown) {
		to->failed = true;
		return array;
	}
	*capacityp = n;
	return grown;
}

/* The offset of a string, put down at its first use; 0 for NULL. */
static uint32_t put_string(struct writer *to, const char *text)
{
	struct interned *entry = text ? intern_entry(to->pool, text) : NULL;
	size_t text_bytes;

	if (!entry) {
		to->failed |= text != NULL;
		return 0;
	}
	if (entry->number)
		return entry->number;
	text_bytes = strlen(text) + 1;
	to->strings =
		room_for(to, to->strings, to->n_string_bytes + text_bytes, &to->string_capacity, 1);
	if (to->failed)
		return 0;
	entry->number = (uint32_t)to->n_string_bytes;
	memcpy(to->strings + to->n_string_bytes, text, text_bytes);
	to->n_string_bytes += text_bytes;
	return entry->number;
}

static void put_address(struct writer *to, const struct symbols_address *from)
{
	struct address_entry *entry = &to->addresses[to->n_addresses++];

	*entry = (struct address_entry){
		.vaddr = from->vaddr,
		.file = put_string(to, from->file),
		.line = from->line,
		.first_level = (uint32_t)to->n_levels,
		.n_levels = from->n_levels,
		.bare = from->bare,
	};
	to->levels = room_for(to, to->levels, to->n_levels + from->n_levels, &to->level_capacity,
		sizeof(*to->levels));
	for (unsigned i = 0; i < from->n_levels && !to->failed; i++)
		to->levels[to->n_levels++] = (struct level_entry){
			.function = put_string(to, from->levels[i].function),
			.call_file = put_string(to, from->levels[i].call_file),
			.call_line = from->levels[i].call_line,
		};
}

static void put_entry(
	struct writer *to, const struct parts *parts, const struct address_entry *from)
{
	struct symbols_address address = { .vaddr = from->vaddr };

	take(parts, from, to->pool, &address);
	put_address(to, &address);
	free(address.levels);
}

/* All of old and of job, in order. */
static void put_all(struct writer *to, const struct parts *old, const struct symbols_job *job)
{
	size_t n_old = old->header ? old->header->n_addresses : 0, at = 0;

	for (size_t i = 0; i < job->n_addresses && !to->failed; i++) {
		for (; at < n_old && old->addresses[at].vaddr < job->addresses[i].vaddr; at++)
			put_entry(to, old, &old->addresses[at]);
		at += at < n_old && old->addresses[at].vaddr == job->addresses[i].vaddr;
		put_address(to, &job->addresses[i]);
	}
	for (; at < n_old && !to->failed; at++)
		put_entry(to, old, &old->addresses[at]);
}

/* The file for malloc()ed bytes; NULL when there is no memory or too much to say. */
static uint8_t *assemble(const struct writer *from, const struct names_cache_key *key,
	enum symbols_source source, size_t *n_bytesp)
{
	size_t addresses_bytes = from->n_addresses * sizeof(*from->addresses);
	size_t levels_bytes = from->n_levels * sizeof(*from->levels);
	const size_t skipped = sizeof(magic) + sizeof(uint64_t);
	struct header header = {
		.source_hash = key->source_hash,
		.source = source,
		.n_addresses = (uint32_t)from->n_addresses,
		.n_levels = (uint32_t)from->n_levels,
		.n_string_bytes = (uint32_t)from->n_string_bytes,
	};
	size_t n_bytes = sizeof(header) + addresses_bytes + levels_bytes + from->n_string_bytes;
	uint8_t *bytes, *p;

	if (from->failed || n_bytes > CACHE_DIR_FILE_MAX_BYTES)
		return NULL;
	bytes = p = malloc(n_bytes);
	if (!bytes)
		return NULL;
	memcpy(header.magic, magic, sizeof(magic));
	p = mempcpy(p, &header, sizeof(header));
	p = mempcpy(p, from->addresses, addresses_bytes);
	if (levels_bytes)
		p = mempcpy(p, from->levels, levels_bytes);
	memcpy(p, from->strings, from->n_string_bytes);
	header.checksum = codec_checksum(bytes + skipped, n_bytes - skipped);
	memcpy(bytes, &header, sizeof(header));
	*n_bytesp = n_bytes;
	return bytes;
}

static void store(const struct writer *from, const char *path, const struct names_cache_key *key,
	enum symbols_source source, uint64_t max_bytes)
{
	char name[FILE_NAME_BYTES];
	size_t n_bytes = 0;
	uint8_t *bytes = assemble(from, key, source, &n_bytes);
	int fd = bytes ? cache_dir_open(path, true) : -1;

	if (fd >= 0) {
		file_name(key, name, sizeof(name));
		cache_dir_write(fd, name, bytes, n_bytes, max_bytes);
		close(fd);
	}
	free(bytes);
}

void names_cache_store(const struct names_cache *cache, const char *path,
	const struct names_cache_key *key, const struct symbols_job *job, uint64_t max_bytes)
{
	struct parts old = { 0 };
	struct writer writer = { 0 };
	size_t n_old;

	if (key->build_id_len == 0 || job->source < SYMBOLS_SPLIT || job->source > SYMBOLS_DYNSYM)
		return;
	if (cache->bytes)
		old = parts_of(cache->bytes);
	n_old = old.header ? old.header->n_addresses : 0;
	writer.pool = intern_new();
	writer.addresses = calloc(n_old + job->n_addresses, sizeof(*writer.addresses));
	writer.strings = room_for(&writer, NULL, 1, &writer.string_capacity, 1);
	if (writer.pool && writer.addresses && !writer.failed) {
		writer.strings[0] = '\0';
		writer.n_string_bytes = 1;
		put_all(&writer, &old, job);
		store(&writer, path, key, job->source, max_bytes);
	}
	intern_free(writer.pool);
	free(writer.addresses);
	free(writer.levels);
	free(writer.strings);
}
