/* loader_search.c - owns the order of ld.so's search and the reading of its cache. */
#include "analyzer/target/loader_search.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CACHE_BYTES_MAX (64u << 20)
#define CACHE_MAGIC     "glibc-ld.so.cache1.1"
#define CACHE_OLD_MAGIC "ld.so-1.7.0" /* an older table in front of the new one */
#define CACHE_X86_64    0x0303        /* FLAG_X8664_LIB64 | FLAG_ELF_LIBC6 */

/* As glibc's sysdeps/generic/dl-cache.h has them; offsets count from the header. */
struct cache_header {
	char magic[sizeof(CACHE_MAGIC) - 1];
	uint32_t n_entries, strings_bytes;
	uint8_t flags, padding[3];
	uint32_t extension, unused[3];
};

struct cache_entry {
	int32_t flags;
	uint32_t name, path;
	uint32_t os_version;
	uint64_t hwcap; /* not 0: for processors that can more */
};

/* What $LIB stands for differs by distribution: these are tried in turn. */
static const char *const lib_words[] = { "lib/x86_64-linux-gnu", "lib64", "lib" };
static const char *const usual_dirs[] = { "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu",
	"/lib64", "/usr/lib64", "/lib", "/usr/lib", NULL };

#define N_LIB_WORDS (sizeof(lib_words) / sizeof(lib_words[0]))

void loader_search_init(struct loader_search *s, const char *library_path)
{
	memset(s, 0, sizeof(*s));
	s->library_path = library_path;
	s->cache_file = "/etc/ld.so.cache";
	s->dirs = usual_dirs;
}

void loader_search_deinit(struct loader_search *s)
{
	strbuf_deinit(&s->cache);
}

/* A regular file that this machine's loader would map; -1 without. */
static int open_library(struct loader_search *s, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	Elf64_Ehdr header;
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
		pread(fd, &header, sizeof(header), 0) == (ssize_t)sizeof(header) &&
		!memcmp(header.e_ident, ELFMAG, SELFMAG) &&
		header.e_ident[EI_CLASS] == ELFCLASS64 && header.e_ident[EI_DATA] == ELFDATA2LSB &&
		header.e_machine == EM_X86_64 && header.e_type == ET_DYN)
		return fd;
	if (!s->passed_over[0] && (fd >= 0 || errno == EACCES))
		snprintf(s->passed_over, sizeof(s->passed_over), "%s", path);
	if (fd >= 0)
		close(fd);
	return -1;
}

static const char *origin_of(const struct loader_asker *asker)
{
	return asker ? asker->origin : NULL;
}

/* The length of "$WORD" or "${WORD}" at text; 0 where it is neither. */
static size_t token_at(const char *text, const char *word)
{
	size_t n = strlen(word);

	if (!strncmp(text + 1, word, n))
		return n + 1;
	if (text[1] == '{' && !strncmp(text + 2, word, n) && text[n + 2] == '}')
		return n + 3;
	return 0;
}

/*
 * Adds text with its tokens replaced. *has_libp is set when $LIB was among them. Returns false
 * where $ORIGIN is nothing that is known.
 */
static bool expand(struct strbuf *out, const char *text, size_t bytes, const char *origin,
	const char *lib, bool *has_libp)
{
	const char *end = text + bytes;
	size_t n;

	while (text < end) {
		if (*text != '$') {
			strbuf_add_char(out, *text++);
		} else if ((n = token_at(text, "ORIGIN")) != 0) {
			if (!origin)
				return false;
			strbuf_add_text(out, origin);
			text += n;
		} else if ((n = token_at(text, "LIB")) != 0) {
			strbuf_add_text(out, lib);
			*has_libp = true;
			text += n;
		} else if ((n = token_at(text, "PLATFORM")) != 0) {
			strbuf_add_text(out, "x86_64");
			text += n;
		} else {
			strbuf_add_char(out, *text++);
		}
	}
	return true;
}

/* dir/name, or with name NULL dir itself, which then is a path. */
static int open_expanded(struct loader_search *s, const char *dir, size_t bytes, const char *name,
	const char *origin, char path[PATH_MAX])
{
	struct strbuf text = { 0 };
	bool has_lib = false;
	unsigned i;
	int fd = -1;

	for (i = 0; fd < 0 && i < N_LIB_WORDS && (i == 0 || has_lib); i++) {
		strbuf_clear(&text);
		if (!expand(&text, dir, bytes, origin, lib_words[i], &has_lib))
			break;
		if (name)
			strbuf_addf(&text, "/%s", name);
		if (text.bytes >= PATH_MAX || !text.bytes)
			continue;
		fd = open_library(s, text.data);
		if (fd >= 0)
			strcpy(path, text.data);
	}
	strbuf_deinit(&text);
	return fd;
}

