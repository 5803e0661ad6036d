/*
 * mutate_cfi.c - damaged frame information of the objects in this process, from a fixed
 * seed. First alone, in a buffer whose ends the sanitizers know; then behind an object that
 * is walked through, on stacks between pages that cannot be read: nothing is read outside,
 * everything ends, and the fast and the slow walk are of one opinion.
 *
 * An argument is another seed, for a longer search.
 */
#undef NDEBUG
#include <assert.h>
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "heapspy/snapshot.h"
#include "preload/cfi_rows.h"
#include "preload/unwind.h"
#include "tests/fuzz/exercise_cfi.h"
#include "tests/fuzz/mutate_cfi.h"
#include "tests/unit/tap.h"

#define N_MUTANTS         12000 /* of each object, alone */
#define N_WALKED          3000  /* of each object, walked through */
#define N_STACKS          4     /* of each of these */
#define N_OBJECTS_MAX     8
#define PAGE_BYTES        4096ul
#define FAKE_BYTES        (4 * PAGE_BYTES)
#define THREAD_BYTES      (1ul << 20)
#define SECTION_BYTES_MAX (1u << 20)

struct object {
	const char *name;
	uintptr_t bias, lo, hi; /* all that is mapped */
	struct cfi_section section;
	ElfW(Phdr) headers[16];
	unsigned n_headers;
};

static struct object objects[N_OBJECTS_MAX];
static unsigned n_objects;
static struct sample_rng rng;

static uintptr_t page_down(uintptr_t address)
{
	return address & ~(PAGE_BYTES - 1);
}

/* Keeps objects whose tables are of the usual form and not too large. */
static int visit(struct dl_phdr_info *info, size_t size, void *argument)
{
	struct object object = {
		.name = info->dlpi_name, .bias = info->dlpi_addr, .lo = UINTPTR_MAX
	};

	if (n_objects == N_OBJECTS_MAX || info->dlpi_phnum > HS_ARRAY_SIZE(object.headers))
		return 0;
	object.n_headers = info->dlpi_phnum;
	memcpy(object.headers, info->dlpi_phdr, info->dlpi_phnum * sizeof(object.headers[0]));
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *header = &info->dlpi_phdr[i];
		uintptr_t lo = info->dlpi_addr + header->p_vaddr, hi = lo + header->p_memsz;

		if (header->p_type == PT_GNU_EH_FRAME)
			object.section.hdr = (const uint8_t *)lo;
		if (header->p_type == PT_LOAD && lo < object.lo)
			object.lo = lo;
		if (header->p_type == PT_LOAD && hi > object.hi)
			object.hi = hi;
	}
	for (unsigned i = 0; i < info->dlpi_phnum && object.section.hdr; i++) {
		const ElfW(Phdr) *header = &info->dlpi_phdr[i];
		uintptr_t lo = info->dlpi_addr + header->p_vaddr;

		if (header->p_type == PT_LOAD &&
			(uintptr_t)object.section.hdr - lo < header->p_memsz) {
			object.section.lo = (const uint8_t *)lo;
			object.section.hi = (const uint8_t *)lo + header->p_memsz;
		}
	}
	if (!object.section.lo || memcmp(object.section.hdr, "\1\x1b\3\x3b", 4) != 0 ||
		object.section.hi - object.section.hdr > SECTION_BYTES_MAX)
		return 0;
	objects[n_objects++] = object;
	return 0;
}

/* In the damaged function or at its edges, or in another one. */
static uintptr_t choose_pc(const struct mutation *mutation, unsigned one_in)
{
	if (mutate_below(&rng, one_in) != 0)
		return mutation->others[mutate_below(&rng, OTHERS)];
	return mutation->pc + mutate_below(&rng, mutation->pc_bytes + 8ul) - mutate_below(&rng, 3);
}

/* From the header on, in memory of just that size: relative addresses move with it. */
static void test_alone(void)
{
	struct exercise_cfi_figures figures = { 0 };
	unsigned n_wrong = 0;

	for (unsigned i = 0; i < n_objects; i++) {
		size_t n_bytes = objects[i].section.hi - objects[i].section.hdr;
		uint8_t *bytes = malloc(n_bytes);
		struct cfi_section section = { bytes, bytes + n_bytes, bytes };
		struct mutation mutation;

		assert(bytes);
		memcpy(bytes, objects[i].section.hdr, n_bytes);
		for (unsigned round = 0; round < N_MUTANTS; round++) {
			struct cfi_section cut = section;

			mutate(&section, &rng, &mutation);
			if (mutate_below(&rng, 16) == 0)
				cut.hi -= mutate_below(&rng, n_bytes);
			for (unsigned k = 0; k < 6; k++)
				n_wrong += !exercise_cfi(
					&cut, choose_pc(&mutation, 1 + k % 2), &figures);
			if (round % 64 == 0) {
				struct cfi_fde fde;
				const uint8_t *end;
				uintptr_t lo, hi;

				cut.lo += mutate_below(&rng, 64);
				cfi_fde_scan(&cut, mutation.pc, false, &fde);
				cfi_table_extent(cut.lo, cut.hi > cut.lo ? cut.hi - cut.lo : 0,
					&end, &lo, &hi);
			}
			mutate_undo(&mutation);
		}
		CHECK(memcmp(bytes, objects[i].section.hdr, n_bytes) == 0);
		free(bytes);
	}
	printf("# %u objects: %lu entries, %lu with rules, %lu values\n", n_objects,
		figures.n_entries, figures.n_rules, figures.n_values);
	CHECK(n_wrong == 0);
	CHECK(figures.n_entries > N_MUTANTS && figures.n_rules > N_MUTANTS);
	CHECK(figures.n_values > 100);
}

