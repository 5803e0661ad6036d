/*
 * sites.c - owns what a row is and which stacks are in it. Figures of rows are
 * compare.c's and ranking.c's; how a row is printed is out/'s.
 */
#include "analyzer/sites.h"

#include <stdlib.h>
#include <string.h>

#include "analyzer/alloc.h"
#include "analyzer/site_names.h"
#include "analyzer/strbuf.h"
#include "analyzer/suggest.h"
#include "analyzer/symbols/name.h"
#include "analyzer/units.h"

/* Part of a row's weight from which on a caller stands for all of them. */
#define CALLER_SHARE .75

bool sites_parse_by(const char *text, enum sites_by *byp)
{
	static const char *const words[] = { "function", "line", "site", "module" };
	unsigned i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(text, words[i])) {
			*byp = (enum sites_by)i;
			return true;
		}
	return false;
}

struct site sites_describe(const struct source_frames *sf, uint32_t stack_index)
{
	const struct profile_stack *stack = &sf->profile->stacks[stack_index];
	struct site site = {
		.module = "", .module_index = PROFILE_NO_MODULE, .stack = stack_index
	};
	const struct source_address *address;
	const struct symbol_frame *frame;
	uint32_t position = 0;

	frame = source_frames_naming(sf, stack, &position);
	if (!frame) {
		site.function = stack->flags & HEAPSPY_STACK_FOLDED ? "<other>" : "<no stack>";
		return site;
	}
	address = source_frames_at(sf, stack, position);
	site.function = frame->function;
	site.file = frame->file;
	site.line = frame->line;
	site.module_index = address->module;
	site.module = source_frames_module_path(sf, address->module);
	if (frame->inlined)
		site.inlined_into = address->frames[address->n_frames - 1].function;
	return site;
}

/* What makes two stacks one row, as bytes; by site there are no two. */
static void add_key(struct strbuf *key, const struct site *site, enum sites_by by)
{
	strbuf_clear(key);
	switch (by) {
	case SITES_BY_SITE:
		break;
	case SITES_BY_LINE:
		strbuf_addf(key, "%s:%u:", site->file ? site->file : "", site->line);
		/* fall through */
	case SITES_BY_FUNCTION:
		strbuf_add_text(key, site->function);
		/* fall through */
	case SITES_BY_MODULE:
		strbuf_add(key, (const char *)&site->module_index, sizeof(site->module_index));
		break;
	}
}

struct patterns {
	regex_t focus, ignore, module;
	const struct sites_filter *filter;
	struct content_index index; /* functions by name: what the patterns say of them */
	struct pattern_answer {
		const char *text;
		bool focus, ignore;
	} * answers;
	size_t n_answers, capacity;
};

static int compile(regex_t *regex, const char *text, const char *option, struct fail *f)
{
	char reason[160];
	int code = regcomp(regex, text ? text : "", REG_EXTENDED | REG_NOSUB);

	if (code == 0)
		return 0;
	regerror(code, regex, reason, sizeof(reason));
	return fail_set(
		f, EXIT_CODE_USAGE, "%s '%s' is no regular expression: %s", option, text, reason);
}

static int patterns_init(struct patterns *p, const struct sites_filter *filter, struct fail *f)
{
	memset(p, 0, sizeof(*p));
	p->filter = filter;
	if (compile(&p->focus, filter->focus, "--focus", f) < 0)
		return -1;
	if (compile(&p->ignore, filter->ignore, "--ignore", f) < 0) {
		regfree(&p->focus);
		return -1;
	}
	if (compile(&p->module, filter->module, "--module", f) < 0) {
		regfree(&p->focus);
		regfree(&p->ignore);
		return -1;
	}
	content_index_init(&p->index);
	return 0;
}

static void patterns_deinit(struct patterns *p)
{
	regfree(&p->focus);
	regfree(&p->ignore);
	regfree(&p->module);
	content_index_deinit(&p->index);
	free(p->answers);
}

