/* interpose_rights.h - what has to be done for calls that give something up before they are made.
 */
#ifndef HEAPSPY_INTERPOSE_RIGHTS_H
#define HEAPSPY_INTERPOSE_RIGHTS_H

/* Finds the definitions behind ours. At load, or in a hook that is called before; later: nothing.
 */
void interpose_rights_resolve(void);

#endif
