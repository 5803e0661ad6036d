/*
 * prog_contract.c - calls each allocation function with sizes and alignments from sensible to
 * absurd, and tells what came of it: the result, errno, the usable size, where in its page the
 * block lies, what is in it. The same words are expected with and without a profiler.
 *
 *     prog_contract                 all of that
 *     prog_contract anywhere        without places and usable sizes
 *     prog_contract limit           the same, without address space to be had
 *     prog_contract where           addresses of many blocks; to be run without randomization
 *     prog_contract heap            what the allocator tells of itself
 */
#include <errno.h>
#include <malloc.h>
#include <sys/resource.h>
#include "victim.h"

#define MARK         123
#define MANY         20000
#define ROOM_BYTES   (48 * MIB)
#define MAPPED_BYTES (100 * KIB)

static const size_t sizes[] = { 0, 1, 8, 15, 16, 24, 25, 100, 1000, 1032, 1033, 4096, 65535, 131000,
	140000, MIB, 33 * MIB, (size_t)PTRDIFF_MAX - 4096, PTRDIFF_MAX, (size_t)PTRDIFF_MAX + 1,
	SIZE_MAX - 4096, SIZE_MAX - 15, SIZE_MAX };
static const size_t aligns[] = { 0, 1, 2, 3, 4, 7, 8, 12, 16, 17, 24, 32, 48, 64, 100, 4096, 5000,
	65536, MIB, 1ul << 40, 1ul << 62, 1ul << 63, (1ul << 63) + 1, SIZE_MAX };
static const size_t factors[][2] = { { 0, 0 }, { 0, SIZE_MAX }, { SIZE_MAX, 0 }, { 1, 100 },
	{ 100, 1 }, { 300, 7 }, { 4096, 100 }, { 1ul << 32, 1ul << 32 }, { 1ul << 33, 1ul << 31 },
	{ SIZE_MAX, 2 }, { 2, SIZE_MAX }, { SIZE_MAX / 2 + 1, 2 }, { PTRDIFF_MAX, 1 },
	{ 1, PTRDIFF_MAX }, { SIZE_MAX, SIZE_MAX } };

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

void cfree(void *) __attribute__((weak));
void free_sized(void *, size_t) __attribute__((weak));
void free_aligned_sized(void *, size_t, size_t) __attribute__((weak));

static void fill(unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (unsigned char)(i * 7 + 1);
}

static size_t n_kept(const unsigned char *p, size_t n)
{
	size_t i;

	for (i = 0; i < n && p[i] == (unsigned char)(i * 7 + 1); i++)
		;
	return i;
}

