/*
 * ops_new.cc - "new" of prog_ops_cxx: a new expression of 64 bytes and its delete.
 */
#include "prog_ops.h"

namespace
{

struct object {
	char bytes[64];
};

void slice_new(worker *, long n)
{
	while (n-- > 0)
		delete static_cast<object *>(ops_keep(new object));
}

} // namespace

double ops_run_new(worker *w, long n)
{
	return ops_slices(w, n, slice_new);
}
