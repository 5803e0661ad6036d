/*
 * prog_doors.c - calls each function that gives or takes memory a known number of times, from a
 * site of its own, and prints what it did. Functions that this process does not have are left out.
 *
 *     prog_doors
 *
 * make_NAME allocates by NAME and keeps; for one that resizes, prepare() made the block before.
 * give_NAME allocates what goes back by NAME: all of it before the first goes back, or a new
 * block at the address of an old one would hide that the old one's end was not seen.
 */
#include <dlfcn.h>
#include "heapspy/heapspy.h"
#include "victim.h"

typedef void *(*of_size)(size_t);
typedef void *(*of_two)(size_t, size_t);
typedef void *(*of_block)(void *, size_t);
typedef void *(*of_block_two)(void *, size_t, size_t);
typedef void *(*of_flags)(size_t, int);
typedef void *(*of_block_flags)(void *, size_t, int);
typedef size_t (*of_block_extra)(void *, size_t, size_t, int);
typedef int (*of_pointer)(void **, size_t, size_t);
typedef char *(*of_string)(const char *);
typedef char *(*of_string_size)(const char *, size_t);
typedef int (*of_format)(char **, const char *, ...);
typedef ssize_t (*of_file)(char **, size_t *, FILE *);
typedef void (*taker)(void *);
typedef void (*taker_size)(void *, size_t);
typedef void (*taker_two)(void *, size_t, size_t);
typedef void (*taker_flags)(void *, int);
typedef void (*taker_size_flags)(void *, size_t, int);

static char text[5000];

/* The n - 1 letters and the 0 that make n bytes. */
static const char *letters(size_t n)
{
	memset(text, 'a', sizeof(text));
	text[n - 1] = '\0';
	return text;
}

static FILE *line_of(size_t n)
{
	static FILE *file;

	if (!file)
		file = tmpfile();
	REQUIRE(file && !fseek(file, 0, SEEK_SET) && fputs(letters(n - 1), file) >= 0);
	REQUIRE(fputc('\n', file) == '\n' && !fseek(file, 0, SEEK_SET));
	return file;
}

/* clang-format off */
#define MAKE(name, type, call) \
	SITE static void *make_##name(void *door, void *old, size_t n) \
		{ type f = (type)door; void *p = NULL; p = (call); return keep(p); }
#define TAKE_FROM(name, given, type, call) \
	SITE static void *give_##name(size_t n) { return keep(given); } \
	static void take_##name(void *door, void *p, size_t n) { type f = (type)door; (call); }
#define TAKE(name, type, call) TAKE_FROM(name, malloc(n), type, call)

MAKE(malloc, of_size, f(n))
MAKE(calloc, of_two, f(1, n))
MAKE(realloc, of_block, f(old, n))
MAKE(reallocarray, of_block_two, f(old, 1, n))
MAKE(memalign, of_two, f(256, n))
MAKE(aligned_alloc, of_two, f(64, n))
MAKE(posix_memalign, of_pointer, f(&p, 32, n) ? NULL : p)
MAKE(valloc, of_size, f(n))
MAKE(pvalloc, of_size, f(n))
MAKE(strdup, of_string, f(letters(n)))
MAKE(strndup, of_string_size, f(letters(n), n - 1))
MAKE(asprintf, of_format, f((char **)&p, "%s", letters(n)) < 0 ? NULL : p)
MAKE(getline, of_file, f((char **)&p, &(size_t){ 0 }, old) < 0 ? NULL : p)
MAKE(mallocx, of_flags, f(n, 0))
MAKE(rallocx, of_block_flags, f(old, n, 0))
MAKE(xallocx, of_block_extra, f(old, n, 0, 0) < n ? NULL : old)
MAKE(reallocf, of_block, f(old, n))
MAKE(tc_malloc, of_size, f(n))
MAKE(tc_calloc, of_two, f(1, n))
MAKE(tc_realloc, of_block, f(old, n))
MAKE(tc_memalign, of_two, f(256, n))
MAKE(tc_posix_memalign, of_pointer, f(&p, 32, n) ? NULL : p)
MAKE(tc_valloc, of_size, f(n))
MAKE(tc_pvalloc, of_size, f(n))
MAKE(tc_new, of_size, f(n))
MAKE(mi_malloc, of_size, f(n))
MAKE(mi_calloc, of_two, f(1, n))
MAKE(mi_zalloc, of_size, f(n))
MAKE(mi_realloc, of_block, f(old, n))
MAKE(mi_memalign, of_two, f(256, n))
MAKE(mi_new, of_size, f(n))

TAKE(free, taker, f(p))
TAKE(cfree, taker, f(p))
TAKE(free_sized, taker_size, f(p, n))
TAKE_FROM(free_aligned_sized, aligned_alloc(64, n), taker_two, f(p, 64, n))
TAKE(realloc, of_block, keep(f(p, 2 * n)))
TAKE(reallocarray, of_block_two, keep(f(p, 2, n)))
TAKE(realloc_of_0, of_block, keep(f(p, 0)))
TAKE(dallocx, taker_flags, f(p, 0))
TAKE(sdallocx, taker_size_flags, f(p, n, 0))
TAKE(rallocx, of_block_flags, keep(f(p, 2 * n, 0)))
TAKE(vfree, taker, f(p))
TAKE(tc_free, taker, f(p))
TAKE(tc_cfree, taker, f(p))
TAKE(tc_free_sized, taker_size, f(p, n))
TAKE(tc_realloc, of_block, keep(f(p, 2 * n)))
TAKE(mi_free, taker, f(p))
TAKE(mi_cfree, taker, f(p))
TAKE(mi_free_size, taker_size, f(p, n))
TAKE(mi_realloc, of_block, keep(f(p, 2 * n)))
#define MAKER(name, old) { #name, make_##name, old }
#define TAKER(name, symbol) { #name, #symbol, give_##name, take_##name }
/* clang-format on */

