/* minidebug_none.c - stands for minidebug.c in a build without liblzma. */
#include "analyzer/symbols/minidebug.h"

#include "analyzer/symbols/debug_file.h"

bool minidebug_open(struct debug_file *file, const struct debug_file *own)
{
	*file = (struct debug_file){ .fd = -1 };
	return false;
}
