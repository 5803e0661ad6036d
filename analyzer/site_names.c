/*
 * site_names.c - owns which rows would look alike, and the pattern that means
 * one of them. What differs in their names is symbols/name_difference.c's, how
 * it is fitted into a column out/where.c's.
 */
#include "analyzer/site_names.h"

#include <stdlib.h>
#include <string.h>

#include "analyzer/alloc.h"
#include "analyzer/strbuf.h"
#include "analyzer/symbols/name.h"
#include "analyzer/symbols/name_difference.h"

/* A row as a table shows it. */
struct looks {
	struct site *site;
	const char *name;  /* short; one text for one function */
	const char *place; /* base name of its file or module */
};

/* Short names by function: many rows of stacks share theirs, and shortening takes long. */
struct short_names {
	struct content_index index;
	struct short_name {
		const char *function;
		char *name; /* NULL: out of memory */
	} * names;
	size_t n, capacity;
};

static const char *short_name(struct short_names *names, const char *function)
{
	uint64_t hash = content_index_hash(&names->index, &function, sizeof(function)), at = hash;
	size_t known;

	while (content_index_next(&names->index, hash, &at, &known))
		if (names->names[known].function == function)
			return names->names[known].name;
	names->names = alloc_room(names->names, names->n, &names->capacity, sizeof(*names->names));
	names->names[names->n].function = function;
	names->names[names->n].name = name_shorten(function);
	content_index_add(&names->index, hash, names->n);
	return names->names[names->n++].name;
}

static int compare_looks(const void *a, const void *b)
{
	const struct looks *x = a, *y = b;
	int order = x->name == y->name ? 0 : strcmp(x->name, y->name);

	if (!order && x->place != y->place)
		order = strcmp(x->place, y->place);
	if (!order)
		order = (x->site->line > y->site->line) - (x->site->line < y->site->line);
	return order;
}

/* looks: n of them, all alike. */
static void tell_apart(const struct looks *looks, size_t n)
{
	const char **full = alloc_array(n, sizeof(*full));
	struct name_difference *names = alloc_array(n, sizeof(*names));
	bool any = false;
	size_t i;

	for (i = 0; i < n; i++) {
		full[i] = looks[i].site->function;
		any |= strcmp(full[i], full[0]) != 0;
	}
	if (any)
		name_difference(full, n, names);
	for (i = 0; i < n; i++) {
		struct site *site = looks[i].site;

		if (names[i].from == names[i].end) {
			free(names[i].text);
			continue;
		}
		site->distinct = names[i].text;
		site->distinct_from = names[i].from;
		site->distinct_end = names[i].end;
	}
	free(full);
	free(names);
}

void site_names_tell_apart(struct sites *sites)
{
	struct looks *looks = alloc_array(sites->n_sites, sizeof(*looks));
	struct short_names names = { 0 };
	size_t i, n = 0, first;

	content_index_init(&names.index);
	for (i = 0; i < sites->n_sites; i++) {
		struct site *site = &sites->sites[i];
		const char *name = short_name(&names, site->function);

		if (name && name[0])
			looks[n++] = (struct looks){ site, name,
				source_frames_base_name(site->file ? site->file : site->module) };
	}
	qsort(looks, n, sizeof(*looks), compare_looks);
	for (first = 0; first < n; first = i) {
		for (i = first + 1; i < n && !compare_looks(&looks[first], &looks[i]);)
			i++;
		if (i - first > 1)
			tell_apart(&looks[first], i - first);
	}
	for (i = 0; i < names.n; i++)
		free(names.names[i].name);
	free(names.names);
	content_index_deinit(&names.index);
	free(looks);
}

void site_names_deinit(struct sites *sites)
{
	size_t i;

	for (i = 0; i < sites->n_sites; i++)
		free(sites->sites[i].distinct);
}

/* Whether --focus with text, a plain name, would take in a function of another site's. */
static bool takes_in_others(const struct sites *sites, const struct site *site, const char *text)
{
	size_t i;

	for (i = 0; i < sites->n_sites; i++) {
		const char *function = sites->sites[i].function;
		char *identity;
		bool found;

		if (!strcmp(function, site->function))
			continue;
		identity = name_identity(function);
		found = strstr(function, text) || (identity && strstr(identity, text));
		free(identity);
		if (found)
			return true;
	}
	return false;
}

static void add_plain(struct strbuf *out, const char *text)
{
	for (; *text; text++) {
		if (strchr(".[](){}*+?|^$\\", *text))
			strbuf_add_char(out, '\\');
		strbuf_add_char(out, *text);
	}
}

char *site_names_pattern(const struct sites *sites, const struct site *site)
{
	char *identity = name_identity(site->function);
	struct strbuf out = { 0 };

	if (identity && !takes_in_others(sites, site, identity)) {
		add_plain(&out, identity);
	} else {
		strbuf_add_char(&out, '^');
		add_plain(&out, site->function);
		strbuf_add_char(&out, '$');
	}
	free(identity);
	return out.data;
}