enum old { FRESH, SMALLER, SAME, A_FILE };

static const struct {
	const char *name;
	void *(*make)(void *door, void *old, size_t n);
	enum old old;
} makers[] = { MAKER(malloc, FRESH), MAKER(calloc, FRESH), MAKER(realloc, SMALLER),
	MAKER(reallocarray, SMALLER), MAKER(memalign, FRESH), MAKER(aligned_alloc, FRESH),
	MAKER(posix_memalign, FRESH), MAKER(valloc, FRESH), MAKER(pvalloc, FRESH),
	MAKER(strdup, FRESH), MAKER(strndup, FRESH), MAKER(asprintf, FRESH), MAKER(getline, A_FILE),
	MAKER(mallocx, FRESH), MAKER(rallocx, SMALLER), MAKER(xallocx, SAME),
	MAKER(reallocf, SMALLER), MAKER(tc_malloc, FRESH), MAKER(tc_calloc, FRESH),
	MAKER(tc_realloc, SMALLER), MAKER(tc_memalign, FRESH), MAKER(tc_posix_memalign, FRESH),
	MAKER(tc_valloc, FRESH), MAKER(tc_pvalloc, FRESH), MAKER(tc_new, FRESH),
	MAKER(mi_malloc, FRESH), MAKER(mi_calloc, FRESH), MAKER(mi_zalloc, FRESH),
	MAKER(mi_realloc, SMALLER), MAKER(mi_memalign, FRESH), MAKER(mi_new, FRESH) };

#define N_GIVEN 40
static struct {
	const char *name, *symbol;
	void *(*give)(size_t n);
	void (*take)(void *door, void *p, size_t n);
	void *door, *given[N_GIVEN];
} takers[] = { TAKER(free, free), TAKER(cfree, cfree), TAKER(free_sized, free_sized),
	TAKER(free_aligned_sized, free_aligned_sized), TAKER(realloc, realloc),
	TAKER(reallocarray, reallocarray), TAKER(realloc_of_0, realloc), TAKER(dallocx, dallocx),
	TAKER(sdallocx, sdallocx), TAKER(rallocx, rallocx), TAKER(vfree, vfree),
	TAKER(tc_free, tc_free), TAKER(tc_cfree, tc_cfree), TAKER(tc_free_sized, tc_free_sized),
	TAKER(tc_realloc, tc_realloc), TAKER(mi_free, mi_free), TAKER(mi_cfree, mi_cfree),
	TAKER(mi_free_size, mi_free_size), TAKER(mi_realloc, mi_realloc) };

SITE static void *prepare(size_t n)
{
	return keep(malloc(n));
}

#define N_ELEMENTS(a) (sizeof(a) / sizeof((a)[0]))
#define CALLS(i)      (20 + (long)(i))

static void make_all(unsigned i)
{
	void *door = dlsym(RTLD_DEFAULT, makers[i].name), *old = NULL;
	size_t bytes = 0;

	for (long k = 0; door && k < CALLS(i); k++) {
		size_t n = 192 + 64 * i + (size_t)k;

		if (makers[i].old == SMALLER || makers[i].old == SAME)
			old = prepare(makers[i].old == SAME ? n : n / 4);
		else if (makers[i].old == A_FILE)
			old = line_of(n);
		REQUIRE(makers[i].make(door, old, n));
		bytes += n;
	}
	if (door)
		printf("%s\"%s\": [%ld, %zu]", i ? ", " : "", makers[i].name, CALLS(i), bytes);
}

static size_t given_bytes(unsigned i)
{
	return 2048 + 64 * i;
}

static void take_all(unsigned i)
{
	void *door = takers[i].door;

	for (unsigned k = 0; k < N_GIVEN; k++)
		if (door)
			takers[i].take(door, takers[i].given[k], given_bytes(i));
		else
			free(takers[i].given[k]);
	if (door)
		printf("%s\"%s\": %d", i ? ", " : "", takers[i].name, N_GIVEN);
}

int main(void)
{
	for (unsigned i = 0; i < N_ELEMENTS(takers); i++)
		takers[i].door = dlsym(RTLD_DEFAULT, takers[i].symbol);
	printf("{\"made\": {");
	for (unsigned i = 0; i < N_ELEMENTS(makers); i++)
		make_all(i);
	printf("}, \"taken\": {");
	for (unsigned i = 0; i < N_ELEMENTS(takers); i++)
		for (unsigned k = 0; k < N_GIVEN; k++)
			REQUIRE(takers[i].given[k] = takers[i].give(given_bytes(i)));
	for (unsigned i = 0; i < N_ELEMENTS(takers); i++)
		take_all(i);
	printf("}}\n");
	heapspy_snapshot("end");
	return 0;
}
