/*
 * soak.cc - all that programs do to an allocator, at once and for long: eight threads, each in a
 * part of its own, which a timer interrupts whose handler allocates and frees. The first thread
 * watches that each of them goes on. To be run above lib_slots.so: other mallocs may not be called
 * from handlers.
 *
 *     soak SECONDS SEED LIBRARY_A LIBRARY_B      (of lib_frame.c: both come to the same address)
 *     soak end                                   what a child becomes by exec: allocates, throws
 *
 * Once a second one line of JSON on stdout: {"pid": P, "s": T, what was done, by kind}; at the end
 * one with "kept": [blocks, bytes] of kept_here(), which the seed alone decides.
 * What goes wrong ends it with code 99 and a line on stderr; a thread that stands still for STALL_S
 * with code 98, after a minute in which its stack can be looked at.
 */
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdexcept>
#include <string>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "heapspy/heapspy.h"
#include "tests/preload/victim.h"

extern char **environ;

#define PERIOD_NS      2000000 /* of each thread's timer */
#define STALL_S        90.0
#define CHILD_S        60.0
#define N_KEPT         3000
#define N_HANDLED      8
#define N_SHARED       (1u << 16) /* a power of two */
#define N_SHARED_BEGIN 2000.0
#define KEPT_BYTES_MAX 4096
#define CHILD_CODE     3

enum kind { ALLOCATE_0, ALLOCATE_1, ALLOCATE_2, LOAD, FORK, THREADS, CANCEL, SNAPSHOT, N_KINDS };

static const char *const kind_names[N_KINDS] = { "allocate_0", "allocate_1", "allocate_2", "load",
	"fork", "threads", "cancel", "snapshot" };

/* What was done. Any thread adds. */
static struct {
	long rounds[N_KINDS];
	long blocks, dlopens, throws, forks, fork_clones, vforks, execs, threads, cancelled,
		handled, snapshots;
} done;

