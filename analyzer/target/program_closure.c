/* program_closure.c - owns the walk over the libraries of a program, as ld.so does it. */
#include "analyzer/target/program_closure.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "analyzer/alloc.h"

#define OBJECTS_MAX 2000

static char *copy(const char *text)
{
	return alloc_text(text, strlen(text));
}

/* The list of names with the empty one at its end. */
static char *copy_links(const char *links)
{
	const char *end = links;

	while (*end)
		end += strlen(end) + 1;
	return alloc_text(links, (size_t)(end - links));
}

/* Its directory, without symbolic links, as $ORIGIN has it. */
static char *origin_of(const char *path)
{
	char *whole = realpath(path, NULL), *slash = whole ? strrchr(whole, '/') : NULL;

	if (!slash) {
		free(whole);
		return copy(".");
	}
	slash[slash == whole] = '\0';
	return whole;
}

/* parent: NULL for the program and what is preloaded. fd stays the caller's. */
static void add_object(
	struct program_closure *c, int fd, const char *path, const struct program_object *parent)
{
	struct program_elf *elf = alloc_array(1, sizeof(*elf));
	struct program_object *o;
	struct stat st;
	size_t i;

	if (fstat(fd, &st) < 0)
		goto out;
	for (i = 0; i < c->n; i++)
		if (c->objects[i]->inode == st.st_ino && c->objects[i]->device == st.st_dev)
			goto out;
	if (c->n == OBJECTS_MAX) {
		c->is_cut = true;
		goto out;
	}
	program_elf_read_dynamic(fd, elf);
	c->is_cut |= elf->is_cut;
	if (elf->kind != PROGRAM_ELF_PROGRAM)
		goto out;
	o = alloc_array(1, sizeof(*o));
	*o = (struct program_object){
		.path = copy(path),
		.device = st.st_dev,
		.inode = st.st_ino,
		.is_heapspy = !strncmp(program_path_base(path), "libheapspy", 10),
		.exported = elf->exported,
		.referenced = elf->imported | elf->asked_for,
		.soname = copy(elf->soname),
		.links = copy_links(elf->links),
		.rpath = copy(elf->rpath),
		.runpath = copy(elf->runpath),
		.origin = origin_of(path),
	};
	o->asker = (struct loader_asker){ o->rpath, o->runpath, elf->has_runpath, o->origin,
		parent ? &parent->asker
		: c->n ? &c->objects[0]->asker
		       : NULL };
	c->objects = alloc_room(c->objects, c->n, &c->capacity, sizeof(struct program_object *));
	c->objects[c->n++] = o;
out:
	free(elf);
}

/* Whether an object goes by that name already: then the loader looks for no other. */
static bool is_there(const struct program_closure *c, const char *name)
{
	size_t i;

	for (i = 1; i < c->n; i++)
		if (!strcmp(c->objects[i]->soname, name) || !strcmp(c->objects[i]->path, name))
			return true;
	return false;
}

static void add_by_name(struct program_closure *c, struct loader_search *search, const char *name,
	const struct program_object *parent)
{
	const struct program_object *asker = parent ? parent : c->objects[0];
	char path[PATH_MAX];
	int fd;

	if (is_there(c, name))
		return;
	fd = loader_search_open(search, name, &asker->asker, path);
	if (fd < 0)
		return;
	add_object(c, fd, path, parent);
	close(fd);
}

static void add_preloaded(
	struct program_closure *c, struct loader_search *search, const char *preload)
{
	char name[PATH_MAX];

	while (preload && *(preload += strspn(preload, ": "))) {
		size_t n = strcspn(preload, ": ");

		if (n < sizeof(name)) {
			snprintf(name, sizeof(name), "%.*s", (int)n, preload);
			add_by_name(c, search, name, NULL);
		}
		preload += n;
	}
}

void program_closure_read(struct program_closure *c, const char *path,
	const struct program_environment *env, struct loader_search *search)
{
	const char *name;
	size_t i;
	int fd;

	memset(c, 0, sizeof(*c));
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return;
	add_object(c, fd, path, NULL);
	close(fd);
	if (!c->n)
		return;
	add_preloaded(c, search, env->preload);
	for (i = 0; i < c->n; i++)
		for (name = c->objects[i]->links; *name; name += strlen(name) + 1)
			add_by_name(c, search, name, c->objects[i]);
}

void program_closure_deinit(struct program_closure *c)
{
	size_t i;

	for (i = 0; i < c->n; i++) {
		struct program_object *o = c->objects[i];

		free(o->path);
		free(o->soname);
		free(o->links);
		free(o->rpath);
		free(o->runpath);
		free(o->origin);
		free(o);
	}
	free(c->objects);
}

const struct program_object *program_closure_exporter(
	const struct program_closure *c, enum program_symbol symbol)
{
	size_t i;

	for (i = 1; i < c->n; i++)
		if (!c->objects[i]->is_heapspy && program_elf_has(c->objects[i]->exported, symbol))
			return c->objects[i];
	return NULL;
}

bool program_closure_has(const struct program_closure *c, const char *name)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		if (!strcmp(program_path_base(c->objects[i]->path), name))
			return true;
	return false;
}
