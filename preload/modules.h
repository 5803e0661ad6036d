/*
 * modules.h - the loaded objects that frames point into, each with a serial
 * number that is never given to another object, also not to one loaded later
 * at the same address.
 */
#ifndef HEAPSPY_MODULES_H
#define HEAPSPY_MODULES_H

#include <dlfcn.h>
#include <stdint.h>

/*
 * The serial of the module that holds a pc.
 *
 * object: what _dl_find_object() said of the pc; the module must be unable to
 *         go away during the call (one of its frames is on the caller's stack).
 * Returns 1..HEAPSPY_MODULE_SERIAL_MAX, or 0 when the table is full (counted)
 * or the process has no state. Where another module was known to be and no
 * unload was seen, all rows are flushed (cfi_rows.h). Lock-free, allocates
 * nothing but state memory; safe from a signal handler.
 */
unsigned modules_serial(const struct dl_find_object *object);

#endif
