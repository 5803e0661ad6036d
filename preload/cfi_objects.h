/*
 * cfi_objects.h - whose code is at a pc: the loaded object or registered table
 * with its frame information.
 *
 * Loaded objects come from _dl_find_object() (glibc 2.35): no lock, no
 * allocation, safe in signal handlers, 2 ns. Nothing else of the dynamic linker
 * is called after cfi_objects_init().
 */
#ifndef HEAPSPY_CFI_OBJECTS_H
#define HEAPSPY_CFI_OBJECTS_H

#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include "preload/cfi_interp.h"

struct cfi_object {
	struct cfi_section section;   /* lo == hi: the object has none that can be used */
	bool registered;              /* a table without a header */
	bool own;                     /* of libheapspy.so itself */
	struct dl_find_object loaded; /* of a loaded object; link map NULL if unknown */
};

/*
 * Learns where libheapspy.so itself lies and whether _dl_find_object exists.
 * Once, from a constructor, not from a hook: takes the dynamic linker's lock.
 */
void cfi_objects_init(void);

/* False with glibc before 2.35: only own code and registered tables are found. */
bool cfi_objects_available(void);

/* Where libheapspy.so itself lies; constant after cfi_objects_init(). */
extern uintptr_t cfi_objects_own_lo __attribute__((visibility("hidden")));
extern uintptr_t cfi_objects_own_hi __attribute__((visibility("hidden")));

static inline bool cfi_objects_is_own(uintptr_t pc)
{
	return pc - cfi_objects_own_lo < cfi_objects_own_hi - cfi_objects_own_lo;
}

/*
 * Finds the object that covers pc; outside all loaded ones the first table that
 * may. False: code outside all objects and tables.
 * Signal-safe. An object must not be unloaded during the call: one of its
 * frames on the calling stack keeps a correct program from doing that.
 */
bool cfi_objects_find(uintptr_t pc, struct cfi_object *object);

/*
 * The next registered table whose first and last function pc is between, from index
 * *fromp on (0 at first), which is moved behind it. Tables may be interleaved, and
 * may be for code inside a loaded object. False: no more. Signal-safe.
 */
bool cfi_objects_next_table(uintptr_t pc, uint32_t *fromp, struct cfi_section *sectionp);

/*
 * Is pc in executable memory of a loaded object, right after a call
 * instruction? Return addresses are; other words on a stack hardly ever.
 * in_objectp: whether it is in a loaded object at all. Signal-safe.
 */
bool cfi_objects_after_call(uintptr_t pc, bool *in_objectp);

/*
 * Tables given to __register_frame() and __register_frame_info(), at most
 * CFI_TABLES_MAX at a time; eh_frame: the table's first byte, which ends with
 * a length of 0. The memory must stay readable until it is removed.
 * add returns false when the table cannot be used or the list is full; remove
 * when it is not on the list. Lock-free; any thread.
 */
#define CFI_TABLES_MAX 512
bool cfi_objects_add_table(const void *eh_frame);
bool cfi_objects_remove_table(const void *eh_frame);

#endif
