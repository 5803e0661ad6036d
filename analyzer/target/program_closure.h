/*
 * program_closure.h - the objects that a program will consist of when it has
 * started: itself, LD_PRELOAD, and what all of them are linked with, in the order
 * in which the loader looks symbols up. Read from files; nothing is run. What the
 * program opens later (dlopen) is not known.
 */
#ifndef HEAPSPY_ANALYZER_PROGRAM_CLOSURE_H
#define HEAPSPY_ANALYZER_PROGRAM_CLOSURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyzer/target/loader_search.h"
#include "analyzer/target/program.h"

struct program_object {
	char *path;
	uint64_t device, inode;
	bool is_heapspy;     /* one of heapspy's own */
	uint32_t exported;   /* bits of enum program_symbol, here */
	uint32_t referenced; /* and here, weak ones too */
	/* For finding what it is linked with. */
	char *soname, *links, *rpath, *runpath, *origin;
	struct loader_asker asker;
};

struct program_closure {
	struct program_object **objects; /* the program first */
	size_t n, capacity;
	bool is_cut; /* more objects than are looked at, or one that could not be read whole */
};

/*
 * Reads the program at path as it would start with env's preload and library_path; libraries
 * that cannot be found are passed over. c->n is 0 when the program itself cannot be read.
 * program_closure_deinit() is due either way.
 */
void program_closure_read(struct program_closure *c, const char *path,
	const struct program_environment *env, struct loader_search *search);
void program_closure_deinit(struct program_closure *c);

/*
 * The first object behind the program that exports the symbol, heapspy's own passed over;
 * NULL: none. Of malloc that is the one which heapspy hands on to.
 */
const struct program_object *program_closure_exporter(
	const struct program_closure *c, enum program_symbol symbol);

/* Whether an object of that file name (its last component) is there. */
bool program_closure_has(const struct program_closure *c, const char *name);

#endif