/* list: directories with one of separators between; an empty one is the working directory. */
static int open_in_list(struct loader_search *s, const char *list, const char *separators,
	const char *name, const char *origin, char path[PATH_MAX])
{
	int fd = -1;

	while (fd < 0 && list && *list) {
		size_t n = strcspn(list, separators);

		fd = n ? open_expanded(s, list, n, name, origin, path)
		       : open_expanded(s, ".", 1, name, origin, path);
		list += n + (list[n] != '\0');
	}
	return fd;
}

static void read_cache(struct loader_search *s)
{
	char block[16384];
	struct stat st;
	ssize_t n;
	int fd;

	s->cache_is_read = true;
	fd = open(s->cache_file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		while (s->cache.bytes < CACHE_BYTES_MAX && (n = read(fd, block, sizeof(block))) > 0)
			strbuf_add(&s->cache, block, (size_t)n);
	close(fd);
}

/* Where the header of the table is; bytes of the cache where there is none. */
static size_t find_table(const struct strbuf *cache)
{
	size_t at = 0, old = sizeof(CACHE_OLD_MAGIC) - 1;
	uint32_t n;

	if (cache->bytes >= old + 5 && !memcmp(cache->data, CACHE_OLD_MAGIC, old)) {
		memcpy(&n, cache->data + old + 1, sizeof(n));
		at = (old + 5 + (size_t)n * 12 + 7) & ~(size_t)7;
	}
	if (at > cache->bytes || cache->bytes - at < sizeof(struct cache_header) ||
		memcmp(cache->data + at, CACHE_MAGIC, sizeof(CACHE_MAGIC) - 1) != 0)
		return cache->bytes;
	return at;
}

/* The file of that name for any processor, failing that for a better one. */
static int open_by_cache(struct loader_search *s, const char *name, char path[PATH_MAX])
{
	struct cache_header header;
	struct cache_entry entry;
	const char *table;
	size_t bytes, i, n;
	int fd = -1, plain;

	if (!s->cache_is_read)
		read_cache(s);
	if (!s->cache.bytes)
		return -1;
	/* The text is NUL-terminated, so that an offset inside it is a string. */
	i = find_table(&s->cache);
	table = s->cache.data + i;
	bytes = s->cache.bytes - i;
	if (!bytes)
		return -1;
	memcpy(&header, table, sizeof(header));
	n = (bytes - sizeof(header)) / sizeof(entry);
	n = header.n_entries < n ? header.n_entries : n;
	for (plain = 1; fd < 0 && plain >= 0; plain--)
		for (i = 0; fd < 0 && i < n; i++) {
			memcpy(&entry, table + sizeof(header) + i * sizeof(entry), sizeof(entry));
			if (entry.flags != CACHE_X86_64 || (entry.hwcap == 0) != (plain == 1) ||
				entry.name >= bytes || entry.path >= bytes ||
				strcmp(table + entry.name, name) != 0 ||
				strlen(table + entry.path) >= PATH_MAX)
				continue;
			fd = open_library(s, table + entry.path);
			if (fd >= 0)
				strcpy(path, table + entry.path);
		}
	return fd;
}

static int open_by_rpath(struct loader_search *s, const char *name,
	const struct loader_asker *asker, char path[PATH_MAX])
{
	int fd = -1;

	/* That of everybody who asked for it counts, up to the program. */
	if (asker && asker->has_runpath)
		return -1;
	for (; fd < 0 && asker; asker = asker->parent)
		if (!asker->has_runpath)
			fd = open_in_list(s, asker->rpath, ":", name, asker->origin, path);
	return fd;
}

int loader_search_open(struct loader_search *s, const char *name, const struct loader_asker *asker,
	char path[PATH_MAX])
{
	const struct loader_asker *program = asker;
	unsigned i;
	int fd;

	s->passed_over[0] = '\0';
	if (strchr(name, '/'))
		return open_expanded(s, name, strlen(name), NULL, origin_of(asker), path);
	while (program && program->parent)
		program = program->parent;
	fd = open_by_rpath(s, name, asker, path);
	if (fd < 0)
		fd = open_in_list(s, s->library_path, ":;", name, origin_of(program), path);
	if (fd < 0 && asker && asker->has_runpath)
		fd = open_in_list(s, asker->runpath, ":", name, asker->origin, path);
	if (fd < 0)
		fd = open_by_cache(s, name, path);
	for (i = 0; fd < 0 && s->dirs[i]; i++)
		fd = open_expanded(s, s->dirs[i], strlen(s->dirs[i]), name, NULL, path);
	return fd;
}
