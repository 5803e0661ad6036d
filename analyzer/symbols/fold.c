/*
 * fold.c - owns the list of functions that are never an answer to "who
 * allocates": one table, one row a family. Cutting names down to what the
 * rows are written for is left to name.c, whom a library calls to callback.c.
 */
#include "analyzer/symbols/fold.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/symbols/callback.h"
#include "analyzer/symbols/name.h"

enum kind {
	PREFIX, /* names that begin so; for prefixes that belong to one library */
	SCOPE,  /* members of this namespace or class, at any depth */
	REGEX,  /* POSIX extended; anchored at both ends by fold_new() */
};

struct rule {
	enum kind kind;
	const char *text; /* of a name_identity() */
};

static const struct rule rules[] = {
	/* C++: operators and the standard library, libc++ included. */
	{ REGEX, "operator (new|delete)(\\[\\])?" },
	{ SCOPE, "std" },
	{ SCOPE, "__gnu_cxx" },
	{ SCOPE, "__gnu_debug" },
	{ SCOPE, "__cxxabiv1" },
	{ REGEX, "__cxa_allocate_(dependent_)?exception" },
	{ REGEX, "absl::([a-z]+_?[0-9]+::)?(container_internal|inlined_vector_internal)::.*" },
	{ SCOPE, "boost::container" },

	/* The C library's allocator. __GI_ marks glibc's calls to itself. */
	{ REGEX, "(__GI_)?_*(libc_|int_|mid_)?(malloc|calloc|realloc|reallocarray|memalign|"
		 "aligned_alloc|posix_memalign|valloc|pvalloc|free|cfree|free_sized|"
		 "free_aligned_sized)(_check|_hook_ini|_consolidate|_info)?" },
	{ REGEX, "sysmalloc(_mmap)?|ptmalloc_init|arena_get2?|new_heap|grow_heap" },
	{ REGEX, "(maybe_init_)?tcache(_init|_get|_put|_malloc)?" },

	/* Its functions that hand out memory, and the buffers of stdio. */
	{ REGEX, "(__GI_)?_*(strdup|strndup|wcsdup|strdupa|v?asprintf|getline|getdelim|"
		 "open_w?memstream|fopen(64)?|fdopen|freopen(64)?|fmemopen|setvbuf)"
		 "(_chk|_internal|_unlocked)?" },
	{ PREFIX, "_IO_" },
	{ PREFIX, "__GI__IO_" },
	{ REGEX, "(__GI_)?_*(v?f?w?printf|v?dprintf|v?s?n?printf|v?f?w?scanf|puts|fputs|fputws|"
		 "putc|fputc|putchar|fwrite|fread|fgets|fgetws|getc|fgetc|getchar|ungetc|perror|"
		 "overflow|underflow|uflow|woverflow|wunderflow|wuflow)"
		 "(_chk|_internal|_unlocked)?" },
	{ REGEX, "outstring_func|pad_func|(helper|buffered)_vfw?printf" },

	/* What a new thread brings with it: its stack and its thread-local memory. */
	{ REGEX, "allocate_dtv|_dl_allocate_tls(_init|_storage)?|allocate_stack|"
		 "(__GI_)?_*(pthread_create|thrd_create)(_2_[0-9]+)?" },

	/* Wrappers that end the program rather than return NULL. */
	{ REGEX, "(sh_)?x+(malloc|calloc|realloc|reallocarray|zalloc|mallocz|malloc0|memalign|"
		 "nmalloc|nrealloc|2realloc|2nrealloc|charalloc|palloc|alloc|strdup|strndup|"
		 "memdup|v?asprintf)" },
	{ REGEX, "_?(safe_|s_|e|safe_e)(malloc|calloc|realloc|strdup|strndup)" },

	/* Allocators that come as libraries or are built in. */
	{ PREFIX, "je_" },
	{ SCOPE, "tcmalloc" },
	{ REGEX, "tc_(malloc|calloc|realloc|free|memalign|posix_memalign|valloc|pvalloc|cfree|"
		 "(new|newarray|delete|deletearray)(_aligned)?(_nothrow|_sized)*|"
		 "malloc_skip_new_handler)" },
	{ REGEX, "_?mi_(heap_)?(malloc|zalloc|calloc|realloc|reallocf|reallocn|mallocn|rezalloc|"
		 "recalloc|strdup|new|memalign|aligned_alloc|posix_memalign)"
		 "(_small|_aligned|_aligned_at|_n|_nothrow|_generic|_zero)*" },

	/* Programs and libraries with an allocator layer of their own. */
	{ REGEX, "g_(try_|aligned_)?(malloc|malloc0|realloc|alloc|alloc0)(_n)?" },
	{ REGEX, "g_(strdup|strndup|strdup_v?printf|v?asprintf|memdup2?)" },
	{ PREFIX, "g_slice_" },
	{ PREFIX, "g_string_" },
	{ REGEX, "g_(ptr_|byte_)?array_[a-z0-9_]+" },
	{ REGEX, "z(try)?(malloc|calloc|realloc|strdup)(_num|_usable|_usable_internal|_no_tcache|"
		 "_cache_aligned)?" },
	{ REGEX, "(hi_)?_?sds((try)?new(len)?|empty|dup|cat|catlen|catsds|catv?printf|catfmt|"
		 "catrepr|cpy|cpylen|growzero|MakeRoomFor(NonGreedy)?|RemoveFreeSpace|Resize|"
		 "fromlonglong|splitlen|splitargs|join|joinsds)" },
	{ REGEX, "Perl_safesys(malloc|calloc|realloc)" },
	{ REGEX, "os::(malloc|realloc|strdup|strdup_check_oom)|(All|Reall)ocateHeap" },
	{ REGEX, "JLI_(MemAlloc|MemRealloc|StringDup)" },
	{ REGEX, "(rpl)?_obstack_(newchunk|begin(_1|_worker)?)" },
	{ REGEX, "ggc_(internal_)?(cleared_)?(vec_)?alloc(_no_dtor)?|ggc_realloc" },
	{ REGEX, "llvm::SmallVector(Base|Impl|TemplateBase|TemplateCommon)::"
		 "(grow|grow_pod|mallocForGrow|growAndEmplaceBack|push_back|reserve|resize|"
		 "append|insert|assign)" },
	{ REGEX, "llvm::safe_(malloc|calloc|realloc)|llvm::allocate_buffer" },
	{ REGEX, "v8::internal::(AllocAtLeastWithRetry|AllocWithRetry|AlignedAllocWithRetry)|"
		 "v8::base::(Malloc|Calloc|Realloc|AllocateAtLeast|AlignedAlloc)" },
	{ REGEX, "_?Py(Mem|Object)_[A-Za-z_]*([Mm]alloc|[Cc]alloc|[Rr]ealloc|[Aa]lloc|Strdup)" },
	{ REGEX, "_?PyObject_(GC_)?(New|NewVar|Resize)|_?PyType_(GenericAlloc|AllocNoTrack)" },
	{ REGEX, "pymalloc_(alloc|realloc)|new_arena|allocate_from_new_pool|gc_alloc" },
	{ REGEX,
		"(re)?palloc(0|0fast|_extended|0_extended|_aligned|_huge)?|p(n?strdup|v?sprintf)" },
	{ REGEX, "MemoryContext(Alloc[A-Za-z]*|Strdup|Create)|pg_(malloc|malloc0|realloc|strdup)"
		 "(_extended)?" },
	{ REGEX, "(AllocSet|Generation|Slab|Bump)(Alloc|Realloc|ContextCreate)[A-Za-z]*" },
	{ REGEX, "sqlite3_?(Mem|Db|Page)?([Mm]alloc|[Rr]ealloc)(Zero|Raw|RawNN|OrFree|64)*" },
	{ REGEX, "sqlite3Db(StrDup|StrNDup|SpanDup)|mallocWithAlarm|db(MallocRaw|Realloc)Finish" },
	{ REGEX, "pcache1Alloc(Page)?" },
	{ REGEX, "CRYPTO_(secure_|clear_|aligned_)?(malloc|zalloc|calloc|realloc|strdup|strndup|"
		 "memdup|malloc_array|realloc_array)" },
	{ REGEX, "av_(fast_)?(malloc|mallocz|calloc|realloc|reallocp|strdup|strndup|memdup)"
		 "(_array|z_array|p_array|z|_f)?" },
	{ REGEX, "ngx_(alloc|calloc|palloc|pnalloc|pcalloc|memalign|pmemalign|create_pool|"
		 "palloc_(small|large|block))" },
	{ REGEX, "apr_(palloc|pcalloc|palloc_debug|pcalloc_debug|pstrdup|pstrndup|pmemdup)" },

	/* Rust: the allocator hooks, and the collections of the alloc crate. */
	{ PREFIX, "__rust_" },
	{ PREFIX, "__rdl_" },
	{ PREFIX, "__rg_" },
	{ SCOPE, "alloc::alloc" },
	{ SCOPE, "alloc::raw_vec" },
	{ SCOPE, "alloc::vec" },
	{ SCOPE, "alloc::string" },
	{ SCOPE, "alloc::str" },
	{ SCOPE, "alloc::fmt" },
	{ SCOPE, "alloc::boxed" },
	{ SCOPE, "alloc::rc" },
	{ SCOPE, "alloc::sync" },
	{ SCOPE, "alloc::slice" },
	{ SCOPE, "alloc::borrow" },
	{ SCOPE, "alloc::collections" },
	{ SCOPE, "alloc::ffi" },
	{ REGEX, "(str|\\[[^]]*\\])::[a-z_]+" },
	{ SCOPE, "core::iter" },
	{ SCOPE, "core::ops::function" },
	{ SCOPE, "hashbrown" },
};