static char **libraries;
static const char *own_path;
static double begun_s, seconds;
static uint64_t base_seed;
static bool is_over;
static pid_t thread_ids[N_KINDS];
/*
 * Held where threads are made and libraries loaded, and while children begin that will do that:
 * not every lock of the loader is made free by a fork.
 */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void count(long *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

static bool goes_on()
{
	return !__atomic_load_n(&is_over, __ATOMIC_RELAXED);
}

/* ---- blocks that tell whether somebody else has written into them */

struct block {
	uint32_t bytes, mark;
};

static block *marked(void *p, size_t bytes)
{
	block *b = (block *)keep(p);

	REQUIRE(b && (uintptr_t)b % 16 == 0);
	b->bytes = uint32_t(bytes);
	b->mark = uint32_t((uintptr_t)b >> 4) ^ b->bytes;
	((unsigned char *)b)[bytes - 1] = bytes > sizeof(*b) ? (unsigned char)bytes : b->mark >> 24;
	return b;
}

static block *looked_at(block *b)
{
	REQUIRE(b->mark == (uint32_t((uintptr_t)b >> 4) ^ b->bytes));
	REQUIRE(b->bytes == sizeof(*b) ||
		((unsigned char *)b)[b->bytes - 1] == (unsigned char)b->bytes);
	return b;
}

SITE static block *by_malloc(size_t n)
{
	return marked(malloc(n), n);
}

SITE static block *by_calloc(size_t n)
{
	return marked(calloc(1, n), n);
}

SITE static block *by_realloc(size_t n)
{
	block *b = looked_at(marked(malloc(n / 2 + 16), n / 2 + 16));

	return marked(realloc(b, n), n);
}

SITE static block *by_new(size_t n)
{
	return marked(operator new(n), n);
}

SITE static block *by_memalign(size_t n)
{
	block *b = marked(memalign(256, n), n);

	REQUIRE((uintptr_t)b % 256 == 0);
	return b;
}

SITE static block *by_posix_memalign(size_t n)
{
	void *p = nullptr;

	REQUIRE(!posix_memalign(&p, 64, n));
	return marked(p, n);
}

static block *made(uint64_t *seed)
{
	uint64_t random = draw(seed);
	/* Mostly small, now and then up to 64 KiB. */
	size_t n = 16 + random % (random >> 32 & 7 ? 500 : random >> 36 & 31 ? 4000 : 65000);

	count(&done.blocks);
	switch (random >> 60) {
	case 0:
		return by_memalign(n);
	case 1:
		return by_posix_memalign(n);
	case 2:
	case 3:
		return by_calloc(n);
	case 4:
	case 5:
	case 6:
		return by_realloc(n);
	case 7:
	case 8:
	case 9:
		return by_new(n);
	}
	return by_malloc(n);
}

/* ---- exceptions */

SITE static void throw_some(uint64_t *seed, int depth)
{
	std::string text(20 + draw(seed) % 100, 'x');

	if (depth == 0)
		throw std::runtime_error(text);
	throw_some(seed, depth - 1);
	keep(&text);
}

static void catch_some(uint64_t *seed)
{
	try {
		throw_some(seed, int(draw(seed) % 12));
	} catch (const std::exception &e) {
		REQUIRE(e.what()[0] == 'x');
		count(&done.throws);
	}
}

/* ---- signals: SIGPROF by timers, SIGUSR1 by the watching thread */

static thread_local block *in_handlers[N_HANDLED];
static thread_local unsigned turn;

/* One signal's handler may interrupt the other's at any instruction. */
SITE static void handler(int)
{
	int saved_errno = errno;
	unsigned n = __atomic_fetch_add(&turn, 1, __ATOMIC_RELAXED);
	block *b = by_malloc(16 + n % 500);

	b = __atomic_exchange_n(&in_handlers[n % N_HANDLED], b, __ATOMIC_ACQ_REL);
	if (b)
		free(looked_at(b));
	free(keep(realloc(keep(calloc(3, 100)), 700)));
	count(&done.handled);
	errno = saved_errno;
}

static timer_t start_timer()
{
	struct itimerspec period = { { 0, PERIOD_NS }, { 0, PERIOD_NS } };
	struct sigevent event = {};
	timer_t timer;

	event.sigev_notify = SIGEV_THREAD_ID;
	event.sigev_signo = SIGPROF;
	event._sigev_un._tid = gettid();
	REQUIRE(!timer_create(CLOCK_MONOTONIC, &event, &timer) &&
		!timer_settime(timer, 0, &period, nullptr));
	return timer;
}

/* ---- parts */

static block *shared[N_SHARED];

/* How many blocks live: grows for two thirds of the time, so that samples are thinned again. */
static uint64_t n_shared_now()
{
	double part = (now_s() - begun_s) / seconds * 1.5;

	return uint64_t(N_SHARED_BEGIN * pow(N_SHARED / N_SHARED_BEGIN, part < 1 ? part : 1));
}

/* Blocks are put where any thread may find and free them. */
static void allocate(uint64_t *seed)
{
	uint64_t n = n_shared_now();

	for (int i = 0; i < 500; i++) {
		block *b = made(seed);

		b = __atomic_exchange_n(&shared[draw(seed) % n], b, __ATOMIC_ACQ_REL);
		if (b)
			free(looked_at(b));
	}
	catch_some(seed);
	sched_yield();
}

typedef void *keep_function(size_t);

static void load_once(uint64_t *seed)
{
	void *library = dlopen(libraries[draw(seed) % 2], RTLD_NOW | RTLD_LOCAL);

	REQUIRE(library);
	free(((keep_function *)dlsym(library, "frame_keep"))(1000));
	catch_some(seed);
	REQUIRE(!dlclose(library));
	count(&done.dlopens);
}

static void load(uint64_t *seed)
{
	pthread_mutex_lock(&gate);
	for (int i = 0; i < 10; i++)
		load_once(seed);
	pthread_mutex_unlock(&gate);
	for (int i = 0; i < 100; i++)
		free(looked_at(made(seed)));
	sleep_s(0.002);
}

static void child_work(uint64_t *seed)
{
	block *blocks[16] = {};

	for (int i = 0; i < 300; i++) {
		block **b = &blocks[draw(seed) % 16];

		free(*b);
		*b = made(seed);
	}
	for (block *b : blocks)
		free(b);
	for (int i = 0; i < 3; i++)
		catch_some(seed);
}

/* For a child that shares our memory, too. */
static void become_end()
{
	char *words[] = { (char *)own_path, (char *)"end", nullptr };

	execve(own_path, words, environ);
	_exit(97);
}

SITE static pid_t vfork_and_exec()
{
	pid_t pid = vfork();

	if (!pid)
		become_end();
	return pid;
}

static void *thread_of_child(void *seed)
{
	uint64_t s = *(uint64_t *)seed + 1;

	child_work(&s);
	return nullptr;
}

/* by_fork: not by _Fork(), after which there can be no threads. */
static void child(uint64_t *seed, bool has_loader, bool by_fork)
{
	pthread_t thread;

	child_work(seed);
	if (has_loader && by_fork) {
		REQUIRE(!pthread_create(&thread, nullptr, thread_of_child, seed));
		REQUIRE(!pthread_join(thread, nullptr));
	}
	if (has_loader)
		load_once(seed);
	_exit(CHILD_CODE);
}

static void wait_for(pid_t pid, const char *way)
{
	double until_s = now_s() + CHILD_S;
	int status = 0;
	pid_t got;

	REQUIRE(pid > 0);
	while ((got = waitpid(pid, &status, WNOHANG)) != pid) {
		REQUIRE(got == 0 || errno == EINTR);
		if (now_s() > until_s) {
			fprintf(stderr, "soak: child %d by %s stands still\n", pid, way);
			sleep_s(60);
			_Exit(98);
		}
		sleep_s(0.0003);
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status) != CHILD_CODE) {
		fprintf(stderr, "soak: child %d by %s: status %#x\n", pid, way, status);
		_Exit(99);
	}
}

