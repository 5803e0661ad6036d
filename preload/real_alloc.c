/*
 * real_alloc.c - owns finding the allocator behind us. Everything that libc's
 * malloc entry points need is here and in interpose_*.c, nowhere else.
 *
 * dlsym() may itself allocate (what holds the error of a missing symbol; on old
 * glibc each call; a dlsym() of the program's). Such requests, met by the thread
 * that is resolving, come out of a static arena that is never given back, until
 * malloc is found: the four functions that every allocator has are looked up
 * first, and serve the other look-ups. __libc_malloc is no substitute for the
 * next malloc: behind jemalloc or tcmalloc it is another heap.
 *
 * A block of the arena may be freed at any time, by a forked child too, and no
 * allocator may see it: where one was given out, free and its like look at the
 * address for good. Else the doors jump straight to the allocator's.
 *
 * An error text is dropped by the next look-up, never by dlerror(): that translates
 * it, under a lock that the caller of malloc may hold, as bindtextdomain() does.
 */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "preload/atomics.h"
#include "preload/compiler.h"
#include "preload/loaded_names.h"
#include "preload/log.h"
#include "preload/real_alloc.h"
#include "preload/rawsys.h"
#include "preload/thread_state.h"

#define BOOT_BYTES (64u << 10)
#define BOOT_ALIGN 16

static union {
	char bytes[BOOT_BYTES];
	max_align_t align;
} boot;
static size_t boot_used;

static enum { UNRESOLVED, RESOLVING, RESOLVED } progress;
static char next_object[512];

static const void *allocator; /* where the object of the next malloc begins */

static void *boot_alloc(size_t bytes, size_t align)
{
	size_t at, size, end;
	char *block;

	if (align < BOOT_ALIGN)
		align = BOOT_ALIGN;
	if (bytes > BOOT_BYTES || align > 4096)
		return NULL;
	size = (bytes + BOOT_ALIGN - 1) / BOOT_ALIGN * BOOT_ALIGN;
	at = hs_load_relaxed(&boot_used);
	do {
		uintptr_t start = (uintptr_t)boot.bytes + at + BOOT_ALIGN;

		start = (start + align - 1) / align * align;
		block = (char *)start;
		end = (size_t)(block - boot.bytes) + size;
		if (end > BOOT_BYTES) {
			log_verbose("the arena of the first moments is used up");
			return NULL;
		}
	} while (!hs_cas_relaxed(&boot_used, &at, end));
	((size_t *)block)[-1] = bytes; /* inside the BOOT_ALIGN bytes before the block */
	return block;
}

bool real_alloc_is_boot_block(const void *block)
{
	return (uintptr_t)block - (uintptr_t)boot.bytes < BOOT_BYTES;
}

size_t real_alloc_boot_size(const void *block)
{
	return ((const size_t *)block)[-1];
}

/* True when the caller is to be served by the arena: resolving is under way. */
static bool resolving(void)
{
	if (progress == RESOLVING)
		return true;
	real_alloc_resolve();
	return false;
}

static void *first_malloc(size_t n)
{
	return resolving() ? boot_alloc(n, 0) : real_alloc.malloc(n);
}

static void *first_calloc(size_t n, size_t size)
{
	size_t bytes;

	if (!resolving())
		return real_alloc.calloc(n, size);
	/* The arena is zero and each part of it is given out once. */
	return __builtin_mul_overflow(n, size, &bytes) ? NULL : boot_alloc(bytes, 0);
}

static void first_free(void *block)
{
	if (!resolving() && block && !real_alloc_is_boot_block(block))
		real_alloc.free(block);
}

static void *first_realloc(void *block, size_t n)
{
	void *moved;

	if (!resolving())
		return real_alloc.realloc(block, n);
	moved = boot_alloc(n, 0);
	if (moved && block && real_alloc_is_boot_block(block))
		memcpy(moved, block,
			n < real_alloc_boot_size(block) ? n : real_alloc_boot_size(block));
	return moved;
}

static void *first_memalign(size_t align, size_t n)
{
	return resolving() ? boot_alloc(n, align) : real_alloc.memalign(align, n);
}

static void *first_aligned_alloc(size_t align, size_t n)
{
	return resolving() ? boot_alloc(n, align) : real_alloc.aligned_alloc(align, n);
}

static int first_posix_memalign(void **blockp, size_t align, size_t n)
{
	void *block;

	if (!resolving())
		return real_alloc.posix_memalign(blockp, align, n);
	block = boot_alloc(n, align);
	if (!block)
		return ENOMEM;
	*blockp = block;
	return 0;
}

static void *first_valloc(size_t n)
{
	return resolving() ? boot_alloc(n, 4096) : real_alloc.valloc(n);
}

static void *first_pvalloc(size_t n)
{
	return resolving() ? boot_alloc(n, 4096) : real_alloc.pvalloc(n);
}