/* Objects that are an allocator from end to end, by the start of their file name. */
static const char *const modules[] = { "libheapspy.so", "libjemalloc.so", "libtcmalloc.so",
	"libtcmalloc_", "libmimalloc.so" };

enum {
	N_RULES = sizeof(rules) / sizeof(rules[0]),
	N_MODULES = sizeof(modules) / sizeof(modules[0])
};

struct fold {
	bool nothing; /* --hide none; nothing below is set */
	bool has_user;
	regex_t user;
	struct callbacks *callbacks;
	unsigned n_compiled; /* rules[0..n_compiled) of kind REGEX are in compiled[] */
	regex_t compiled[N_RULES];
};

static bool starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

static int compile_anchored(regex_t *compiled, const char *text)
{
	char anchored[1024];

	if ((size_t)snprintf(anchored, sizeof(anchored), "^(%s)$", text) >= sizeof(anchored))
		return REG_ESPACE;
	return regcomp(compiled, anchored, REG_EXTENDED | REG_NOSUB);
}

struct fold *fold_new(const char *hide, char *error, size_t error_bytes)
{
	struct fold *fold = calloc(1, sizeof(*fold));
	char reason[128];
	int code;

	if (!fold) {
		snprintf(error, error_bytes, "out of memory");
		return NULL;
	}
	if (hide && strcmp(hide, "none") == 0) {
		fold->nothing = true;
		return fold;
	}
	for (; fold->n_compiled < N_RULES; fold->n_compiled++) {
		const struct rule *rule = &rules[fold->n_compiled];

		if (rule->kind == REGEX &&
			compile_anchored(&fold->compiled[fold->n_compiled], rule->text) != 0) {
			snprintf(error, error_bytes, "cannot compile '%s'", rule->text);
			fold_free(fold);
			return NULL;
		}
	}
	fold->callbacks = callbacks_new();
	if (!fold->callbacks) {
		snprintf(error, error_bytes, "out of memory");
		fold_free(fold);
		return NULL;
	}
	if (!hide)
		return fold;
	code = regcomp(&fold->user, hide, REG_EXTENDED | REG_NOSUB);
	if (code != 0) {
		regerror(code, &fold->user, reason, sizeof(reason));
		snprintf(error, error_bytes, "bad expression '%s': %s", hide, reason);
		fold_free(fold);
		return NULL;
	}
	fold->has_user = true;
	return fold;
}