/* Children by fork() in any state of the other threads; those that load while nobody else does. */
static void fork_some(uint64_t *seed)
{
	unsigned way = draw(seed) % 6;
	bool has_gate = way == 1 || way == 2;
	pid_t pid;

	if (has_gate)
		pthread_mutex_lock(&gate);
	switch (way) {
	case 3:
		count(&done.vforks);
		pid = vfork_and_exec();
		break;
	case 2:
		count(&done.fork_clones);
		pid = _Fork();
		if (!pid)
			child(seed, true, false);
		break;
	default:
		count(&done.forks);
		pid = fork();
		if (!pid && way == 4) {
			child_work(seed);
			become_end();
		}
		if (!pid)
			child(seed, has_gate, true);
		break;
	}
	if (has_gate)
		pthread_mutex_unlock(&gate);
	if (way == 3 || way == 4)
		count(&done.execs);
	wait_for(pid, way == 2 ? "_Fork" : way == 3 ? "vfork" : "fork");
	sleep_s(0.02);
}

struct at_thread_end {
	block *b = nullptr;
	~at_thread_end()
	{
		if (b)
			free(looked_at(b));
		free(keep(malloc(100)));
	}
};

static thread_local at_thread_end last;

static void create(pthread_t *thread, void *(*run)(void *), void *argument)
{
	pthread_mutex_lock(&gate);
	REQUIRE(!pthread_create(thread, nullptr, run, argument));
	pthread_mutex_unlock(&gate);
}

static void *short_thread(void *argument)
{
	uint64_t seed = (uint64_t)(uintptr_t)argument;

	/* Its first use has its destructor called at the thread's end, which takes the loader's
	 * lock. */
	pthread_mutex_lock(&gate);
	last.b = by_malloc(16 + seed % 100);
	pthread_mutex_unlock(&gate);
	for (int i = 0; i < 20; i++)
		free(looked_at(made(&seed)));
	catch_some(&seed);
	if (seed % 2)
		pthread_exit(nullptr);
	return nullptr;
}

static void threads_some(uint64_t *seed)
{
	pthread_t threads[4];

	for (pthread_t &thread : threads)
		create(&thread, short_thread, (void *)(uintptr_t)(draw(seed) | 1ull << 40));
	for (pthread_t thread : threads)
		REQUIRE(!pthread_join(thread, nullptr));
	count(&done.threads);
	sleep_s(0.002);
}

/* Destroyed by the forced unwinding of a cancelled thread. */
struct account {
	long *destroyed;
	block *b;
	explicit account(long *counter, uint64_t *seed) : destroyed(counter), b(made(seed))
	{
	}
	~account()
	{
		free(looked_at(b));
		__atomic_fetch_add(destroyed, 1, __ATOMIC_RELAXED);
	}
};

struct to_cancel {
	uint64_t seed;
	long made, destroyed;
};

SITE static void until_cancelled(to_cancel *c, int depth)
{
	account a(&c->destroyed, &c->seed);

	__atomic_fetch_add(&c->made, 1, __ATOMIC_RELAXED);
	if (depth)
		until_cancelled(c, depth - 1);
	while (goes_on()) {
		free(looked_at(made(&c->seed)));
		catch_some(&c->seed);
		pthread_testcancel();
	}
}

static void *cancelled_thread(void *argument)
{
	to_cancel *c = (to_cancel *)argument;

	until_cancelled(c, int(c->seed % 8));
	return nullptr;
}

static void cancel_some(uint64_t *seed)
{
	to_cancel c = { draw(seed), 0, 0 };
	pthread_t thread;
	void *result = nullptr;

	create(&thread, cancelled_thread, &c);
	while (!__atomic_load_n(&c.made, __ATOMIC_RELAXED))
		sleep_s(0.0003);
	sleep_s(double(draw(seed) % 1000) * 2e-6);
	REQUIRE(!pthread_cancel(thread) && !pthread_join(thread, &result));
	REQUIRE((result == PTHREAD_CANCELED || !goes_on()) && c.made == c.destroyed);
	count(&done.cancelled);
}

