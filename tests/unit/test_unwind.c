/*
 * test_unwind.c - each kind of frame in a program of known call graph: the walk
 * with reuse, the fresh and the slow one must be equal, must name the functions
 * that are there, and must equal libunwind and libgcc where those can do it.
 */
#undef NDEBUG
#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>
#include "heapspy/snapshot.h"
#include "tap.h"
#include "unwind_oracle.h"
#include "unwind_shapes.h"

#define PAGE_BYTES 4096

/* Which of the others a stack is compared with. */
enum expectation {
	OWN_ONLY = 0,
	WITH_LIBUNWIND = 1 << 0,
	WITH_LIBGCC = 1 << 1,
	WITH_BOTH = WITH_LIBUNWIND | WITH_LIBGCC,
};

/* unwind_nocfi.S */
void nocfi_call(uintptr_t rbp, leaf_function *leaf, void *argument);
void ud2_first(void);
leaf_function pass_to_leaf_compare;

static struct oracle oracle;
static enum expectation expected;
static unsigned n_walks, n_bad, n_printed;

leaf_function leaf_compare;

/* Walks here, and counts the stacks on which someone disagrees who should not. */
__attribute__((noinline)) void leaf_compare(void *argument)
{
	struct oracle *o = argument;
	bool bad;

	oracle_walk(o);
	bad = o->reuse_differs || o->slow_differs ||
	      ((expected & WITH_LIBUNWIND) && o->libunwind_differs) ||
	      ((expected & WITH_LIBGCC) && o->libgcc_differs);
	n_walks++;
	n_bad += bad;
	if (bad && n_printed++ < 3)
		oracle_print(o);
}

static void begin(enum expectation expectation)
{
	expected = expectation;
	oracle.own_only = expectation == OWN_ONLY;
	n_walks = n_bad = n_printed = 0;
}

/* Ends a series of walks: there were some, and none was bad. */
#define CHECK_WALKS()                                                                              \
	do {                                                                                       \
		CHECK(n_walks > 0);                                                                \
		CHECK(n_bad == 0);                                                                 \
	} while (0)

#define HAS_NAMES(stack, ...) oracle_has_names(stack, (const char *const[]){ __VA_ARGS__, NULL })

static bool is_complete(const struct oracle_stack *stack)
{
	return !(stack->flags & (HEAPSPY_STACK_CUT | HEAPSPY_STACK_TRUNCATED));
}

static void check_shapes(const struct shape *shapes)
{
	begin(WITH_BOTH);
	for (unsigned i = 0; i < N_SHAPES; i++) {
		for (unsigned size = 1; size < 40; size += 13) {
			shapes[i].run(size, leaf_compare, &oracle);
			CHECK(HAS_NAMES(&oracle.plain, "leaf_compare", shapes[i].name));
			CHECK(oracle.plain.flags == 0);
			CHECK(strcmp(oracle_name(&oracle.plain, oracle.plain.n_frames - 1),
				      "_start") == 0);
		}
	}
	CHECK_WALKS();
}

static void test_shapes_o2(void)
{
	check_shapes(shapes_o2);
}

static void test_shapes_o0(void)
{
	check_shapes(shapes_o0);
}

static void test_shapes_realigned(void)
{
	check_shapes(shapes_realign);
}

static void test_shapes_frame_pointers(void)
{
	check_shapes(shapes_fp);
}

static void test_tail_call_leaves_no_frame(void)
{
	begin(WITH_BOTH);
	shapes_o2[4].run(1, leaf_compare, &oracle);
	for (unsigned i = 0; i < oracle.plain.n_frames; i++)
		CHECK(strcmp(oracle_name(&oracle.plain, i), "tail_o2") != 0);
	CHECK_WALKS();
}

static void test_recursion_depths(void)
{
	begin(WITH_BOTH);
	for (unsigned depth = 1; depth <= 200; depth++) {
		unsigned n_recursive = 0;

		shapes_o2[1].run(depth, leaf_compare, &oracle);
		for (unsigned i = 0; i < oracle.plain.n_frames; i++)
			n_recursive += strcmp(oracle_name(&oracle.plain, i), "recursion_o2") == 0;
		CHECK(n_recursive == depth);
	}
	CHECK_WALKS();
}