static size_t first_malloc_usable_size(void *block)
{
	return resolving() ? 0 : real_alloc.malloc_usable_size(block);
}

static void first_free_sized(void *block, size_t n)
{
	first_free(block);
}

static void first_free_aligned_sized(void *block, size_t align, size_t n)
{
	first_free(block);
}

/* glibc 2.35 */
int _dl_find_object(void *address, struct dl_find_object *result) __attribute__((weak));
/* Not in musl, where programs inherit LD_PRELOAD and must be able to start. */
__typeof__(dladdr1) dladdr1 __attribute__((weak));

struct real_alloc real_alloc = {
	.malloc = first_malloc,
	.free = first_free,
	.calloc = first_calloc,
	.realloc = first_realloc,
	.memalign = first_memalign,
	.aligned_alloc = first_aligned_alloc,
	.posix_memalign = first_posix_memalign,
	.valloc = first_valloc,
	.pvalloc = first_pvalloc,
	.malloc_usable_size = first_malloc_usable_size,
	.free_sized = first_free_sized,
	.free_aligned_sized = first_free_aligned_sized,
};

/* What was found: what the checking variants forward to. */
static struct real_alloc found;

static void checked_free(void *block)
{
	if (!real_alloc_is_boot_block(block))
		found.free(block);
}

static void *checked_realloc(void *old, size_t n)
{
	void *block;

	if (!real_alloc_is_boot_block(old))
		return found.realloc(old, n);
	block = found.malloc(n);
	if (block)
		memcpy(block, old, n < real_alloc_boot_size(old) ? n : real_alloc_boot_size(old));
	return block;
}

static void checked_free_sized(void *block, size_t n)
{
	if (!real_alloc_is_boot_block(block))
		found.free_sized(block, n);
}

static void checked_free_aligned_sized(void *block, size_t align, size_t n)
{
	if (!real_alloc_is_boot_block(block))
		found.free_aligned_sized(block, align, n);
}

/*
 * Stand-ins for members that the next allocator does not have: libc's would
 * mix two heaps, so they are made from what it has.
 */
static int made_posix_memalign(void **blockp, size_t align, size_t n)
{
	int saved_errno = errno;
	void *block;

	if (align % sizeof(void *) || !align || align & (align - 1))
		return EINVAL;
	block = real_alloc.memalign(align, n);
	errno = saved_errno;
	if (!block)
		return ENOMEM;
	*blockp = block;
	return 0;
}

static void *memalign_by_posix(size_t align, size_t n)
{
	void *block = NULL;
	int error;

	while (align < sizeof(void *) || align & (align - 1))
		align = align < sizeof(void *) ? sizeof(void *) : align + (align & -align);
	error = real_alloc.posix_memalign(&block, align, n);
	if (error)
		errno = error;
	return block;
}

static void *made_aligned_alloc(size_t align, size_t n)
{
	return real_alloc.memalign(align, n);
}

static void *made_valloc(size_t n)
{
	return real_alloc.memalign(4096, n);
}

static void *made_pvalloc(size_t n)
{
	size_t rounded = (n + 4095) & ~(size_t)4095;

	if (rounded < n) {
		errno = ENOMEM;
		return NULL;
	}
	return real_alloc.memalign(4096, rounded);
}

static size_t no_usable_size(void *block)
{
	return 0;
}

/*
 * To whose free the program's own calls go, which need not be ours: an allocator inside the
 * program may know malloc and free, but not these.
 */
static void made_free_sized(void *block, size_t n)
{
	free(block);
}

static void made_free_aligned_sized(void *block, size_t align, size_t n)
{
	free(block);
}

/*
 * A look-up in vain leaves an error text for the program's next dlerror(), and
 * memory behind it, which is of the program's heap; one that succeeds drops both.
 */
static void *look_up(void *handle, const char *name)
{
	void *symbol;

	if (!loaded_names_may_have(name))
		return NULL;
	symbol = dlsym(handle, name);
	if (!symbol)
		dlsym(RTLD_NEXT, "malloc");
	return symbol;
}

void *real_alloc_next(const char *name)
{
	return look_up(RTLD_NEXT, name);
}

bool real_alloc_is_defined(const char *name)
{
	return look_up(RTLD_DEFAULT, name) != NULL;
}

/* Does the file name begin like the soname, up to ".so"? Stops at the first that does. */
static int is_like_soname(struct dl_phdr_info *info, size_t bytes, void *soname)
{
	const char *base = strrchr(info->dlpi_name, '/');
	const char *end = strstr(soname, ".so");

	base = base ? base + 1 : info->dlpi_name;
	return end && !strncmp(base, soname, (size_t)(end + 3 - (char *)soname));
}

