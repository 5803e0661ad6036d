/*
 * doctor_allocator.c - owns the checks of allocators: which of them are installed
 * for heapspy run --allocator, and which one a running process has, with what
 * heapspy does not see of it.
 */
#include "analyzer/target/doctor.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyzer/alloc.h"
#include "analyzer/target/allocators.h"
#include "analyzer/target/library.h"
#include "analyzer/target/program_elf.h"
#include "analyzer/target/program_path.h"

void doctor_allocators(struct doctor_report *report)
{
	struct strbuf there = { 0 }, missing = { 0 };
	const struct allocator *allocator;
	struct loader_search search;
	char path[PATH_MAX];
	uint32_t exported;
	struct fail f;
	unsigned i;

	loader_search_init(&search, getenv("LD_LIBRARY_PATH"));
	for (i = 0; (allocator = allocators_at(i)) != NULL; i++)
		if (allocators_locate(allocator, &search, path, &exported, &f) == 0)
			strbuf_addf(&there, "%s%s", there.bytes ? ", " : "", allocator->name);
		else
			strbuf_addf(&missing, "%s%s (%s)", missing.bytes ? ", " : "",
				allocator->name, allocator->package);
	doctor_add(report, DOCTOR_OK, "allocators", "for heapspy run --allocator: %s%s%s",
		there.bytes ? there.data : "none", missing.bytes ? "; not installed: " : "",
		missing.bytes ? missing.data : "");
	strbuf_deinit(&there);
	strbuf_deinit(&missing);
	loader_search_deinit(&search);
}

/* What the loaded objects say of jemalloc's extended API. */
struct loaded {
	uint32_t pid;
	bool has_extension; /* heapspy's object for it */
	bool has_extended;  /* somebody brings it along */
	char user[256];     /* an object that refers to it; "" without */
};

/* A file as the process sees it. */
static bool read_object(uint32_t pid, const char *path, struct program_elf *elf)
{
	char there[PATH_MAX + 64];
	int fd;

	snprintf(there, sizeof(there), "/proc/%u/root%s", pid, path);
	fd = open(there, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return false;
	program_elf_read_dynamic(fd, elf);
	close(fd);
	return elf->kind == PROGRAM_ELF_PROGRAM;
}

static void look_at(struct loaded *l, const char *path, struct program_elf *elf)
{
	const char *base = program_path_base(path);

	if (!strncmp(base, "libheapspy", 10)) {
		l->has_extension |= !strcmp(base, LIBRARY_EXTENSION);
		return;
	}
	if (!read_object(l->pid, path, elf))
		return;
	l->has_extended |= program_elf_has(elf->exported, PROGRAM_SYMBOL_MALLOCX);
	if ((elf->imported | elf->asked_for) & PROGRAM_SYMBOLS_EXTENDED && !l->user[0])
		snprintf(l->user, sizeof(l->user), "%s", base);
}

/* Each file with code of it mapped, once: an object has one such mapping as a rule. */
static void look_at_all(struct loaded *l, const char *maps, struct program_elf *elf)
{
	char path[PATH_MAX], last[PATH_MAX] = "", access[8];
	const char *line;

	for (line = maps; line && *line; line += strcspn(line, "\n"), line += *line != '\0') {
		const char *slash = memchr(line, '/', strcspn(line, "\n"));

		if (!slash || sscanf(line, "%*s %7s", access) != 1 || !strchr(access, 'x'))
			continue;
		snprintf(path, sizeof(path), "%.*s", (int)strcspn(slash, "\n"), slash);
		if (!strcmp(path, last))
			continue;
		strcpy(last, path);
		look_at(l, path, elf);
	}
}

void doctor_process_allocator(struct doctor_report *report, uint32_t pid, const char *maps,
	const struct state_header *state)
{
	struct program_elf *elf = alloc_array(1, sizeof(*elf));
	struct loaded l = { .pid = pid };
	const char *name;

	name = allocators_name_of(
		state->next_malloc, read_object(pid, state->next_malloc, elf) ? elf->exported : 0);
	look_at_all(&l, maps, elf);
	free(elf);
	if (!name)
		name = program_path_base(state->next_malloc);
	if (l.has_extended && l.user[0] && !l.has_extension)
		doctor_add(report, DOCTOR_NOTE, "allocator",
			"%s; %s calls mallocx or its kin, which are not seen: start it by heapspy "
			"run, or with " LIBRARY_EXTENSION " behind libheapspy.so in LD_PRELOAD",
			name, l.user);
	else if (state->flags & HEAPSPY_INFO_UNSEEN_DOORS)
		doctor_add(report, DOCTOR_NOTE, "allocator",
			"%s; the program calls it by functions that are not seen, so blocks that "
			"are free may look live: see heapspy help allocators",
			name);
	else
		doctor_add(report, DOCTOR_OK, "allocator", "%s%s", name,
			!l.has_extended ? ""
			: l.has_extension
				? "; mallocx and its kin are seen too, by " LIBRARY_EXTENSION
				: "; nothing that is loaded calls mallocx or its kin");
}