/* The object that is walked through: a copy, none of whose code runs. */

static struct link_map copy_map;
static struct dl_find_object copy_loaded;
static struct cfi_section copy_section;

int _dl_find_object(void *pc, struct dl_find_object *result)
{
	static int (*real)(void *, struct dl_find_object *);

	if ((char *)pc >= (char *)copy_loaded.dlfo_map_start &&
		(char *)pc < (char *)copy_loaded.dlfo_map_end) {
		*result = copy_loaded;
		return 0;
	}
	if (!real)
		real = (int (*)(void *, struct dl_find_object *))dlsym(
			RTLD_NEXT, "_dl_find_object");
	return real(pc, result);
}

/* Of all that is mapped: memcpy() would be stopped at what ASan put between the objects in it. */
static void copy_bytes(char *to, uintptr_t from, size_t n_bytes)
{
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n_bytes) : : "memory");
}

/* Only what may be read can be: the ELF header, code, the segment of the tables. */
static void copy_object(const struct object *object)
{
	uintptr_t lo = page_down(object->lo);
	size_t n_bytes = page_down(object->hi + PAGE_BYTES - 1) - lo;
	char *copy =
		mmap(NULL, n_bytes + 2 * PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert(copy != MAP_FAILED);
	copy += PAGE_BYTES;
	for (unsigned i = 0; i < object->n_headers; i++) {
		const ElfW(Phdr) *header = &object->headers[i];
		uintptr_t start = object->bias + header->p_vaddr;
		uintptr_t first = page_down(start), end = start + header->p_filesz;
		bool tables = (const uint8_t *)start == object->section.lo;

		if (header->p_type != PT_LOAD || !(tables || header->p_flags & PF_X || first == lo))
			continue;
		assert(mprotect(copy + (first - lo), end - first, PROT_READ | PROT_WRITE) == 0);
		copy_bytes(copy + (start - lo), start, end - start);
	}
	copy_map.l_addr = object->bias + ((uintptr_t)copy - lo);
	copy_loaded.dlfo_map_start = copy + (object->lo - lo);
	copy_loaded.dlfo_map_end = copy + (object->hi - lo);
	copy_loaded.dlfo_link_map = &copy_map;
	copy_loaded.dlfo_eh_frame = copy + ((uintptr_t)object->section.hdr - lo);
	copy_section = (struct cfi_section){
		(const uint8_t *)copy + ((uintptr_t)object->section.lo - lo),
		(const uint8_t *)copy + ((uintptr_t)object->section.hi - lo),
		(const uint8_t *)copy + ((uintptr_t)object->section.hdr - lo),
	};
}

static void free_copy(void)
{
	char *start = (char *)page_down((uintptr_t)copy_loaded.dlfo_map_start) - PAGE_BYTES;
	char *end = (char *)page_down((uintptr_t)copy_loaded.dlfo_map_end + PAGE_BYTES - 1);

	munmap(start, end + PAGE_BYTES - start);
	copy_loaded = (struct dl_find_object){ 0 };
}

/* What stacks hold, and what they should not. */
static uint64_t stack_word(const struct mutation *mutation, uintptr_t lo)
{
	switch (mutate_below(&rng, 24)) {
	case 0:
		return lo + mutate_below(&rng, FAKE_BYTES + 64) - 32;
	case 1:
	case 2:
		return lo + mutate_below(&rng, FAKE_BYTES / 8) * 8;
	case 3:
		return lo + (mutate_below(&rng, 2) ? FAKE_BYTES : 0) - 16 +
		       8 * mutate_below(&rng, 4);
	case 4:
		return mutate_below(&rng, 5000);
	case 5:
		return sample_rng_next(&rng);
	default:
		return choose_pc(mutation, 3);
	}
}

struct result {
	unsigned n, approx_from;
	uint32_t flags;
	uint64_t words[UNWIND_DEPTH_MAX];
};

static void walk(struct unwind_scratch *scratch, const uint64_t *registers, bool slow,
	unsigned depth_max, struct result *result)
{
	memcpy(scratch->registers, registers, sizeof(scratch->registers));
	result->n = unwind_walk(
		scratch, UNWIND_CFI, slow, depth_max, &result->flags, &result->approx_from);
	memcpy(result->words, scratch->frames, result->n * sizeof(result->words[0]));
}

static unsigned long n_walks, n_frames, n_complete, n_differ;

static void print_result(const char *name, const struct result *result)
{
	printf("# %s: flags %#x, approximate from %u:", name, result->flags, result->approx_from);
	for (unsigned i = 0; i < result->n; i++)
		printf(" %#lx", result->words[i]);
	printf("\n");
}

/* Stacks of one mutant; words change from one to the next, as little as in a program. */
static void walk_stacks(const struct mutation *mutation, uintptr_t lo)
{
	static struct unwind_scratch kept, fresh;
	static struct result fast, slow;
	uint64_t *words = (uint64_t *)lo;

	for (unsigned i = 0; i < FAKE_BYTES / 8; i++)
		words[i] = stack_word(mutation, lo);
	for (unsigned i = 0; i < N_STACKS; i++) {
		uint64_t registers[CFI_N_REGISTERS];
		unsigned depth_max = mutate_below(&rng, 4) ? 100 : 1 + mutate_below(&rng, 300);

		for (unsigned reg = 0; reg < CFI_N_REGISTERS; reg++)
			registers[reg] = stack_word(mutation, lo);
		registers[CFI_RIP] = choose_pc(mutation, 2);
		registers[CFI_RSP] = lo + mutate_below(&rng, FAKE_BYTES / 8) * 8;
		if (mutate_below(&rng, 2))
			registers[CFI_RSP] = lo + FAKE_BYTES - 8 - mutate_below(&rng, 64) * 8;
		walk(&kept, registers, false, depth_max, &fast);
		walk(&fresh, registers, true, depth_max, &slow);
		n_walks++;
		n_frames += fast.n;
		n_complete += !(fast.flags & (HEAPSPY_STACK_CUT | HEAPSPY_STACK_TRUNCATED));
		if (fast.n != slow.n || fast.flags != slow.flags ||
			fast.approx_from != slow.approx_from ||
			memcmp(fast.words, slow.words, fast.n * sizeof(fast.words[0])) != 0) {
			if (n_differ++ == 0) {
				print_result("fast", &fast);
				print_result("slow", &slow);
			}
		}
		assert(fast.n <= depth_max && fast.n <= UNWIND_DEPTH_MAX);
		words[mutate_below(&rng, FAKE_BYTES / 8)] = stack_word(mutation, lo);
	}
}

/* The thread's own stack, whose lower part is where the made-up frames are. */
static void *walk_in_thread(void *thread_stack)
{
	char *foreign = mmap(
		NULL, FAKE_BYTES + 2 * PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const uintptr_t places[] = { (uintptr_t)thread_stack + THREAD_BYTES / 4,
		(uintptr_t)foreign + PAGE_BYTES };

	assert(foreign != MAP_FAILED &&
		mprotect(foreign + PAGE_BYTES, FAKE_BYTES, PROT_READ | PROT_WRITE) == 0);
	for (unsigned i = 0; i < n_objects; i++) {
		copy_object(&objects[i]);
		for (unsigned round = 0; round < N_WALKED; round++) {
			struct mutation mutation;

			mutate(&copy_section, &rng, &mutation);
			cfi_rows_flush();
			walk_stacks(&mutation, places[round % 2]);
			mutate_undo(&mutation);
		}
		CHECK(memcmp(copy_section.hdr, objects[i].section.hdr,
			      copy_section.hi - copy_section.hdr) == 0);
		free_copy();
	}
	munmap(foreign, FAKE_BYTES + 2 * PAGE_BYTES);
	return NULL;
}

static void test_walked_through(void)
{
	char *stack = mmap(
		NULL, THREAD_BYTES + 2 * PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_attr_t attributes;
	pthread_t thread;

	assert(stack != MAP_FAILED);
	stack += PAGE_BYTES;
	assert(mprotect(stack, THREAD_BYTES, PROT_READ | PROT_WRITE) == 0);
	pthread_attr_init(&attributes);
	assert(pthread_attr_setstack(&attributes, stack, THREAD_BYTES) == 0);
	assert(pthread_create(&thread, &attributes, walk_in_thread, stack) == 0);
	pthread_join(thread, NULL);
	pthread_attr_destroy(&attributes);
	munmap(stack - PAGE_BYTES, THREAD_BYTES + 2 * PAGE_BYTES);
	printf("# %lu stacks, %lu frames, %lu to an end\n", n_walks, n_frames, n_complete);
	CHECK(n_differ == 0);
	CHECK(n_frames > n_walks + n_walks / 4 && n_complete > n_walks / 100);
}

int main(int argc, char **argv)
{
	sample_rng_seed(&rng, argc > 1 ? strtoull(argv[1], NULL, 10) : 4);
	/* More kinds of tables, where they are. */
	dlopen("libstdc++.so.6", RTLD_NOW);
	dlopen("libgcc_s.so.1", RTLD_NOW);
	dl_iterate_phdr(visit, NULL);
	unwind_init(UNWIND_CFI);
	CHECK(n_objects > 2);
	TAP_RUN(test_alone);
	TAP_RUN(test_walked_through);
	return tap_done();
}
