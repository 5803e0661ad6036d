/*
 * symbols.h - addresses inside modules to functions, lines and inline frames.
 *
 * Use: add the modules, request every address, resolve once, look up. Nothing
 * is read before symbols_resolve(), which opens one module after the other and
 * looks at the addresses of each in order; a single address costs about as
 * much as a thousand neighbours. Requests may follow a resolve; the next
 * resolve then works on the new ones only.
 *
 * Names come from DWARF with its inline frames, else from .symtab, .dynsym or
 * .gnu_debugdata, else they are "module+0xoffset". Separate debug files are
 * found by build id and by .gnu_debuglink below /usr/lib/debug. Of what else
 * could be asked - living processes, names remembered from before, debuginfod
 * servers - nothing is used unless it is switched on below. Module files may be
 * hostile: what does not parse counts as absent.
 *
 * Not thread-safe. Every string and frame handed out belongs to the struct
 * symbols and lives until symbols_free().
 */
#ifndef HEAPSPY_SYMBOLS_SYMBOLS_H
#define HEAPSPY_SYMBOLS_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyzer/symbols/process.h"

struct symbols;

/* One frame as the source shows it; several share a physical frame after inlining. */
struct symbol_frame {
	const char *function; /* demangled, in full; never NULL */
	const char *file;     /* as the compiler wrote it, mostly absolute; NULL: unknown */
	uint32_t line;        /* 0: unknown */
	bool inlined;         /* true for all but the outermost of the physical frame */
	bool bare;            /* named by a symbol: what was inlined into it is not known */
};

/* What the snapshot says of a module. Copied by symbols_add_module(). */
struct symbol_module_ref {
	const char *path;        /* may be "[vdso]", end in " (deleted)", or be gone */
	const uint8_t *build_id; /* NULL when build_id_len is 0 */
	unsigned build_id_len;   /* bytes; more than SYMBOLS_BUILD_ID_MAX are cut */
};

enum { SYMBOLS_BUILD_ID_MAX = 64 };

/* The best that could be had of a module. symbols_source_text() words it. */
enum symbols_source {
	SYMBOLS_NOT_RESOLVED, /* symbols_resolve() has not been here */
	SYMBOLS_SPLIT,        /* as DWARF, but for some addresses it is in .dwo files, unread */
	SYMBOLS_DWARF,        /* functions, lines and inline frames */
	SYMBOLS_SYMTAB,       /* no debug info: functions only, also from .gnu_debugdata */
	SYMBOLS_DYNSYM,       /* no debug info: exported functions only */
	SYMBOLS_EMPTY,        /* the file holds no symbol at all */
	SYMBOLS_NO_FILE,      /* neither the module nor a debug file of its build id is here */
	SYMBOLS_OTHER_BUILD,  /* the file at the path has another build id */
	SYMBOLS_UNREADABLE,   /* the file at the path is no ELF file, or may not be read */
	SYMBOLS_NOT_BUILT_IN, /* this heapspy was built without libdw */
};

/* For "n of m addresses in libfoo.so have no symbols". */
struct symbols_report {
	const char *path;     /* as given */
	const char *build_id; /* hexadecimal; "" when the snapshot has none */
	unsigned n_addresses; /* distinct, requested and resolved */
	unsigned n_unnamed;   /* of these, shown as module+0xoffset */
	enum symbols_source source;
	const char *debug_link; /* its debug file by .gnu_debuglink, which was not found; or NULL */
	bool unverified;        /* named by a file without build id, taken by its path */
};

/* Returns NULL when out of memory. */
struct symbols *symbols_new(void);

/* NULL is fine. */
void symbols_free(struct symbols *symbols);

/*
 * Looks for separate debug files below root instead of /usr/lib/debug, from
 * the next resolve on. Returns 0 or -ENOMEM.
 */
int symbols_set_debug_root(struct symbols *symbols, const char *root);

/*
 * Looks for files, from the next resolve on, also as this process sees them,
 * while it lives: in its mount namespace, and those deleted since. Only files
 * of the module's build id are taken there. Up to three processes; more are
 * left out.
 */
void symbols_add_process(struct symbols *symbols, const struct process_id *id);

/*
 * Whether debug files that are not here may be fetched by debuginfod; it is
 * asked only where DEBUGINFOD_URLS is set. Not allowed at first.
 */
void symbols_allow_debuginfod(struct symbols *symbols, bool allowed);

/*
 * Remembers names in the directory at path (cache_dir_default_path() knows the
 * user's), and takes from there what the same files gave before. max_bytes: for
 * all files there, 0 for the usual 256 MiB. NULL: remembers nothing, as at
 * first. That a directory cannot be used is no error. Returns 0 or -ENOMEM.
 */
int symbols_set_cache(struct symbols *symbols, const char *path, uint64_t max_bytes);

/*
 * Called while symbols_resolve() works, from the start of each module on and
 * often: n_done of n_wanted addresses have names, module (a path as given) is at hand.
 */
typedef void (*symbols_progress_fn)(void *data, const char *module, size_t n_done, size_t n_wanted);
void symbols_set_progress(struct symbols *symbols, symbols_progress_fn progress, void *data);

/*
 * Returns a handle >= 0 for use below, the same one for the same path and
 * build id; -ENOMEM.
 */
int symbols_add_module(struct symbols *symbols, const struct symbol_module_ref *ref);

/*
 * Asks for an address. vaddr is an ELF virtual address of the module: run-time
 * pc minus load bias, and minus one already where the pc is a return address.
 * Repeating it is fine. Returns 0, or -ENOMEM.
 */
int symbols_request(struct symbols *symbols, int module, uint64_t vaddr);

/*
 * Resolves all that has been requested. Unusable files are no error: see
 * symbols_get_report(). Returns 0 or -ENOMEM; after an error some names may
 * have stayed module+0xoffset.
 */
int symbols_resolve(struct symbols *symbols);

/*
 * The source frames at vaddr, innermost first, *n_framesp >= 1 of them. Never
 * NULL; an address that was not resolved is one frame "module+0xoffset".
 */
const struct symbol_frame *symbols_lookup(
	struct symbols *symbols, int module, uint64_t vaddr, unsigned *n_framesp);

/* Number of modules; their handles are 0..n-1. */
unsigned symbols_module_count(const struct symbols *symbols);

/* Fills *reportp for a module. */
void symbols_get_report(const struct symbols *symbols, int module, struct symbols_report *reportp);

/* Why there is no better source, in a few words for a warning; NULL for SYMBOLS_DWARF. */
const char *symbols_source_text(enum symbols_source source);

#endif
