/* unseen_doors.h - whether the program uses functions of its allocator that are not interposed. */
#ifndef HEAPSPY_UNSEEN_DOORS_H
#define HEAPSPY_UNSEEN_DOORS_H

#include <stdbool.h>
#include <stddef.h>

struct unseen_door {
	char object[256]; /* path of who calls it; "" the program itself */
	char name[48];
	const char *interposer; /* object of ours that would see it; NULL none */
};

/*
 * Looks through the objects that are loaded now for one that imports such a function, whose
 * allocator is there too; false if none does. The first one found is in *doorp. What is loaded
 * later, or finds the function by dlsym, is not noticed. Allocates: at load only.
 */
bool unseen_doors_find(struct unseen_door *doorp);

#endif
