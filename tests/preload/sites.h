/*
 * sites.h - a victim's own account: what each of its allocating functions made, and what of it
 * lives. Counters may be changed by any thread.
 */
#ifndef SITES_H
#define SITES_H

#include "victim.h"

struct site {
	const char *name; /* of the function */
	void *(*make)(void *old, size_t bytes);
	long n, bytes;         /* all allocations so far */
	long live, live_bytes; /* those not freed */
};

static inline void site_add(long *counter, long change)
{
	__atomic_fetch_add(counter, change, __ATOMIC_RELAXED);
}

static inline void site_birth(struct site *site, size_t bytes)
{
	site_add(&site->n, 1);
	site_add(&site->bytes, (long)bytes);
	site_add(&site->live, 1);
	site_add(&site->live_bytes, (long)bytes);
}

static inline void site_death(struct site *site, size_t bytes)
{
	site_add(&site->live, -1);
	site_add(&site->live_bytes, -(long)bytes);
}

/* {"name": {"n": .., "bytes": .., "live": .., "live_bytes": ..}, ...} */
static inline void sites_print(const struct site *sites, size_t n_sites)
{
	printf("{");
	for (size_t i = 0; i < n_sites; i++)
		printf("%s\"%s\": {\"n\": %ld, \"bytes\": %ld, \"live\": %ld, \"live_bytes\": %ld}",
			i ? ", " : "", sites[i].name, sites[i].n, sites[i].bytes, sites[i].live,
			sites[i].live_bytes);
	printf("}\n");
	fflush(stdout);
}

#endif