void fold_free(struct fold *fold)
{
	if (!fold)
		return;
	for (unsigned i = 0; i < fold->n_compiled; i++) {
		if (rules[i].kind == REGEX)
			regfree(&fold->compiled[i]);
	}
	if (fold->has_user)
		regfree(&fold->user);
	callbacks_free(fold->callbacks);
	free(fold);
}

static bool matches(const struct fold *fold, size_t i, const char *identity)
{
	const char *text = rules[i].text;

	switch (rules[i].kind) {
	case PREFIX:
		return starts_with(identity, text);
	case SCOPE:
		return starts_with(identity, text) && starts_with(identity + strlen(text), "::");
	case REGEX:
		return regexec(&fold->compiled[i], identity, 0, NULL, 0) == 0;
	}
	return false;
}

/* As --focus does: in full, and as the rows show it. */
static bool user_hides(const struct fold *fold, const char *function)
{
	char *identity;
	bool hides;

	if (!fold->has_user || regexec(&fold->user, function, 0, NULL, 0) == 0)
		return fold->has_user;
	identity = name_identity(function);
	hides = identity && regexec(&fold->user, identity, 0, NULL, 0) == 0;
	free(identity);
	return hides;
}

bool fold_hides(const struct fold *fold, const char *function, const char *module)
{
	const char *slash = module ? strrchr(module, '/') : NULL;
	const char *file = slash ? slash + 1 : module;
	char *identity;
	bool hides = false;

	if (fold->nothing)
		return false;
	for (size_t i = 0; file && i < N_MODULES; i++) {
		if (starts_with(file, modules[i]))
			return true;
	}
	if (user_hides(fold, function))
		return true;
	identity = name_identity(function);
	for (size_t i = 0; i < N_RULES && identity && !hides; i++)
		hides = matches(fold, i, identity);
	free(identity);
	return hides;
}

char *fold_callback(const struct fold *fold, const char *function)
{
	char *name = fold->nothing ? NULL : callbacks_name(fold->callbacks, function);

	if (name && (user_hides(fold, function) || user_hides(fold, name))) {
		free(name);
		return NULL;
	}
	return name;
}