/* A name such as "libc.so.6+0x2a1ca" is meant as it stands, though as an expression it is not. */
static bool is_like(const regex_t *regex, const char *pattern, const char *text)
{
	return pattern && (strstr(text, pattern) || !regexec(regex, text, 0, NULL, 0));
}

/* Asks both patterns about a function (in full and as a table shows it) or a file. */
static const struct pattern_answer *ask(struct patterns *p, const char *text)
{
	uint64_t hash = content_index_hash(&p->index, text, strlen(text)), at = hash;
	struct pattern_answer *answer;
	char *identity;
	size_t known;

	while (content_index_next(&p->index, hash, &at, &known))
		if (!strcmp(p->answers[known].text, text))
			return &p->answers[known];
	p->answers = alloc_room(p->answers, p->n_answers, &p->capacity, sizeof(*p->answers));
	answer = &p->answers[p->n_answers];
	identity = name_identity(text);
	answer->text = text;
	answer->focus = is_like(&p->focus, p->filter->focus, text) ||
			(identity && is_like(&p->focus, p->filter->focus, identity));
	answer->ignore = is_like(&p->ignore, p->filter->ignore, text) ||
			 (identity && is_like(&p->ignore, p->filter->ignore, identity));
	free(identity);
	content_index_add(&p->index, hash, p->n_answers++);
	return answer;
}

static bool is_kept(struct patterns *p, const struct source_frames *sf, const struct site *site)
{
	const struct profile_stack *stack = &sf->profile->stacks[site->stack];
	bool focus = !p->filter->focus, ignore = false;
	const struct pattern_answer *answer;
	uint32_t i, j;

	if (p->filter->module && !is_like(&p->module, p->filter->module, site->module))
		return false;
	if (!p->filter->focus && !p->filter->ignore)
		return true;
	/* Mostly a frame's, but it may be that of something it calls. */
	answer = ask(p, site->function);
	focus |= answer->focus;
	ignore |= answer->ignore;
	for (i = 0; i < stack->n_frames; i++) {
		const struct source_address *address = source_frames_at(sf, stack, i);

		for (j = 0; j < address->n_frames; j++) {
			const struct symbol_frame *frame = &address->frames[j];

			answer = ask(p, frame->function);
			focus |= answer->focus;
			ignore |= answer->ignore;
			if (!frame->file)
				continue;
			answer = ask(p, frame->file);
			focus |= answer->focus;
			ignore |= answer->ignore;
		}
	}
	return focus && !(ignore && p->filter->ignore);
}

/* Offers a function's name and its parts between "::"; of a path the last part. */
static void offer_name(struct suggest *suggest, const char *text)
{
	char *identity = name_identity(text), *part, *rest;

	suggest_offer(suggest, source_frames_base_name(text));
	if (identity)
		suggest_offer(suggest, identity);
	for (part = identity; part; part = rest) {
		rest = strstr(part, "::");
		if (rest) {
			*rest = '\0';
			rest += 2;
		}
		suggest_offer(suggest, part);
	}
	free(identity);
}

/* "no samples match", with the name that looks like what was meant. */
static int nothing_left(const struct sites *all, const struct patterns *patterns, struct fail *f)
{
	const struct sites_filter *filter = patterns->filter;
	struct suggest suggest;
	struct strbuf text = { 0 };
	const char *wanted = filter->focus ? filter->focus : filter->module;
	size_t i;

	strbuf_add_text(&text, "no samples match");
	if (filter->focus)
		strbuf_addf(&text, " --focus '%s'", filter->focus);
	if (filter->module)
		strbuf_addf(&text, " --module '%s'", filter->module);
	if (filter->ignore)
		strbuf_addf(&text, " --ignore '%s'", filter->ignore);
	strbuf_add_text(&text, " (");
	units_add_count(&text, all->n_sites);
	strbuf_addf(&text, " site%s)", all->n_sites == 1 ? "" : "s");
	suggest_init(&suggest, wanted ? wanted : "");
	for (i = 0; filter->focus && i < patterns->n_answers; i++)
		offer_name(&suggest, patterns->answers[i].text);
	for (i = 0; filter->module && i < all->n_sites; i++)
		suggest_offer(&suggest, source_frames_base_name(all->sites[i].module));
	if (suggest.best)
		strbuf_addf(&text, "; similar: %s", suggest.best);
	suggest_deinit(&suggest);
	fail_set(f, EXIT_CODE_INPUT, "%s", text.data);
	strbuf_deinit(&text);
	return -1;
}