void *real_alloc_next_or_in(const char *name, const char *const *sonames)
{
	void *function = real_alloc_next(name), *library;

	for (; !function && *sonames; sonames++) {
		/* dlopen looks for one that is not there in all directories: 4 ms for 60 times. */
		if (!dl_iterate_phdr(is_like_soname, (void *)*sonames))
			continue;
		library = dlopen(*sonames, RTLD_LAZY | RTLD_NOLOAD);
		if (!library) {
			dlsym(RTLD_NEXT, "malloc"); /* as in look_up() */
			continue;
		}
		function = look_up(library, name);
		dlclose(library);
	}
	return function;
}

/*
 * Where the object begins that an address lies in; *pathp: its file as the loader names it.
 * dladdr() searches the object's symbols too, which was two thirds of a process's start.
 * Not by dl_iterate_phdr(), which ThreadSanitizer replaces, and we may be called while it starts.
 */
static const void *object_of(const void *address, const char **pathp)
{
	struct dl_find_object object;
	Dl_info info;

	*pathp = "";
	if (_dl_find_object && !_dl_find_object((void *)address, &object)) {
		*pathp = object.dlfo_link_map->l_name;
		return object.dlfo_map_start;
	}
	if (!dladdr(address, &info))
		return NULL;
	*pathp = info.dli_fname;
	return info.dli_fbase;
}

bool real_alloc_is_allocators(const void *function)
{
	const char *path;

	return allocator && object_of(function, &path) == allocator;
}

const char *real_alloc_path_of(const void *function)
{
	const char *path;

	object_of(function, &path);
	return path;
}

/* The next definition of name, if it is in the same object as the next malloc. */
static void *in_family(const char *name)
{
	void *function = real_alloc_next(name);

	return real_alloc_is_allocators(function) ? function : NULL;
}

/* As strncpy, which AddressSanitizer replaces by one that may not be called while it starts. */
static void copy_path(char *to, const char *path, size_t size)
{
	size_t length = strlen(path);

	memcpy(to, path, length < size ? length : size - 1);
}

void real_alloc_resolve(void)
{
	const char *path;
	uint8_t guard;
	void *f;

	if (progress != UNRESOLVED)
		return;
	progress = RESOLVING;
	guard = thread_state_enter(); /* what the loader allocates is not the program's */
#define RESOLVE(name, else_)                                                                       \
	((f = in_family(#name)) ? (found.name = (__typeof__(found.name))f) : (found.name = (else_)))
	found.malloc = (void *(*)(size_t))real_alloc_next("malloc");
	found.free = (void (*)(void *))real_alloc_next("free");
	found.calloc = (void *(*)(size_t, size_t))real_alloc_next("calloc");
	found.realloc = (void *(*)(void *, size_t))real_alloc_next("realloc");
	if (!found.malloc || !found.free || !found.calloc || !found.realloc) {
		static const char line[] = "heapspy: found no malloc behind libheapspy.so\n";

		/* Nothing to forward to: the program could not have run without us either. */
		rawsys(SYS_write, 2, line, sizeof(line) - 1);
		rawsys(SYS_exit_group, 127);
	}
	allocator = object_of((void *)found.malloc, &path);
	copy_path(next_object, path, sizeof(next_object));
	real_alloc.malloc = found.malloc;
	real_alloc.calloc = found.calloc;
	real_alloc.realloc = checked_realloc;
	real_alloc.free = checked_free;
	/* Any of these may be missing. The stand-ins call real_alloc's, once all is there. */
	RESOLVE(posix_memalign, made_posix_memalign);
	RESOLVE(memalign, memalign_by_posix);
	RESOLVE(aligned_alloc, made_aligned_alloc);
	RESOLVE(malloc_usable_size, no_usable_size);
	RESOLVE(valloc, made_valloc);
	RESOLVE(pvalloc, made_pvalloc);
	RESOLVE(free_sized, made_free_sized);
	RESOLVE(free_aligned_sized, made_free_aligned_sized);
#undef RESOLVE
	real_alloc = found;
	hs_store_release(&progress, RESOLVED);
	/* After that no block leaves the arena. */
	if (hs_load_relaxed(&boot_used)) {
		real_alloc.free = checked_free;
		real_alloc.realloc = checked_realloc;
		real_alloc.free_sized = checked_free_sized;
		real_alloc.free_aligned_sized = checked_free_aligned_sized;
	}
	thread_state_leave(guard);
}

const char *real_alloc_next_object(void)
{
	return next_object;
}

bool real_alloc_reaches_us(const char *name, const char **objectp)
{
	void *seen = look_up(RTLD_DEFAULT, name);
	const ElfW(Sym) *symbol = NULL;
	const char *path;
	Dl_info theirs;

	*objectp = "";
	if (!seen || object_of(seen, &path) == object_of((void *)real_alloc_reaches_us, &path) ||
		!dladdr1 || !dladdr1(seen, &theirs, (void **)&symbol, RTLD_DL_SYMENT))
		return true;
	/* A program that takes malloc's address lends it a PLT entry of its own: undefined there.
	 */
	if (symbol && symbol->st_shndx == SHN_UNDEF)
		return true;
	*objectp = theirs.dli_fname;
	return false;
}
