/*
 * no_cfi.h - functions whose file is built without frame information.
 */
#ifndef NO_CFI_H
#define NO_CFI_H

#include "rows.h"

void bare_chain(unsigned bytes, unsigned depth);
void bare_between(void (*function)(unsigned), unsigned bytes);

#endif