/* Keys that were seen, each with a number in order of appearance. */
struct grouping {
	struct content_index index;
	struct strbuf *keys;
	size_t n_keys, capacity;
};

static uint32_t grouping_number(struct grouping *g, const struct strbuf *key)
{
	uint64_t hash = content_index_hash(&g->index, key->data, key->bytes), at = hash;
	size_t known;

	while (content_index_next(&g->index, hash, &at, &known))
		if (g->keys[known].bytes == key->bytes &&
			!memcmp(g->keys[known].data, key->data, key->bytes))
			return (uint32_t)known;
	g->keys = alloc_room(g->keys, g->n_keys, &g->capacity, sizeof(*g->keys));
	memset(&g->keys[g->n_keys], 0, sizeof(*g->keys));
	strbuf_add(&g->keys[g->n_keys], key->data, key->bytes);
	content_index_add(&g->index, hash, g->n_keys);
	return (uint32_t)g->n_keys++;
}

static void grouping_deinit(struct grouping *g)
{
	size_t i;

	for (i = 0; i < g->n_keys; i++)
		strbuf_deinit(&g->keys[i]);
	free(g->keys);
	content_index_deinit(&g->index);
}

/* Groups the stacks with a weight that kept (by stack; NULL keeps all) lets through. */
static void group_stacks(
	struct sites *sites, enum sites_by by, const double *weights, const bool *kept)
{
	struct grouping grouping = { 0 };
	struct strbuf key = { 0 };
	size_t i, capacity = 0;

	content_index_init(&grouping.index);
	free(sites->sites);
	sites->sites = NULL;
	sites->n_sites = 0;
	for (i = 0; i < sites->n_stacks; i++) {
		struct site site;
		uint32_t group;

		sites->group_of[i] = SITES_NO_GROUP;
		if (!(weights[i] > 0) || (kept && !kept[i]))
			continue;
		site = sites_describe(sites->frames, (uint32_t)i);
		site.stack_weight = weights[i];
		add_key(&key, &site, by);
		if (by == SITES_BY_MODULE)
			site.function = "";
		group = by == SITES_BY_SITE ? (uint32_t)sites->n_sites
					    : grouping_number(&grouping, &key);
		sites->group_of[i] = group;
		if (group == sites->n_sites) {
			sites->sites = alloc_room(
				sites->sites, sites->n_sites, &capacity, sizeof(*sites->sites));
			sites->sites[sites->n_sites++] = site;
		} else if (site.stack_weight > sites->sites[group].stack_weight) {
			sites->sites[group] = site;
		}
	}
	strbuf_deinit(&key);
	grouping_deinit(&grouping);
}

/* Lists the stacks of each site, in order of stack. */
static void list_members(struct sites *sites)
{
	size_t *next = alloc_array(sites->n_sites + 1, sizeof(*next));
	size_t i;

	sites->first_member = alloc_array(sites->n_sites + 1, sizeof(*sites->first_member));
	sites->members = alloc_array(sites->n_stacks, sizeof(*sites->members));
	for (i = 0; i < sites->n_stacks; i++)
		if (sites->group_of[i] != SITES_NO_GROUP)
			sites->first_member[sites->group_of[i] + 1]++;
	for (i = 1; i <= sites->n_sites; i++)
		sites->first_member[i] += sites->first_member[i - 1];
	memcpy(next, sites->first_member, (sites->n_sites + 1) * sizeof(*next));
	for (i = 0; i < sites->n_stacks; i++)
		if (sites->group_of[i] != SITES_NO_GROUP)
			sites->members[next[sites->group_of[i]]++] = (uint32_t)i;
	free(next);
}

/* A caller of a row that has no line of its own. */
struct caller {
	const struct symbol_frame *frame;
	double weight;
};

