/* prog_early.c - linked with lib_early.so; uses the C library where that has been. */
#include <dlfcn.h>
#include <libintl.h>
#include <locale.h>
#include "victim.h"

void *early_block(void);

int main(void)
{
	setlocale(LC_ALL, "");
	REQUIRE(bindtextdomain("heapspy-main", "/nonexistent"));
	REQUIRE(strcmp(gettext("as it is"), "as it is") == 0);
	REQUIRE(bindtextdomain("heapspy-again", "/nonexistent")); /* hangs if the lock was spoilt */
	REQUIRE(early_block());
	REQUIRE(!dlerror()); /* what we looked up in vain is nobody else's business */
	printf("{\"early_keep\": 5000}\n");
	return 0;
}
