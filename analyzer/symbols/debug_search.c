/*
 * debug_search.c - owns the places where the files of a module may lie, and
 * which file is the right one. Opening one is left to debug_file.c, the view of
 * the process to process.c, the network to debuginfod.c.
 *
 * Searched by hand rather than by libdwfl's callbacks, so that nothing asks a
 * debuginfod server unless debuginfod.c is told to. Places of separate debug
 * files: gdb manual, "Debugging Information in Separate Files".
 */
#include "analyzer/symbols/debug_search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/symbols/debug_file.h"
#include "analyzer/symbols/debuginfod.h"
#include "analyzer/symbols/process.h"

/* What a file must prove. */
struct proof {
	const uint8_t *build_id;
	size_t build_id_len;
	const uint32_t *crcp; /* good in place of a build id where one side has none; or NULL */
	bool with_dwarf; /* a link may carry the module's own name, and then finds that first */
};

/* The checksum of .gnu_debuglink: CRC-32 of IEEE 802.3 over the whole file. */
static bool crc_matches(const struct debug_file *file, uint32_t expected)
{
	uint32_t table[256], crc = 0xffffffffu;
	size_t n_bytes;
	const char *bytes = elf_rawfile(file->elf, &n_bytes);

	if (!bytes)
		return false;
	for (uint32_t i = 0; i < 256; i++) {
		table[i] = i;
		for (int bit = 0; bit < 8; bit++)
			table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xedb88320u : 0);
	}
	for (size_t i = 0; i < n_bytes; i++)
		crc = table[(crc ^ (uint8_t)bytes[i]) & 0xff] ^ crc >> 8;
	return ~crc == expected;
}

static bool is_proved(const struct debug_file *file, const struct proof *proof)
{
	if (proof->with_dwarf && !debug_file_has_dwarf(file))
		return false;
	/* A build id tells as much as the checksum, without reading it all. */
	if (proof->build_id_len && file->build_id_len)
		return debug_file_same_build(file, proof->build_id, proof->build_id_len);
	return proof->crcp && crc_matches(file, *proof->crcp);
}

static bool open_fd(struct debug_file *file, int fd, const char *path, const struct proof *proof)
{
	if (fd < 0 || debug_file_open_fd(file, fd, path) != SYMBOLS_NOT_RESOLVED)
		return false;
	if (is_proved(file, proof))
		return true;
	debug_file_close(file);
	return false;
}

/* The same path as the processes see it. */
static bool open_in_processes(
	struct debug_file *file, struct places *places, const char *path, const struct proof *proof)
{
	for (unsigned i = 0; i < places->n_processes; i++) {
		const struct process *process = places_process(places, i);

		if (process && open_fd(file, process_open_file(process, path, 0), path, proof))
			return true;
	}
	return false;
}

/* Here, then as the processes see it. */
static bool open_anywhere(
	struct debug_file *file, struct places *places, const char *path, const struct proof *proof)
{
	if (debug_file_open_path(file, path) == SYMBOLS_NOT_RESOLVED) {
		if (is_proved(file, proof))
			return true;
		debug_file_close(file);
	}
	return open_in_processes(file, places, path, proof);
}

/* ROOT/.build-id/ab/cdef... with suffix; the file must say the same of itself. */
static bool open_by_build_id(struct debug_file *file, const struct symbol_module_ref *module,
	struct places *places, const char *suffix)
{
	struct proof proof = { module->build_id, module->build_id_len };
	char hex[2 * SYMBOLS_BUILD_ID_MAX + 1] = "", *path;
	bool ok;

	if (module->build_id_len < 2 || module->build_id_len > SYMBOLS_BUILD_ID_MAX)
		return false;
	for (unsigned i = 0; i < module->build_id_len; i++)
		snprintf(hex + 2 * i, 3, "%02x", module->build_id[i]);
	if (asprintf(&path, "%s/.build-id/%.2s/%s%s", places->debug_root, hex, hex + 2, suffix) < 0)
		return false;
	ok = open_anywhere(file, places, path, &proof);
	free(path);
	return ok;
}

struct mapped_search {
	struct debug_file *file;
	const char *path;
	const struct proof *proof;
};

static bool try_mapped(void *data, int fd)
{
	struct mapped_search *search = data;

	return open_fd(search->file, fd, search->path, search->proof);
}

/* A file that has no name any more, but is run or mapped. */
static bool open_from_processes(
	struct debug_file *file, struct places *places, const char *path, const struct proof *proof)
{
	struct mapped_search search = { file, path, proof };
	const char *slash = strrchr(path, '/');

	if (open_in_processes(file, places, path, proof))
		return true;
	for (unsigned i = 0; i < places->n_processes; i++) {
		const struct process *process = places_process(places, i);

		if (process && (open_fd(file, process_open_exe(process), path, proof) ||
				       process_each_mapped(process, slash ? slash + 1 : path,
					       try_mapped, &search)))
			return true;
	}
	return false;
}