static int compare_functions(const struct caller *x, const struct caller *y)
{
	int order = strcmp(x->frame->function, y->frame->function);

	return order ? order : strcmp(x->frame->file, y->frame->file);
}

static int compare_callers(const void *a, const void *b)
{
	const struct caller *x = a, *y = b;
	int order = compare_functions(x, y);

	return order ? order
		     : (x->frame->line > y->frame->line) - (x->frame->line < y->frame->line);
}

/* Sets the caller of site from its n callers; total is the weight of all its stacks. */
static void choose_caller(struct site *site, struct caller *callers, size_t n, double total)
{
	const struct symbol_frame *best = NULL;
	double best_weight = 0;
	size_t first, i;

	qsort(callers, n, sizeof(*callers), compare_callers);
	site->n_callers = 0;
	for (first = 0; first < n; first = i) {
		const struct symbol_frame *line = NULL;
		double function_weight = 0, line_weight = 0, most = 0;

		for (i = first; i < n && !compare_functions(&callers[first], &callers[i]); i++) {
			if (i == first || callers[i].frame->line != callers[i - 1].frame->line)
				line_weight = 0;
			line_weight += callers[i].weight;
			function_weight += callers[i].weight;
			if (line_weight > most) {
				most = line_weight;
				line = callers[i].frame;
			}
		}
		site->n_callers++;
		if (function_weight > best_weight) {
			best_weight = function_weight;
			best = line;
		}
	}
	site->from = best_weight >= CALLER_SHARE * total ? best : NULL;
}

/* Where a row has no line, who called it says more. Members must be listed. */
static void find_callers(struct sites *sites, const double *weights)
{
	struct caller *callers = alloc_array(sites->n_stacks, sizeof(*callers));
	size_t i, j, n;

	for (i = 0; i < sites->n_sites; i++) {
		struct site *site = &sites->sites[i];
		double total = 0;

		if (!site->function[0] || (site->file && site->line))
			continue;
		for (n = 0, j = sites->first_member[i]; j < sites->first_member[i + 1]; j++) {
			uint32_t member = sites->members[j];
			const struct symbol_frame *frame = source_frames_caller(
				sites->frames, &sites->frames->profile->stacks[member]);

			total += weights[member];
			if (frame)
				callers[n++] = (struct caller){ frame, weights[member] };
		}
		choose_caller(site, callers, n, total);
	}
	free(callers);
}

int sites_init(struct sites *sites, const struct source_frames *sf, enum sites_by by,
	const struct sites_filter *filter, const double *weights, struct fail *f)
{
	struct patterns patterns;
	bool *kept, any = false;
	size_t i;

	memset(sites, 0, sizeof(*sites));
	if (patterns_init(&patterns, filter, f) < 0)
		return -1;
	sites->frames = sf;
	sites->n_stacks = sf->profile->n_stacks;
	sites->group_of = alloc_array(sites->n_stacks, sizeof(*sites->group_of));
	kept = alloc_array(sites->n_stacks, sizeof(*kept));
	group_stacks(sites, by, weights, NULL);
	sites->n_all = sites->n_sites;
	if (filter->focus || filter->ignore || filter->module) {
		for (i = 0; i < sites->n_stacks; i++) {
			struct site site;

			if (sites->group_of[i] == SITES_NO_GROUP)
				continue;
			site = sites_describe(sf, (uint32_t)i);
			kept[i] = is_kept(&patterns, sf, &site);
			any |= kept[i];
		}
		if (any)
			group_stacks(sites, by, weights, kept);
		else
			nothing_left(sites, &patterns, f);
	} else {
		any = true;
	}
	list_members(sites);
	find_callers(sites, weights);
	if (any)
		site_names_tell_apart(sites);
	patterns_deinit(&patterns);
	free(kept);
	if (!any)
		sites_deinit(sites);
	return any ? 0 : -1;
}

void sites_deinit(struct sites *sites)
{
	site_names_deinit(sites);
	free(sites->sites);
	free(sites->group_of);
	free(sites->members);
	free(sites->first_member);
	memset(sites, 0, sizeof(*sites));
}