static size_t n_zero(const unsigned char *p, size_t n)
{
	size_t i;

	for (i = 0; i < n && !p[i]; i++)
		;
	return i;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/*
 * Where a block lies, how large the hole was that it got, and whether it could grow in place are
 * the same in each run, unless others were made before.
 */
static int is_place_known;
static int is_mapped_aligned;

/* To be called right after the call that it is about, whose errno it tells. */
static void tell(const char *what, void *p)
{
	int error = errno;

	printf("%s: %s", what, p ? "a block" : "NULL");
	if (p && is_place_known)
		printf(" at page+%lu", (uintptr_t)p & 4095);
	/* A block that is mapped by itself ends with a page, wherever its alignment begins. */
	if (p && is_place_known && !is_mapped_aligned)
		printf(", usable %zu", malloc_usable_size(p));
	printf(", errno %d\n", error);
}

/* What is larger than a page, or no power of two, an address is a multiple of by chance. */
static void tell_aligned(void *p, size_t align)
{
	if (p && align && align <= 4096 && !(align & (align - 1)))
		printf("aligned %d\n", (uintptr_t)p % align == 0);
	else if (p && align > 4096 && !(align & (align - 1)) && (uintptr_t)p % align)
		printf("not aligned\n");
}

static void tell_freed(const char *what)
{
	if (errno != MARK)
		printf("%s: errno %d\n", what, errno);
	errno = MARK;
}

static void *told(const char *what, void *p)
{
	tell(what, p);
	errno = MARK;
	return p;
}

static void plain(size_t n)
{
	unsigned char *p, *q;

	printf("size %zu\n", n);
	errno = MARK;
	p = told("malloc", keep(malloc(n)));
	free(p);
	tell_freed("free");
	p = told("calloc(1, n)", keep(calloc(1, n)));
	if (p)
		printf("zero %d\n", n_zero(p, n) == n);
	free(p);
	tell_freed("free");
	p = told("calloc(n, 1)", keep(calloc(n, 1)));
	if (p && cfree)
		cfree(p);
	else
		free(p);
	tell_freed("cfree");
	p = told("realloc(NULL, n)", keep(realloc(NULL, n)));
	if (p && free_sized)
		free_sized(p, n);
	else
		free(p);
	tell_freed("free_sized");
	p = told("valloc", keep(valloc(n)));
	free(p);
	tell_freed("free");
	p = told("pvalloc", keep(pvalloc(n)));
	free(p);
	tell_freed("free");
	for (size_t i = 0; i < N_OF(sizes); i++) {
		size_t m = sizes[i];

		p = keep(malloc(m));
		errno = MARK;
		if (!p)
			continue;
		fill(p, least(m, 70000));
		q = keep(realloc(p, n));
		printf("from %zu: %s, ", m,
			!is_place_known ? "anywhere"
			: q == p        ? "in place"
					: "elsewhere");
		told("realloc", q);
		if (q)
			printf("kept %d\n",
				n_kept(q, least(least(m, n), 70000)) == least(least(m, n), 70000));
		/* Size 0 has freed it; a failure has not. */
		else if (n)
			printf("kept %d\n", n_kept(p, least(m, 70000)) == least(m, 70000));
		free(q || !n ? q : p);
		tell_freed("free after realloc");
	}
}

static void products(const size_t *factor)
{
	void *p, *q;

	printf("%zu * %zu\n", factor[0], factor[1]);
	errno = MARK;
	p = told("calloc", keep(calloc(factor[0], factor[1])));
	free(p);
	p = told("reallocarray of NULL", keep(reallocarray(NULL, factor[0], factor[1])));
	free(p);
	p = keep(malloc(50));
	if (!p)
		return;
	fill(p, 50);
	errno = MARK;
	q = told("reallocarray", keep(reallocarray(p, factor[0], factor[1])));
	if (!q && factor[0] && factor[1])
		printf("kept %d\n", n_kept(p, 50) == 50);
	free(q || !(factor[0] && factor[1]) ? q : p);
	tell_freed("free");
}

static void aligned(size_t align, size_t n)
{
	void *p, *here = &here;
	int error;

	printf("align %zu, size %zu\n", align, n);
	is_mapped_aligned = n > MAPPED_BYTES && align > 4096;
	errno = MARK;
	p = told("memalign", keep(memalign(align, n)));
	tell_aligned(p, align);
	free(p);
	tell_freed("free");
	p = told("aligned_alloc", keep(aligned_alloc(align, n)));
	tell_aligned(p, align);
	if (p && free_aligned_sized)
		free_aligned_sized(p, align, n);
	else
		free(p);
	tell_freed("free_aligned_sized");
	p = here;
	error = posix_memalign(&p, align, n);
	printf("posix_memalign: %d, errno %d, %s\n", error, errno,
		p == here ? "pointer untouched" : "pointer set");
	if (p != here)
		told("posix_memalign", p);
	if (!error)
		free(p);
	errno = MARK;
}

static void contract(void)
{
	size_t i, k;

	errno = MARK;
	free(NULL);
	tell_freed("free(NULL)");
	printf("usable %zu\n", malloc_usable_size(NULL));
	for (i = 0; i < N_OF(sizes); i++)
		plain(sizes[i]);
	for (i = 0; i < N_OF(factors); i++)
		products(factors[i]);
	for (i = 0; i < N_OF(aligns); i++)
		for (k = 0; k < N_OF(sizes); k += k < 8 ? 3 : 1)
			aligned(aligns[i], sizes[k]);
}

/* Blocks until there are none, which is not told: how many that is depends on what else is mapped.
 */
static void exhaust(void)
{
	void *first = NULL, **block;

	for (;;) {
		errno = MARK;
		block = keep(malloc(5000));
		if (!block)
			break;
		*block = first;
		first = block;
	}
	printf("exhausted: errno %d\n", errno);
	/* Also of the smallest, so that none of what follows is served. */
	while ((block = keep(malloc(sizeof(void *))))) {
		*block = first;
		first = block;
	}
	errno = MARK;
	told("malloc", keep(malloc(1)));
	told("calloc", keep(calloc(3, 40)));
	told("realloc", keep(realloc(first, 9000)));
	told("memalign", keep(memalign(64, 1000)));
	told("valloc", keep(valloc(1)));
	while (first) {
		block = first;
		first = *block;
		free(block);
		tell_freed("free");
	}
	free(told("malloc again", keep(malloc(100))));
}

static void limit(void)
{
	struct rlimit room;
	unsigned long pages = 0;
	FILE *statm = fopen("/proc/self/statm", "r");

	REQUIRE(statm && fscanf(statm, "%lu", &pages) == 1);
	fclose(statm);
	room.rlim_cur = room.rlim_max = pages * 4096 + ROOM_BYTES;
	REQUIRE(!setrlimit(RLIMIT_AS, &room));
	exhaust();
	contract();
}

static void where(void)
{
	static void *blocks[1000];
	uint64_t seed = 11;

	for (int i = 0; i < MANY; i++) {
		void **slot = &blocks[draw(&seed) % N_OF(blocks)];
		/* What is mapped by itself lies where other mappings leave room. */
		size_t n = draw(&seed) % (draw(&seed) % 8 ? 600 : 60000);

		switch (draw(&seed) % 4) {
		case 0:
			*slot = keep(realloc(*slot, n));
			break;
		case 1:
			free(*slot);
			*slot = keep(calloc(1, n));
			break;
		case 2:
			free(*slot);
			*slot = keep(aligned_alloc(1ul << draw(&seed) % 9, n));
			break;
		default:
			free(*slot);
			*slot = keep(malloc(n));
		}
		printf("%p\n", *slot);
	}
	printf("%p\n", sbrk(0));
}

static void heap(void)
{
	struct mallinfo2 info;
	void *blocks[300];

	for (int round = 0; round < 2; round++) {
		info = mallinfo2();
		printf("arena %zu ordblks %zu smblks %zu hblks %zu hblkhd %zu fsmblks %zu uordblks "
		       "%zu fordblks %zu keepcost "
		       "%zu\n",
			info.arena, info.ordblks, info.smblks, info.hblks, info.hblkhd,
			info.fsmblks, info.uordblks, info.fordblks, info.keepcost);
		malloc_info(0, stdout);
		malloc_stats();
		for (int i = 0; i < 300; i++)
			blocks[i] = keep(malloc((size_t)i * 100));
		for (int i = 0; i < 300; i += 2)
			free(blocks[i]);
	}
	printf("trimmed %d\n", malloc_trim(0));
	printf("mallopt %d %d\n", mallopt(M_MMAP_THRESHOLD, 5000), mallopt(M_PERTURB, 85));
	printf("perturbed %d\n", *(unsigned char *)keep(malloc(700)));
	printf("%d\n", mallinfo2().hblks == (keep(malloc(6000)), mallinfo2().hblks) - 1);
}

int main(int argc, char **argv)
{
	static char buffer[1 << 16]; /* else stdio allocates one */
	const char *mode = argc > 1 ? argv[1] : "";

	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	is_place_known = !mode[0];
	if (!mode[0] || !strcmp(mode, "anywhere"))
		contract();
	else if (!strcmp(mode, "limit"))
		limit();
	else if (!strcmp(mode, "where"))
		where();
	else
		heap();
	return 0;
}
