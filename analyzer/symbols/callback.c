/*
 * callback.c - owns the list of library functions that call what they were
 * given, and where among their template arguments that stands. Whether such a
 * frame is shown by it is left to source_frames.c.
 *
 * Where a lambda is inlined into its caller and no debug info says so, this
 * name is the only trace of it.
 */
#include "analyzer/symbols/callback.h"

#include <ctype.h>
#include <regex.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/symbols/name.h"
#include "analyzer/symbols/name_piece.h"

/*
 * How to get from a template to what it calls: a digit is that argument, 'l' the
 * last one, 'r' the result of a function type, 'p' its first parameter.
 */
struct row {
	const char *expression; /* POSIX extended, of a whole name_identity() */
	const char *path;
};

static const struct row callers[] = {
	/* std::function, std::bind, std::invoke and what is made of them. */
	{ "std::_Function_handler::_M_invoke", "1" },
	{ "std::(__)?invoke", "0" },
	{ "std::(__invoke_impl|__invoke_r|invoke_r)", "1" },
	{ "std::_Bind(_result)?::(__call(_c)?|operator\\(\\))", "0r" },
	{ "std::__apply_impl|std::apply", "0" },
	{ "std::__detail::__variant::__gen_vtable_impl::__visit_invoke", "00p" },
	/* Threads and futures. */
	{ "std::thread::_State_impl::_M_run", "0" },
	{ "std::thread::_Invoker::(operator\\(\\)|_M_invoke)", "0" },
	{ "std::__future_base::(_Async_state_impl|_Deferred_state)::(_M_run|_M_complete_async)",
		"0" },
	{ "std::__future_base::_Task_setter::operator\\(\\)", "1" },
	{ "std::__future_base::_Task_state::_M_run(_delayed)?(::\\{lambda#1\\}::operator\\(\\))?",
		"0" },
	/* The same in libc++. */
	{ "std::__function::(__func|__default_alloc_func|__alloc_func)::operator\\(\\)", "0" },
	{ "std::__function::__policy_invoker::__call_impl", "0" },
	{ "std::__invoke_void_return_wrapper::__call", "0" },
	{ "std::__packaged_task_func::operator\\(\\)", "0" },
	{ "std::__async_func::operator\\(\\)", "0" },
	{ "std::__(async_assoc_state|deferred_assoc_state)::__execute", "1" },
	{ "std::__thread_proxy", "01" },
	/* Algorithms; std::stable_sort and its like allocate a buffer for themselves. */
	{ "std::_*(for_each(_n)?|transform|generate(_n)?|(all|any|none)_of|transform_reduce|"
	  "[a-z_]+_if(_not)?(_n)?|is_partitioned|partition(_copy|_point)?|unique(_copy)?|merge|"
	  "(lower|upper)_bound|m(in|ax|inmax)_element|set_(union|intersection|difference))",
		"l" },
	{ "std::_*(sort|partial_sort(_copy)?|nth_element|is_sorted(_until)?|introsort(_loop)?|"
	  "introselect|(final_)?insertion_sort|unguarded_(linear_insert|insertion_sort|"
	  "partition(_pivot)?)|heap_select|(adjust|push|pop|make|sort)_heap|"
	  "move_median_to_first|merge_sort_[a-z_]+|move_merge[a-z_]*)",
		"l" },
	{ "std::(accumulate|reduce)", "2" },
};

/* What such a thing is wrapped in, on its way. */
static const struct row wrappers[] = {
	{ "std::tuple|std::thread::_Invoker|std::reference_wrapper|std::_Not_fn", "0" },
	{ "std::_Bind", "0r" },
	{ "std::_Bind_result", "1r" },
	{ "std::__future_base::_Task_setter", "1" },
	{ "__gnu_cxx::__ops::_[A-Za-z_]+", "0" },
	{ "std::__function::(__default_alloc_func|__alloc_func)|std::__async_func", "0" },
};

/* Wrappers in wrappers; deeper nesting is no program's. */
enum { DEPTH_MAX = 16 };

enum {
	N_CALLERS = sizeof(callers) / sizeof(callers[0]),
	N_WRAPPERS = sizeof(wrappers) / sizeof(wrappers[0])
};

struct callbacks {
	regex_t callers[N_CALLERS], wrappers[N_WRAPPERS];
	unsigned n_callers, n_wrappers; /* compiled */
};

static bool compile(regex_t *regex, const struct row *row)
{
	char anchored[1024];

	return (size_t)snprintf(anchored, sizeof(anchored), "^(%s)$", row->expression) <
		       sizeof(anchored) &&
	       regcomp(regex, anchored, REG_EXTENDED | REG_NOSUB) == 0;
}

struct callbacks *callbacks_new(void)
{
	struct callbacks *callbacks = calloc(1, sizeof(*callbacks));

