/* interpose_cxx.h - what has to be done for operator new and delete before they are called. */
#ifndef HEAPSPY_INTERPOSE_CXX_H
#define HEAPSPY_INTERPOSE_CXX_H

/* Finds the definitions behind ours and the way to treat them. At load; later calls do nothing. */
void interpose_cxx_resolve(void);

#endif