/* A stack cut at some depth is the beginning of the whole one, in any order of depths. */
struct cut {
	struct unwind_scratch reused, fresh;
	unsigned seed;
};

leaf_function leaf_cut;

__attribute__((noinline)) void leaf_cut(void *argument)
{
	struct cut *cut = argument;
	unsigned depth_max = rand_r(&cut->seed) % (UNWIND_DEPTH_MAX + 20) + 1;
	unsigned limit = depth_max < UNWIND_DEPTH_MAX ? depth_max : UNWIND_DEPTH_MAX;
	unsigned n_whole, n[2], approx_from;
	uint32_t flags[2];

	/* Each call site is another pc of this function: frame 0 is left out. */
	memset(&cut->fresh, 0, sizeof(cut->fresh));
	n[0] = shim_capture(&cut->fresh, depth_max, &flags[0], &approx_from);
	n[1] = shim_capture(&cut->reused, depth_max, &flags[1], &approx_from);
	CHECK(n[0] == n[1] && flags[0] == flags[1]);
	CHECK(memcmp(cut->fresh.frames + 1, cut->reused.frames + 1, (n[0] - 1) * 8) == 0);
	memcpy(oracle.slow.words, cut->fresh.frames, n[0] * 8);
	n_whole = shim_capture_slow(&cut->fresh, UNWIND_DEPTH_MAX, &flags[1], &approx_from);
	CHECK(n[0] == (n_whole < limit ? n_whole : limit));
	CHECK(memcmp(oracle.slow.words + 1, cut->fresh.frames + 1, (n[0] - 1) * 8) == 0);
	if (n_whole < UNWIND_DEPTH_MAX)
		CHECK(!!(flags[0] & HEAPSPY_STACK_CUT) == (n_whole > limit));
	else
		CHECK(flags[0] & HEAPSPY_STACK_CUT);
}

static void test_depth_limit(void)
{
	static struct cut cut = { .seed = 7 };

	for (unsigned i = 0; i < 600; i++)
		shapes_o2[1].run(rand_r(&cut.seed) % 330 + 1, leaf_cut, &cut);
	CHECK(cut.reused.last_valid);
}

/*
 * A random tree of calls through functions of all shapes, with a walk at each
 * node: returns to other call sites, frames of other sizes at the same place.
 */
struct tree {
	struct oracle *oracle;
	unsigned seed, n_left, depth;
};

leaf_function tree_node;

__attribute__((noinline)) void tree_node(void *argument)
{
	static const struct shape *const builds[] = { shapes_o2, shapes_o0, shapes_realign,
		shapes_fp };
	struct tree *tree = argument;
	unsigned n_children = rand_r(&tree->seed) % 4;

	leaf_compare(tree->oracle);
	if (tree->depth == 14)
		return;
	tree->depth++;
	for (unsigned i = 0; i < n_children && tree->n_left > 0; i++) {
		const struct shape *shapes = builds[rand_r(&tree->seed) % 4];
		unsigned choice = rand_r(&tree->seed) % N_SHAPES;
		unsigned size = rand_r(&tree->seed) % (choice == 1 ? 6 : 200) + 1;

		tree->n_left--;
		if (rand_r(&tree->seed) % 2)
			shapes[choice].run(size, tree_node, tree);
		else
			shapes[choice].run(size + 1, tree_node, tree);
	}
	tree->depth--;
}

static void test_reuse_on_random_trees(void)
{
	struct tree tree = { .oracle = &oracle, .seed = 42 };

	begin(OWN_ONLY);
	for (unsigned i = 0; i < 400; i++) {
		tree.n_left = 100;
		tree_node(&tree);
		if (i % 50 == 0)
			shim_flush();
	}
	CHECK(n_walks > 5000);
	CHECK_WALKS();
	begin(WITH_BOTH);
	for (unsigned i = 0; i < 20; i++) {
		tree.n_left = 100;
		tree_node(&tree);
	}
	CHECK_WALKS();
}

/* Signal handlers. */

