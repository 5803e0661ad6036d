/* trend_hidden_words.c - owns how text says what a hidden leak is inside of, and who calls. */
#include "analyzer/trend_hidden.h"

#include <stdlib.h>
#include <string.h>

#include "analyzer/symbols/name.h"

/* Callers that are written out; of more the last, which makes the difference, follows "...". */
#define CALLERS_MAX 4

static void add_function(struct strbuf *out, const char *function, bool full)
{
	char *name = full ? NULL : name_shorten(function);
	const char *text = name ? name : function;

	strbuf_add_escaped(out, text, strlen(text));
	free(name);
}

/* A row as text names it. */
static void add_name(struct strbuf *out, const struct site *site, bool full)
{
	const char *module = source_frames_base_name(site->module);

	if (site->distinct && !full)
		strbuf_add_escaped(out, site->distinct, strlen(site->distinct));
	else if (site->function[0])
		add_function(out, site->function, full);
	else if (module[0])
		strbuf_add_escaped(out, module, strlen(module));
	else
		strbuf_add_text(out, "<no module>");
}

/* The innermost function at an address that is no container's; NULL: all are. */
static const struct symbol_frame *caller_at(
	const struct source_frames *sf, const struct source_address *address)
{
	const char *module = source_frames_module_path(sf, address->module);
	uint32_t i;

	for (i = 0; i < address->n_frames; i++)
		if (!fold_hides(sf->fold, address->frames[i].function, module))
			return &address->frames[i];
	return NULL;
}

static void add_caller(struct strbuf *out, const struct symbol_frame *frame, bool full)
{
	const char *file;

	add_function(out, frame->function, full);
	if (!frame->file)
		return;
	file = full ? frame->file : source_frames_base_name(frame->file);
	strbuf_add_char(out, ' ');
	strbuf_add_escaped(out, file, strlen(file));
	if (frame->line)
		strbuf_addf(out, ":%u", frame->line);
}

static void add_call(
	struct strbuf *out, const struct source_frames *sf, const struct profile_frame *frame)
{
	const char *module = source_frames_base_name(source_frames_module_path(sf, frame->module));

	strbuf_add_text(out, "the call at ");
	if (module[0]) {
		strbuf_add_escaped(out, module, strlen(module));
		strbuf_add_char(out, '+');
	}
	strbuf_addf(out, "%#llx", (unsigned long long)frame->vaddr);
}

void trend_hidden_add_callers(struct strbuf *out, const struct source_frames *sf,
	const struct trend_hidden_leak *leak, bool full)
{
	const struct profile_stack *stack;
	uint32_t position = 0;
	size_t i, n = 0;

	if (leak->kind != TREND_HIDDEN_CALL)
		return;
	stack = &sf->profile->stacks[leak->site.stack];
	source_frames_naming(sf, stack, &position);
	if (!leak->n_callers) {
		if (position < stack->n_frames)
			add_call(out, sf, profile_frame(sf->profile, stack, position));
		return;
	}
	for (i = 1; i <= leak->n_callers && position + i < stack->n_frames; i++) {
		const struct source_address *address =
			source_frames_at(sf, stack, position + (uint32_t)i);
		const struct symbol_frame *frame = caller_at(sf, address);
		bool is_last = i == leak->n_callers;

		if (!frame && is_last)
			frame = &address->frames[0];
		if (!frame || (!is_last && n >= CALLERS_MAX - 1)) {
			n += frame != NULL;
			continue;
		}
		strbuf_add_text(out, n >= CALLERS_MAX ? " < ... < " : n ? " < " : "called from ");
		add_caller(out, frame, full);
		n++;
	}
	/* What ends sooner than others is told apart by that. */
	if (i <= leak->n_callers)
		strbuf_add_text(out, n ? ", where the stack ends" : "where the stack ends");
}

const char *trend_hidden_does(const struct trend_result *row)
{
	static const char *const words[TREND_N_VERDICTS] = {
		[TREND_LEAK] = "leaks",
		[TREND_LEAK_SLOWING] = "leaks",
		[TREND_CONTAINER] = "is a growing container",
		[TREND_TURNING_OVER] = "turns over",
		[TREND_SAWTOOTH] = "frees and renews its blocks",
		[TREND_LOAD_FOLLOWING] = "follows the load",
		[TREND_ONE_OFF] = "grew once",
		[TREND_WARM_UP] = "grew at the start only",
		[TREND_STEADY] = "is steady",
		[TREND_SHRINKING] = "shrinks",
		[TREND_TOO_FEW] = "has few samples",
	};

	return words[row->verdict];
}

void trend_hidden_add_inside(struct strbuf *out, const struct sites *sites,
	const struct trend_hidden_leak *leak, const struct trend_result *row, bool full)
{
	struct strbuf callers = { 0 };

	strbuf_add_text(out, "inside ");
	add_name(out, &sites->sites[leak->group], full);
	strbuf_addf(out, ", which %s", trend_hidden_does(row));
	trend_hidden_add_callers(&callers, sites->frames, leak, full);
	if (callers.bytes)
		strbuf_addf(out, "; %s", callers.data);
	strbuf_deinit(&callers);
}