/* The file at the path here. Returns what debug_file_open_path() does, or SYMBOLS_OTHER_BUILD. */
static enum symbols_source open_here(struct debug_file *file,
	const struct symbol_module_ref *module, const char *path, bool replaced, bool *unverifiedp)
{
	enum symbols_source reason = debug_file_open_path(file, path);

	if (reason != SYMBOLS_NOT_RESOLVED)
		return reason;
	if (module->build_id_len && file->build_id_len) {
		if (debug_file_same_build(file, module->build_id, module->build_id_len))
			return SYMBOLS_NOT_RESOLVED;
	} else if (!replaced) {
		*unverifiedp = true;
		return SYMBOLS_NOT_RESOLVED;
	}
	debug_file_close(file);
	return SYMBOLS_OTHER_BUILD;
}

bool debug_search_module(struct debug_file *file, const struct symbol_module_ref *module,
	struct places *places, bool *unverifiedp, enum symbols_source *reasonp)
{
	static const char deleted[] = " (deleted)";
	struct proof proof = { module->build_id, module->build_id_len };
	size_t length = strlen(module->path);
	bool found = false;

	*unverifiedp = false;
	*reasonp = SYMBOLS_NO_FILE;
	*file = (struct debug_file){ .fd = -1 };
	/* Relative paths and "[vdso]" name nothing here. */
	if (module->path[0] == '/') {
		/* A replaced file: what is there now is good only if it is the same build. */
		bool replaced = length > strlen(deleted) &&
				strcmp(module->path + length - strlen(deleted), deleted) == 0;
		char *path = strndup(module->path, replaced ? length - strlen(deleted) : length);

		if (!path)
			return false;
		*reasonp = open_here(file, module, path, replaced, unverifiedp);
		found = *reasonp == SYMBOLS_NOT_RESOLVED ||
			(module->build_id_len && open_from_processes(file, places, path, &proof));
		free(path);
	}
	return found || open_by_build_id(file, module, places, "");
}

/* The file name and checksum; the name is inside elf and has no slash. */
static const char *debuglink_of(const struct debug_file *own, uint32_t *crcp)
{
	Elf_Scn *section = debug_file_section(own->elf, ".gnu_debuglink");
	Elf_Data *data = section ? elf_rawdata(section, NULL) : NULL;
	size_t name_bytes, crc_at;

	if (!data || !data->d_buf)
		return NULL;
	name_bytes = strnlen(data->d_buf, data->d_size);
	crc_at = (name_bytes + 4) & ~(size_t)3;
	if (name_bytes == 0 || data->d_size < 4 || crc_at > data->d_size - 4 ||
		memchr(data->d_buf, '/', name_bytes))
		return NULL;
	memcpy(crcp, (char *)data->d_buf + crc_at, 4);
	return data->d_buf;
}

static bool open_link(struct debug_file *file, struct places *places, const struct proof *proof,
	const char *before, const char *directory, const char *between, const char *name)
{
	char *path;
	bool ok;

	if (asprintf(&path, "%s%s%s%s", before, directory, between, name) < 0)
		return false;
	ok = open_anywhere(file, places, path, proof);
	free(path);
	return ok;
}

static bool open_by_debuglink(
	struct debug_file *file, const struct debug_file *own, struct places *places)
{
	uint32_t crc = 0;
	const char *name = debuglink_of(own, &crc);
	struct proof proof = { own->build_id, own->build_id_len, &crc, true };
	char *real = NULL, *slash;
	bool ok = false;

	if (!name)
		return false;
	/* Without a real path it is the file of a process, in its own file system. */
	real = realpath(own->path, NULL);
	if (!real)
		real = strdup(own->path);
	slash = real ? strrchr(real, '/') : NULL;
	if (slash) {
		*slash = '\0';
		ok = open_link(file, places, &proof, "", real, "/", name) ||
		     open_link(file, places, &proof, "", real, "/.debug/", name) ||
		     open_link(file, places, &proof, places->debug_root, real, "/", name);
	}
	free(real);
	return ok;
}

const char *debug_search_link(const struct debug_file *own)
{
	uint32_t crc;

	return own->elf ? debuglink_of(own, &crc) : NULL;
}

bool debug_search_separate(struct debug_file *file, const struct debug_file *own,
	const struct symbol_module_ref *module, struct places *places)
{
	struct symbol_module_ref id = { NULL, own->build_id, (unsigned)own->build_id_len };
	struct proof proof = { 0 };
	char *path = NULL;
	bool ok = false;
	int fd;

	if (module->build_id_len)
		id = *module;
	if (open_by_build_id(file, &id, places, ".debug") ||
		(own->elf && open_by_debuglink(file, own, places)))
		return true;
	*file = (struct debug_file){ .fd = -1 };
	if (!places->debuginfod || id.build_id_len == 0)
		return false;
	proof = (struct proof){ id.build_id, id.build_id_len, .with_dwarf = true };
	fd = debuginfod_find(id.build_id, id.build_id_len, &path);
	if (fd >= 0)
		ok = open_fd(file, fd, path, &proof);
	free(path);
	return ok;
}