static void on_signal(int signal_number, siginfo_t *info, void *context)
{
	if (signal_number == SIGUSR1 && info->si_value.sival_int > 0)
		sigqueue(getpid(), SIGUSR2, (union sigval){ .sival_int = 0 });
	else
		leaf_compare(&oracle);
}

static void on_ud2(int signal_number, siginfo_t *info, void *context)
{
	ucontext_t *interrupted = context;

	leaf_compare(&oracle);
	interrupted->uc_mcontext.gregs[REG_RIP] += 2;
}

static void handle(int signal_number, void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags };

	assert(sigaction(signal_number, &action, NULL) == 0);
}

leaf_function raise_nested, raise_plain, run_ud2;

__attribute__((noinline)) void raise_plain(void *argument)
{
	sigqueue(getpid(), SIGUSR1, (union sigval){ .sival_int = 0 });
	__asm__ volatile("");
}

__attribute__((noinline)) void raise_nested(void *argument)
{
	sigqueue(getpid(), SIGUSR1, (union sigval){ .sival_int = 1 });
	__asm__ volatile("");
}

__attribute__((noinline)) void run_ud2(void *argument)
{
	ud2_first();
	__asm__ volatile("");
}

/* The index of the function, from the leaf on; UINT_MAX-like when it is not there. */
static unsigned index_of(const struct oracle_stack *stack, const char *name)
{
	for (unsigned i = 0; i < stack->n_frames; i++) {
		if (strcmp(oracle_name(stack, i), name) == 0)
			return i;
	}
	return ~0u;
}

static void check_signals(int flags, uint32_t stack_flags)
{
	unsigned at;

	begin(WITH_BOTH);
	handle(SIGUSR1, on_signal, flags);
	handle(SIGUSR2, on_signal, flags);
	handle(SIGILL, on_ud2, flags);
	for (unsigned i = 0; i < 3; i++) {
		shapes_o2[i].run(3, raise_plain, NULL);
		CHECK(index_of(&oracle.plain, "raise_plain") < index_of(&oracle.plain, "main"));
		CHECK(oracle.plain.flags == stack_flags);
		shapes_o2[i].run(3, raise_nested, NULL);
		CHECK(index_of(&oracle.plain, "raise_nested") < index_of(&oracle.plain, "main"));
		CHECK(oracle.plain.flags == stack_flags);
		shapes_o2[i].run(3, run_ud2, NULL);
		at = index_of(&oracle.plain, "ud2_first");
		CHECK(at != ~0u && oracle.plain.words[at] & HEAPSPY_FRAME_EXACT);
		CHECK(HEAPSPY_FRAME_PC(oracle.plain.words[at]) == (uintptr_t)ud2_first);
		CHECK(at + 1 == index_of(&oracle.plain, "run_ud2"));
	}
	CHECK_WALKS();
	signal(SIGUSR1, SIG_DFL);
	signal(SIGUSR2, SIG_DFL);
	signal(SIGILL, SIG_DFL);
}

static void test_signals(void)
{
	check_signals(SA_NODEFER, HEAPSPY_STACK_SIGNAL);
}