static void snapshot(uint64_t *seed)
{
	heapspy_snapshot(draw(seed) % 8 ? nullptr : "soak");
	count(&done.snapshots);
	for (int i = 0; i < 2000; i++)
		free(looked_at(made(seed)));
	sleep_s(0.05 + double(draw(seed) % 1000) * 2e-4);
}

static void (*const parts[N_KINDS])(uint64_t *) = { allocate, allocate, allocate, load, fork_some,
	threads_some, cancel_some, snapshot };

static void *part(void *argument)
{
	long kind = (long)argument;
	uint64_t seed = base_seed * 1000 + uint64_t(kind) + 1;
	timer_t timer;

	__atomic_store_n(&thread_ids[kind], gettid(), __ATOMIC_RELEASE);
	timer = start_timer();
	while (goes_on()) {
		parts[kind](&seed);
		count(&done.rounds[kind]);
	}
	REQUIRE(!timer_delete(timer));
	__atomic_store_n(&thread_ids[kind], 0, __ATOMIC_RELEASE);
	return nullptr;
}

/* ---- the first thread */

static block *kept[N_KEPT];

SITE static void *kept_here(size_t n)
{
	return keep(malloc(n));
}

/* Bytes. */
static long keep_some()
{
	uint64_t seed = base_seed;
	long bytes = 0;

	for (block *&b : kept) {
		size_t n = 16 + draw(&seed) % KEPT_BYTES_MAX;

		b = marked(kept_here(n), n);
		bytes += long(n);
	}
	return bytes;
}

static void tell(const char *more)
{
	printf("{\"pid\": %d, \"s\": %.1f", getpid(), now_s() - begun_s);
	for (int i = 0; i < N_KINDS; i++)
		printf(", \"%s\": %ld", kind_names[i],
			__atomic_load_n(&done.rounds[i], __ATOMIC_RELAXED));
#define TELL(name) printf(", \"" #name "\": %ld", __atomic_load_n(&done.name, __ATOMIC_RELAXED))
	TELL(blocks);
	TELL(dlopens);
	TELL(throws);
	TELL(forks);
	TELL(fork_clones);
	TELL(vforks);
	TELL(execs);
	TELL(threads);
	TELL(cancelled);
	TELL(handled);
	TELL(snapshots);
	printf(", \"anonymous_kib\": %ld%s}\n", private_kib(), more);
	fflush(stdout);
}

/* Sends signals, and ends the program if a thread stands still. */
static void watch(pthread_t *threads)
{
	double moved_s[N_KINDS], now, tell_s = begun_s;
	long seen[N_KINDS] = {};

	for (double &s : moved_s)
		s = begun_s;
	while ((now = now_s()) < begun_s + seconds) {
		for (int i = 0; i < N_KINDS; i++) {
			long n = __atomic_load_n(&done.rounds[i], __ATOMIC_RELAXED);

			if (n != seen[i]) {
				seen[i] = n;
				moved_s[i] = now;
			}
			if (now > moved_s[i] + STALL_S) {
				fprintf(stderr, "soak: %s, thread %d, stands still\n",
					kind_names[i], thread_ids[i]);
				sleep_s(60);
				_Exit(98);
			}
			if (__atomic_load_n(&thread_ids[i], __ATOMIC_ACQUIRE))
				pthread_kill(threads[i], SIGUSR1);
		}
		if (now > tell_s) {
			tell("");
			tell_s += 1;
		}
		sleep_s(0.005);
	}
}

int main(int argc, char **argv)
{
	struct sigaction action = {};
	pthread_t threads[N_KINDS];
	char more[100];
	long bytes;

	own_path = argv[0];
	base_seed = argc > 2 ? strtoull(argv[2], nullptr, 10) : 1;
	if (argc == 2) {
		uint64_t seed = 5;

		child_work(&seed);
		return CHILD_CODE;
	}
	REQUIRE(argc == 5);
	seconds = atof(argv[1]);
	libraries = argv + 3;
	action.sa_handler = handler;
	action.sa_flags = SA_RESTART;
	REQUIRE(!sigaction(SIGPROF, &action, nullptr) && !sigaction(SIGUSR1, &action, nullptr));
	bytes = keep_some();
	begun_s = now_s();
	for (long i = 0; i < N_KINDS; i++)
		REQUIRE(!pthread_create(&threads[i], nullptr, part, (void *)i));
	watch(threads);
	__atomic_store_n(&is_over, true, __ATOMIC_RELAXED);
	for (pthread_t thread : threads)
		REQUIRE(!pthread_join(thread, nullptr));
	for (block *b : kept)
		looked_at(b);
	snprintf(more, sizeof(more), ", \"kept\": [%d, %ld]", N_KEPT, bytes);
	tell(more);
	return 0;
}