	if (!callbacks)
		return NULL;
	while (callbacks->n_callers < N_CALLERS &&
		compile(&callbacks->callers[callbacks->n_callers], &callers[callbacks->n_callers]))
		callbacks->n_callers++;
	while (callbacks->n_wrappers < N_WRAPPERS &&
		compile(&callbacks->wrappers[callbacks->n_wrappers],
			&wrappers[callbacks->n_wrappers]))
		callbacks->n_wrappers++;
	if (callbacks->n_callers == N_CALLERS && callbacks->n_wrappers == N_WRAPPERS)
		return callbacks;
	callbacks_free(callbacks);
	return NULL;
}

void callbacks_free(struct callbacks *callbacks)
{
	if (!callbacks)
		return;
	while (callbacks->n_callers > 0)
		regfree(&callbacks->callers[--callbacks->n_callers]);
	while (callbacks->n_wrappers > 0)
		regfree(&callbacks->wrappers[--callbacks->n_wrappers]);
	free(callbacks);
}

/* The path of the row that name is in; NULL: of none. */
static const char *find_path(
	const regex_t *compiled, const struct row *rows, unsigned n, const char *name)
{
	char *identity = name_identity(name);
	const char *path = NULL;

	for (unsigned i = 0; i < n && identity && !path; i++) {
		if (regexec(&compiled[i], identity, 0, NULL, 0) == 0)
			path = rows[i].path;
	}
	free(identity);
	return path;
}

/* "Result (Parameters)" or "Result (*)(Parameters)": p is at its first parenthesis. */
static const char *find_signature(struct name_piece piece)
{
	const char *p = name_piece_find(piece, '(');

	return p && p > piece.from && p[-1] == ' ' ? p : NULL;
}

static struct name_piece step(struct name_piece piece, char which)
{
	const char *p;

	if (which != 'r' && which != 'p')
		return name_piece_argument(name_piece_inside(piece, name_piece_find(piece, '<')),
			which == 'l' ? NAME_PIECE_LAST : which - '0');
	p = find_signature(piece);
	if (which == 'r')
		return name_piece_trim((struct name_piece){ piece.from, p ? p : piece.end });
	while (p && name_piece_behind(p) && name_piece_behind(p) < piece.end)
		p = name_piece_behind(p);
	return name_piece_argument(name_piece_inside(piece, p), 0);
}

static struct name_piece follow(struct name_piece piece, const char *path)
{
	for (; *path; path++)
		piece = step(piece, *path);
	return piece;
}

static struct name_piece without_qualifiers(struct name_piece piece)
{
	piece = name_piece_trim(piece);
	while (piece.end > piece.from && piece.end[-1] == '&')
		piece = name_piece_trim((struct name_piece){ piece.from, piece.end - 1 });
	if (piece.end - piece.from > 6 && memcmp(piece.end - 6, " const", 6) == 0)
		piece.end -= 6;
	return piece;
}

/* Whether a type or value is nobody's: "int", "unsigned long", "5ul", "void (*)(int)". */
static bool is_builtin(struct name_piece piece)
{
	static const char *const words[] = { "void", "bool", "char", "wchar_t", "char8_t",
		"char16_t", "char32_t", "short", "int", "long", "unsigned", "signed", "float",
		"double", "__int128", "decltype", "true", "false" };
	size_t n = 0, length = (size_t)(piece.end - piece.from);

	if (length == 0 ||
		!(isalpha((unsigned char)*piece.from) || *piece.from == '_' || *piece.from == '(' ||
			*piece.from == '{' || (unsigned char)*piece.from >= 0x80) ||
		piece.end[-1] == '*' || find_signature(piece))
		return true;
	if (*piece.from == '(')
		return strncmp(piece.from, "(anonymous namespace)", 21) != 0;
	while (n < length && (isalnum((unsigned char)piece.from[n]) || piece.from[n] == '_'))
		n++;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strlen(words[i]) == n && memcmp(words[i], piece.from, n) == 0)
			return true;
	}
	return false;
}

static bool is_of_library(const char *text)
{
	return strncmp(text, "std::", 5) == 0 || strncmp(text, "__gnu_cxx::", 11) == 0;
}

/* The program's own thing in piece, from malloc; NULL: it is the library's, or nobody's. */
static char *unwrap(const struct callbacks *callbacks, struct name_piece piece)
{
	for (unsigned depth = 0; depth < DEPTH_MAX; depth++) {
		const char *path;
		char *text;

		piece = without_qualifiers(piece);
		if (is_builtin(piece))
			return NULL;
		text = strndup(piece.from, (size_t)(piece.end - piece.from));
		if (!text || !is_of_library(text))
			return text;
		path = find_path(callbacks->wrappers, wrappers, N_WRAPPERS, text);
		free(text);
		if (!path)
			return NULL;
		piece = follow(piece, path);
	}
	return NULL;
}

char *callbacks_name(const struct callbacks *callbacks, const char *function)
{
	struct name_piece rest = { function, function + strlen(function) };
	const char *path, *list;
	char *name = NULL;

	if (!is_of_library(function))
		return NULL;
	path = find_path(callbacks->callers, callers, N_CALLERS, function);
	/* The arguments of a class, then those of its member. */
	while (path && !name && (list = name_piece_find(rest, '<')) && name_piece_behind(list)) {
		name = unwrap(callbacks, follow(rest, path));
		rest.from = name_piece_behind(list);
	}
	return name;
}
