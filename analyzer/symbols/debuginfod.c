/*
 * debuginfod.c - owns the use of libdebuginfod, which keeps what it fetched in
 * a cache of its own. Interface: debuginfod_find_debuginfo(3).
 *
 * Opened at run time, as libdw does it: few need it, and it brings a library
 * for the network with it.
 */
#include "analyzer/symbols/debuginfod.h"

#include <dlfcn.h>
#include <stdlib.h>

struct debuginfod_client;

struct client {
	struct debuginfod_client *handle; /* NULL: nobody to ask */
	int (*find)(struct debuginfod_client *handle, const unsigned char *build_id,
		int build_id_len, char **pathp);
};

/* Made once; it lives as long as the process, with its connections. */
static const struct client *the_client(void)
{
	static struct client client;
	static int opened;
	struct debuginfod_client *(*begin)(void);
	void *library;

	if (opened)
		return &client;
	opened = 1;
	library = dlopen("libdebuginfod.so.1", RTLD_NOW | RTLD_LOCAL);
	if (!library)
		return &client;
	*(void **)&begin = dlsym(library, "debuginfod_begin");
	*(void **)&client.find = dlsym(library, "debuginfod_find_debuginfo");
	if (begin && client.find)
		client.handle = begin();
	return &client;
}

int debuginfod_find(const uint8_t *build_id, size_t build_id_len, char **pathp)
{
	const char *urls = getenv("DEBUGINFOD_URLS");
	const struct client *client;
	int fd;

	*pathp = NULL;
	if (!urls || !urls[0] || build_id_len == 0 || build_id_len > 64)
		return -1;
	client = the_client();
	if (!client->handle)
		return -1;
	fd = client->find(client->handle, build_id, (int)build_id_len, pathp);
	if (fd < 0) {
		*pathp = NULL;
		return -1;
	}
	return fd;
}