static void test_signals_on_alternate_stack(void)
{
	stack_t stack = { .ss_size = 256 << 10 }, off = { .ss_flags = SS_DISABLE };

	stack.ss_sp = mmap(
		NULL, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert(stack.ss_sp != MAP_FAILED && sigaltstack(&stack, NULL) == 0);
	check_signals(SA_NODEFER | SA_ONSTACK, HEAPSPY_STACK_SIGNAL | HEAPSPY_STACK_FOREIGN);
	assert(sigaltstack(&off, NULL) == 0 && munmap(stack.ss_sp, stack.ss_size) == 0);
}

/* Every instruction of a run, in a handler of the trap flag. */

static unsigned n_steps, n_guessed;
static volatile sig_atomic_t stepping;

static void on_trap(int signal_number, siginfo_t *info, void *context)
{
	ucontext_t *interrupted = context;
	bool bad;

	if (!stepping) {
		interrupted->uc_mcontext.gregs[REG_EFL] &= ~0x100;
		return;
	}
	n_steps++;
	oracle_walk(&oracle);
	bad = oracle.reuse_differs || oracle.slow_differs;
	/* Without frame information both guess, each in its own way. */
	if (oracle.plain.flags & HEAPSPY_STACK_APPROX)
		n_guessed++;
	else
		bad |= oracle.libunwind_differs;
	n_walks++;
	n_bad += bad;
	if (bad && n_printed++ < 3)
		oracle_print(&oracle);
}

leaf_function leaf_nothing;

__attribute__((noinline)) void leaf_nothing(void *argument)
{
	__asm__ volatile("");
}

static int compare_ints(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

int lazy_caller(void);

static void stepped_work(void)
{
	int numbers[] = { 3, 1, 2 };
	struct timespec now;

	for (unsigned i = 0; i < N_SHAPES; i++) {
		shapes_o2[i].run(2, leaf_nothing, NULL);
		shapes_realign[i].run(2, leaf_nothing, NULL);
		shapes_nocfi_fp[i].run(2, leaf_nothing, NULL);
	}
	clock_gettime(CLOCK_MONOTONIC, &now);
	qsort(numbers, 3, sizeof(numbers[0]), compare_ints);
	assert(lazy_caller() == 42);
}

extern leaf_function *lazy_leaf;
extern void *lazy_argument;

/* The binding of lazy_caller()'s call is part of it: nothing else calls that. */
static void test_every_instruction(void)
{
	begin(WITH_LIBUNWIND);
	oracle.without_libgcc = true;
	handle(SIGTRAP, on_trap, SA_NODEFER);
	stepping = 1;
	__asm__ volatile("pushfq\n\torq $0x100, (%%rsp)\n\tpopfq" ::: "memory", "cc");
	stepped_work();
	stepping = 0;
	__asm__ volatile("nop");
	signal(SIGTRAP, SIG_DFL);
	oracle.without_libgcc = false;
	printf("# %u instructions, %u in code without frame information\n", n_steps, n_guessed);
	CHECK(n_steps > 1000 && n_guessed < n_steps / 4);
	CHECK_WALKS();
}

static void test_lazy_binding(void)
{
	void *library = dlopen(LAZY_CALLER_2, RTLD_LAZY | RTLD_LOCAL);
	int (*caller)(void) = library ? (int (*)(void))dlsym(library, "lazy_caller") : NULL;
	unsigned resolver, binder;

	CHECK(caller != NULL);
	if (!caller)
		return;
	begin(WITH_BOTH);
	lazy_leaf = leaf_compare;
	lazy_argument = &oracle;
	CHECK(caller() == 42);
	lazy_leaf = NULL;
	/* leaf, resolver, the binder's functions, then the caller. */
	CHECK(n_walks == 1);
	resolver = index_of(&oracle.plain, "lazy_target");
	binder = index_of(&oracle.plain, "lazy_caller");
	CHECK(binder > 2 && binder < oracle.plain.n_frames);
	CHECK(resolver == 1 || resolver == ~0u);
	CHECK(is_complete(&oracle.plain));
	CHECK_WALKS();
}

static int compare_and_walk(const void *a, const void *b)
{
	leaf_compare(&oracle);
	return *(const int *)a - *(const int *)b;
}

static void test_callback_of_libc(void)
{
	int numbers[] = { 5, 2, 9, 1, 7, 3 };

	begin(WITH_BOTH);
	qsort(numbers, 6, sizeof(numbers[0]), compare_and_walk);
	CHECK(index_of(&oracle.plain, "main") < oracle.plain.n_frames);
	CHECK(is_complete(&oracle.plain));
	CHECK_WALKS();
}

/* Coroutines. */

static ucontext_t main_context, coroutine_context;
static char *coroutine_stack, *coroutine_top;

void coroutine_body(void);

void coroutine_body(void)
{
	shapes_o2[2].run(20, leaf_compare, &oracle);
	swapcontext(&coroutine_context, &main_context);
	/* A saved rbp at the very end of the stack, the return address behind it. */
	nocfi_call((uintptr_t)coroutine_top - 8, leaf_compare, &oracle);
	CHECK(oracle.plain.n_frames == 2);
	CHECK(oracle.plain.flags == (HEAPSPY_STACK_FOREIGN | HEAPSPY_STACK_TRUNCATED));
	shapes_o2[1].run(20, leaf_compare, &oracle);
	__asm__ volatile("");
}

static void test_coroutine(void)
{
	const size_t stack_bytes = 128 << 10;

	begin(WITH_LIBGCC);
	/* Nothing readable on either side. */
	coroutine_stack = mmap(
		NULL, stack_bytes + 2 * PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert(coroutine_stack != MAP_FAILED);
	assert(mprotect(coroutine_stack + PAGE_BYTES, stack_bytes, PROT_READ | PROT_WRITE) == 0);
	coroutine_top = coroutine_stack + PAGE_BYTES + stack_bytes;
	getcontext(&coroutine_context);
	coroutine_context.uc_stack.ss_sp = coroutine_stack + PAGE_BYTES;
	coroutine_context.uc_stack.ss_size = stack_bytes;
	coroutine_context.uc_link = &main_context;
	makecontext(&coroutine_context, coroutine_body, 0);
	for (unsigned i = 0; i < 2; i++) {
		swapcontext(&main_context, &coroutine_context);
		CHECK(oracle.plain.flags == HEAPSPY_STACK_FOREIGN);
		CHECK(index_of(&oracle.plain, "coroutine_body") < oracle.plain.n_frames);
		CHECK(index_of(&oracle.plain, "main") == ~0u);
		shapes_o2[1].run(3, leaf_compare, &oracle);
		CHECK(oracle.plain.flags == 0);
	}
	CHECK_WALKS();
	munmap(coroutine_stack, stack_bytes + 2 * PAGE_BYTES);
}

/* Threads. */

void *thread_entry(void *argument);

void *thread_entry(void *argument)
{
	shapes_o2[1].run(6, leaf_compare, argument);
	shapes_o0[2].run(6, leaf_compare, argument);
	return NULL;
}

static void test_small_threads(void)
{
	static struct oracle of_thread;
	pthread_attr_t attributes;

	begin(OWN_ONLY);
	pthread_attr_init(&attributes);
	assert(pthread_attr_setstacksize(&attributes, 16 << 10) == 0);
	for (unsigned i = 0; i < 20; i++) {
		pthread_t thread;

		of_thread = (struct oracle){ .own_only = true };
		assert(pthread_create(&thread, &attributes, thread_entry, &of_thread) == 0);
		pthread_join(thread, NULL);
		CHECK(of_thread.plain.flags == 0);
		CHECK(HAS_NAMES(&of_thread.plain, "leaf_compare", "variable_o0", "thread_entry"));
	}
	pthread_attr_destroy(&attributes);
	CHECK_WALKS();
}

static void *walk_in_thread(void *argument)
{
	for (unsigned i = 0; i < 300; i++)
		shapes_o2[i % N_SHAPES].run(i % 20 + 1, leaf_compare, argument);
	return NULL;
}

/* Several threads fill the shared cache while one flushes it. */
static void test_threads_share_the_cache(void)
{
	static struct oracle oracles[4];
	pthread_t threads[4];

	begin(OWN_ONLY);
	for (unsigned i = 0; i < 4; i++) {
		oracles[i].own_only = true;
		assert(pthread_create(&threads[i], NULL, walk_in_thread, &oracles[i]) == 0);
	}
	for (unsigned i = 0; i < 2000; i++)
		shim_flush();
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		CHECK(oracles[i].plain.flags == 0);
	}
	CHECK_WALKS();
}

/* Code without frame information. */

static void test_no_cfi_with_frame_pointers(void)
{
	begin(OWN_ONLY);
	for (unsigned i = 0; i < N_SHAPES; i++) {
		for (unsigned size = 1; size < 30; size += 7) {
			shapes_nocfi_fp[i].run(size, leaf_compare, &oracle);
			CHECK(HAS_NAMES(&oracle.plain, "leaf_compare", shapes_nocfi_fp[i].name));
			CHECK(index_of(&oracle.plain, "main") < oracle.plain.n_frames);
			CHECK(oracle.plain.flags == HEAPSPY_STACK_APPROX);
			/* leaf_compare and the first frame are certain. */
			CHECK(oracle.plain.approx_from == 2);
		}
	}
	CHECK_WALKS();
}

static void test_no_cfi_without_frame_pointers(void)
{
	begin(OWN_ONLY);
	for (unsigned i = 0; i < N_SHAPES; i++) {
		shapes_nocfi[i].run(3, leaf_compare, &oracle);
		CHECK(HAS_NAMES(&oracle.plain, "leaf_compare", shapes_nocfi[i].name));
		CHECK(oracle.plain.flags & (HEAPSPY_STACK_APPROX | HEAPSPY_STACK_TRUNCATED));
	}
	CHECK_WALKS();
}

/* Whatever rbp is, the walk stops in time, and says that it did. */
static void test_no_cfi_with_wild_frame_pointer(void)
{
	char *guarded = mmap(NULL, 2 * PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uintptr_t here = (uintptr_t)__builtin_frame_address(0), self;
	unsigned seed = 3;

	assert(guarded != MAP_FAILED && mprotect(guarded, PAGE_BYTES, PROT_READ | PROT_WRITE) == 0);
	__asm__("movq %%fs:0, %0" : "=r"(self));
	const uintptr_t wild[] = { 0, 1, 8, 4096, here + 4, here - 4096, here + (1 << 20),
		here + (8 << 20), (uintptr_t)guarded + PAGE_BYTES - 8, (uintptr_t)guarded, self,
		~7ul, 1ul << 63, 0x800000000000ul };

	begin(OWN_ONLY);
	for (unsigned i = 0; i < sizeof(wild) / sizeof(wild[0]); i++) {
		nocfi_call(wild[i], leaf_compare, &oracle);
		CHECK(HAS_NAMES(&oracle.plain, "leaf_compare", "nocfi_call"));
		CHECK(oracle.plain.n_frames == 2);
		CHECK(oracle.plain.flags == HEAPSPY_STACK_TRUNCATED);
	}
	/* Anywhere in the stack above: words that are no frames. */
	for (unsigned i = 0; i < 2000; i++) {
		leaf_function *leaf = i < 1000 ? leaf_compare : pass_to_leaf_compare;

		nocfi_call(here + rand_r(&seed) % 4000 / 8 * 8, leaf, &oracle);
		CHECK(index_of(&oracle.plain, "nocfi_call") == (i < 1000 ? 1 : 2));
	}
	/* A frame as it should be, with a return address that is one, and two that are none. */
	uintptr_t frame[2] = { 0, oracle.plain.words[2] & 0xffffffffffff };

	nocfi_call((uintptr_t)frame, leaf_compare, &oracle);
	CHECK(oracle.plain.n_frames == 3 && oracle.plain.approx_from == 2);
	/* The same frames but for rbp, which only the last one uses. */
	for (unsigned i = 0; i < 4; i++) {
		nocfi_call(i % 2 ? 8 : (uintptr_t)frame, pass_to_leaf_compare, &oracle);
		CHECK(oracle.plain.n_frames == (i % 2 ? 3 : 4));
	}
	frame[1]++;
	nocfi_call((uintptr_t)frame, leaf_compare, &oracle);
	CHECK(oracle.plain.n_frames == 2);
	frame[1] = (uintptr_t)&frame;
	nocfi_call((uintptr_t)frame, leaf_compare, &oracle);
	CHECK(oracle.plain.n_frames == 2);
	CHECK_WALKS();
	munmap(guarded, 2 * PAGE_BYTES);
}

/* Generated code: an anonymous mapping, with a table of its own and without. */

struct generated {
	unsigned char code[64];
	unsigned char table[128] __attribute__((aligned(8)));
};

static void put(unsigned char **p, uint64_t value, unsigned n_bytes)
{
	for (unsigned i = 0; i < n_bytes; i++)
		*(*p)++ = value >> (8 * i);
}

static struct generated *generate(void)
{
	/* push %rbx; sub $0x20,%rsp; mov %rdx,%rdi; call *%rsi; add $0x20,%rsp; pop %rbx; ret */
	static const unsigned char code[] = { 0x53, 0x48, 0x83, 0xec, 0x20, 0x48, 0x89, 0xd7, 0xff,
		0xd6, 0x48, 0x83, 0xc4, 0x20, 0x5b, 0xc3 };
	struct generated *generated = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char *p, *start;

	assert(generated != MAP_FAILED);
	memcpy(generated->code, code, sizeof(code));
	p = start = generated->table;
	/* CIE: version 1, no augmentation, code 1, data -8, ra 16; def_cfa rsp+8; ra at CFA-8. */
	put(&p, 20, 4);
	put(&p, 0, 4);
	put(&p, 1, 1);
	put(&p, 0, 1);
	put(&p, 1, 1);
	put(&p, 0x78, 1);
	put(&p, 16, 1);
	put(&p, 0x08070c, 3);
	put(&p, 0x0190, 2);
	put(&p, 0, 6);
	/* FDE: advance 1, offset 16, rbx at CFA-16; advance 4, offset 48. */
	put(&p, 28, 4);
	put(&p, p - start, 4);
	put(&p, (uintptr_t)generated->code, 8);
	put(&p, sizeof(code), 8);
	put(&p, 0x100e41, 3);
	put(&p, 0x0283, 2);
	put(&p, 0x300e44, 3);
	put(&p, 0, 28 - 4 - 16 - 8);
	put(&p, 0, 4);
	return generated;
}

void __register_frame(void *table);
void __deregister_frame(void *table);

static void test_registered_tables(void)
{
	struct generated *generated = generate();
	shape_function *run = (shape_function *)(void *)generated->code;

	begin(OWN_ONLY);
	run(0, leaf_compare, &oracle);
	CHECK(HEAPSPY_FRAME_MODULE(oracle.plain.words[1]) == 0);
	CHECK(oracle.plain.flags & (HEAPSPY_STACK_TRUNCATED | HEAPSPY_STACK_APPROX));
	CHECK_WALKS();

	__register_frame(generated->table);
	CHECK(shim_register(generated->table));
	begin(WITH_LIBGCC);
	run(0, leaf_compare, &oracle);
	CHECK(oracle.plain.flags == 0);
	CHECK(index_of(&oracle.plain, "main") < oracle.plain.n_frames);
	CHECK_WALKS();

	CHECK(shim_deregister(generated->table));
	CHECK(!shim_deregister(generated->table));
	__deregister_frame(generated->table);
	begin(OWN_ONLY);
	run(0, leaf_compare, &oracle);
	CHECK(oracle.plain.flags & (HEAPSPY_STACK_TRUNCATED | HEAPSPY_STACK_APPROX));
	CHECK_WALKS();
	for (unsigned i = 0; i < 2000; i++) {
		CHECK(shim_register(generated->table));
		CHECK(shim_deregister(generated->table));
	}
	munmap(generated, PAGE_BYTES);
}

/* Whatever a table says: no crash, and all walks agree on what it leads to. */
static void test_wrong_tables(void)
{
	struct generated *generated = generate();
	shape_function *run = (shape_function *)(void *)generated->code;
	unsigned char good[sizeof(generated->table)];
	unsigned seed = 11, n_complete = 0;

	memcpy(good, generated->table, sizeof(good));
	begin(OWN_ONLY);
	for (unsigned i = 0; i < 3000; i++) {
		unsigned n_changes = rand_r(&seed) % 3 + 1;

		for (unsigned j = 0; j < n_changes; j++) {
			/* The instructions of the FDE or the CIE; behind is nothing of this table.
			 */
			unsigned at = rand_r(&seed) % 4 ? 48 + rand_r(&seed) % 8
							: 13 + rand_r(&seed) % 11;

			generated->table[at] =
				rand_r(&seed) % 3 ? rand_r(&seed) % 0x20 : rand_r(&seed);
		}
		CHECK(shim_register(generated->table));
		run(i, leaf_compare, &oracle);
		n_complete += is_complete(&oracle.plain);
		CHECK(shim_deregister(generated->table));
		memcpy(generated->table, good, sizeof(good));
	}
	CHECK(n_complete > 0 && n_complete < 3000);
	CHECK_WALKS();
	munmap(generated, PAGE_BYTES);
}

/* Two libraries, one after the other at the same address. */
static void test_other_library_at_the_same_address(void)
{
	static const char *const paths[] = { MODULE_1, MODULE_2 };
	uintptr_t address[2] = { 0 };
	unsigned n_same = 0;

	begin(WITH_BOTH);
	for (unsigned i = 0; i < 20; i++) {
		void *library = dlopen(paths[i % 2], RTLD_NOW | RTLD_LOCAL);
		shape_function *run =
			library ? (shape_function *)dlsym(library, "module_function") : NULL;

		CHECK(run != NULL);
		if (!run)
			return;
		address[i % 2] = (uintptr_t)run;
		n_same += address[0] == address[1];
		run(i, leaf_compare, &oracle);
		CHECK(HAS_NAMES(&oracle.plain, "leaf_compare", "module_function"));
		CHECK(oracle.plain.flags == 0);
		shim_flush();
		dlclose(library);
		shim_flush();
		oracle_flush();
	}
	CHECK(n_same > 0);
	CHECK_WALKS();
}

static void test_footprint(void)
{
	/* 0, 1: rows compiled, rows known; 2: rows known, nothing remembered. */
	static const size_t limit_bytes[] = { 2048, 1024, 1024 };
	static struct unwind_scratch scratch;
	volatile unsigned n_rounds = 3;

	errno = 4711;
	for (unsigned i = 0; i < n_rounds; i++) {
		size_t used;

		/* It stays a loop, whose calls come from one pc: any i may be any. */
		__asm__ volatile("" : "+r"(i));
		scratch.last_valid &= i != 2;
		used = shim_stack_used(&scratch);
		printf("# %zu bytes of stack\n", used);
		CHECK(used < limit_bytes[i]);
	}
	CHECK(errno == 4711);
}

/* The mode is the process's, and the slow walk knows no modes. */
static void test_frame_pointer_mode(void)
{
	begin(OWN_ONLY);
	n_printed = 3;
	shim_init(UNWIND_FP);
	shim_flush();
	for (unsigned i = 0; i < N_SHAPES; i++) {
		shapes_fp[i].run(2, leaf_compare, &oracle);
		CHECK(!oracle.reuse_differs);
		CHECK(HAS_NAMES(&oracle.plain, "leaf_compare", shapes_fp[i].name));
		CHECK(index_of(&oracle.plain, "main") < oracle.plain.n_frames);
		CHECK(oracle.plain.flags & HEAPSPY_STACK_APPROX);
		CHECK(oracle.plain.approx_from == 0);
	}
	shim_init(UNWIND_CFI);
	shim_flush();
}

static void test_before_init(void)
{
	static struct unwind_scratch scratch;
	unsigned approx_from;
	uint32_t flags = 0;

	CHECK(shim_capture(&scratch, 10, &flags, &approx_from) == 0);
	CHECK(flags == HEAPSPY_STACK_TRUNCATED);
}

int main(void)
{
	if (!oracle_init())
		return 1;
	TAP_RUN(test_before_init);
	shim_init(UNWIND_CFI);
	TAP_RUN(test_shapes_o2);
	TAP_RUN(test_shapes_o0);
	TAP_RUN(test_shapes_realigned);
	TAP_RUN(test_shapes_frame_pointers);
	TAP_RUN(test_tail_call_leaves_no_frame);
	TAP_RUN(test_recursion_depths);
	TAP_RUN(test_depth_limit);
	TAP_RUN(test_reuse_on_random_trees);
	TAP_RUN(test_signals);
	TAP_RUN(test_signals_on_alternate_stack);
	TAP_RUN(test_lazy_binding);
	TAP_RUN(test_every_instruction);
	TAP_RUN(test_callback_of_libc);
	TAP_RUN(test_coroutine);
	TAP_RUN(test_small_threads);
	TAP_RUN(test_threads_share_the_cache);
	TAP_RUN(test_no_cfi_with_frame_pointers);
	TAP_RUN(test_no_cfi_without_frame_pointers);
	TAP_RUN(test_no_cfi_with_wild_frame_pointer);
	TAP_RUN(test_registered_tables);
	TAP_RUN(test_wrong_tables);
	TAP_RUN(test_other_library_at_the_same_address);
	TAP_RUN(test_footprint);
	TAP_RUN(test_frame_pointer_mode);
	return tap_done();
}
