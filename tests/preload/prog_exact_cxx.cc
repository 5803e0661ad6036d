/*
 * prog_exact_cxx.cc - every operator new and delete, at random, in THREADS threads, accounted for.
 *
 *     prog_exact_cxx THREADS OPERATIONS
 */
#include <new>
#include <thread>
#include <vector>
#include "heapspy/heapspy.h"
#include "sites.h"

using std::align_val_t;
using std::nothrow;
static const align_val_t page_quarter{ 1024 };

/* clang-format off */
SITE static void *new_scalar(void *, size_t n) { return keep(operator new(n)); }
SITE static void *new_array(void *, size_t n) { return keep(operator new[](n)); }
SITE static void *new_nothrow(void *, size_t n) { return keep(operator new(n, nothrow)); }
SITE static void *new_array_nothrow(void *, size_t n) { return keep(operator new[](n, nothrow)); }
SITE static void *new_aligned(void *, size_t n) { return keep(operator new(n, page_quarter)); }
SITE static void *new_array_aligned(void *, size_t n) { return keep(operator new[](n, page_quarter)); }
SITE static void *new_aligned_nothrow(void *, size_t n)
	{ return keep(operator new(n, page_quarter, nothrow)); }
SITE static void *new_array_aligned_nothrow(void *, size_t n)
	{ return keep(operator new[](n, page_quarter, nothrow)); }
/* clang-format on */

static struct site sites[] = { { "new_scalar", new_scalar }, { "new_nothrow", new_nothrow },
	{ "new_array", new_array }, { "new_array_nothrow", new_array_nothrow },
	{ "new_aligned", new_aligned }, { "new_aligned_nothrow", new_aligned_nothrow },
	{ "new_array_aligned", new_array_aligned },
	{ "new_array_aligned_nothrow", new_array_aligned_nothrow } };

/* kind: index in sites; way: which of the three deletes that fit it. */
static void release(unsigned kind, unsigned way, void *p, size_t n)
{
	bool array = kind & 2, aligned = kind & 4;

	switch (array << 4 | aligned << 3 | way) {
	/* clang-format off */
	case 0x00: operator delete(p); break;
	case 0x01: operator delete(p, n); break;
	case 0x02: operator delete(p, nothrow); break;
	case 0x08: operator delete(p, page_quarter); break;
	case 0x09: operator delete(p, n, page_quarter); break;
	case 0x0a: operator delete(p, page_quarter, nothrow); break;
	case 0x10: operator delete[](p); break;
	case 0x11: operator delete[](p, n); break;
	case 0x12: operator delete[](p, nothrow); break;
	case 0x18: operator delete[](p, page_quarter); break;
	case 0x19: operator delete[](p, n, page_quarter); break;
	default: operator delete[](p, page_quarter, nothrow); break;
		/* clang-format on */
	}
}

static void work(uint64_t seed, long n_operations)
{
	struct block {
		void *p;
		size_t bytes;
		unsigned kind;
	};
	auto slots = static_cast<block *>(calloc(1000, sizeof(block)));

	for (long i = 0; i < n_operations; i++) {
		block *b = &slots[draw(&seed) % 1000];

		if (b->p) {
			release(b->kind, unsigned(draw(&seed) % 3), b->p, b->bytes);
			site_death(&sites[b->kind], b->bytes);
		}
		b->bytes = draw(&seed) % 900;
		b->kind = unsigned(draw(&seed) % 8);
		b->p = sites[b->kind].make(nullptr, b->bytes);
		REQUIRE(b->p && (!(b->kind & 4) || uintptr_t(b->p) % 1024 == 0));
		site_birth(&sites[b->kind], b->bytes);
	}
	keep(slots);
}

int main(int argc, char **argv)
{
	long n_threads = argc > 1 ? atol(argv[1]) : 1;
	std::vector<std::thread> threads;

	if (n_threads == 1)
		work(5, atol(argv[2]));
	for (long i = 0; n_threads > 1 && i < n_threads; i++)
		threads.emplace_back(work, 5 + i, atol(argv[2]));
	for (auto &thread : threads)
		thread.join();
	heapspy_snapshot("end");
	sites_print(sites, 8);
}
