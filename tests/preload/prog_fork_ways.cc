/*
 * prog_fork_ways.cc - makes children in one way, many times, while threads allocate; each child
 * allocates, and does what the loader's and the unwinder's locks are for.
 *
 *     prog_fork_ways WAY CHILDREN THREADS BLOCKS [LIBRARY]
 *
 * WAY: fork, _Fork, SYS_fork, clone, clone3 (all with a memory of their own); again: fork, and the
 * child forks at once; atfork: an atfork handler of the child allocates and forks; exec: fork and
 * exec; vfork, vm, spawn, system, popen: children that share our memory, and exec or end. vfork
 * and vm allocate before.
 * Each child makes BLOCKS blocks in child_churn(). With LIBRARY it also throws, walks over the
 * loaded objects, and loads and unloads that library.
 * A child that takes longer than 20 s is killed and counted.
 *
 * Prints what the parent itself has made and keeps in functions that no child calls:
 * {"keep_here": [blocks, bytes], "hung": N, "wrong": N}
 */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdexcept>
#include <string>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "victim.h"

extern char **environ;

#define N_KEPT     100
#define HANG_S     20
#define CHILD_CODE 3

static long n_blocks, n_hung, n_wrong;
static const char *library;
static char *own_path;
static bool is_over;
static void *kept[N_KEPT];

SITE static void *keep_here(size_t n)
{
	return keep(malloc(n));
}

SITE static void child_churn(long n)
{
	void *blocks[16] = {};
	uint64_t seed = 77;

	for (long i = 0; i < n; i++) {
		void **b = &blocks[draw(&seed) % 16];

		free(*b);
		*b = keep(malloc(16 + draw(&seed) % 32));
	}
	for (void *b : blocks)
		free(b);
}

SITE static void *thread_churn(void *number)
{
	uint64_t seed = 1000 + (uint64_t)number;
	void *blocks[64] = {};

	/* With pauses: children need the processors too, and lib_bump.so gives nothing back. */
	for (long i = 1; !__atomic_load_n(&is_over, __ATOMIC_RELAXED); i++) {
		void **b = &blocks[draw(&seed) % 64];

		free(*b);
		*b = keep(malloc(draw(&seed) % 300));
		if (i % 100 == 0)
			sleep_s(0.002);
	}
	for (void *b : blocks)
		free(b);
	return nullptr;
}

SITE static void throw_deep(int depth)
{
	std::string text(50, 'x');

	if (!depth)
		throw std::runtime_error(text);
	throw_deep(depth - 1);
	keep(&text);
}

static int count_object(struct dl_phdr_info *, size_t, void *n)
{
	++*(int *)n;
	return 0;
}

/* All that takes a lock of the loader's or of the unwinder's. */
static void use_loader()
{
	int n_objects = 0;
	void *handle;

	try {
		throw_deep(6);
	} catch (const std::exception &e) {
		REQUIRE(e.what()[0] == 'x');
	}
	dl_iterate_phdr(count_object, &n_objects);
	REQUIRE(n_objects > 3);
	handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
	REQUIRE(handle && dlsym(handle, "frame_keep"));
	REQUIRE(!dlclose(handle));
}

static void work()
{
	child_churn(n_blocks);
	if (library)
		use_loader();
}

static void child()
{
	work();
	_exit(CHILD_CODE);
}

static int child_in_our_memory(void *)
{
	char *words[] = { own_path, (char *)"end", nullptr };

	work();
	execve(own_path, words, environ);
	_exit(99);
}

static pid_t make_by_clone3()
{
	struct clone_args args = {};

	args.exit_signal = SIGCHLD;
	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

static pid_t make(const std::string &way)
{
	static char stack[256 << 10] __attribute__((aligned(16)));
	char *words[] = { own_path, (char *)"end", nullptr };
	pid_t pid;

	if (way == "_Fork")
		return _Fork();
	if (way == "SYS_fork")
		return (pid_t)syscall(SYS_fork);
	if (way == "clone")
		return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (way == "clone3")
		return make_by_clone3();
	if (way == "vfork") {
		pid = vfork();
		if (!pid)
			child_in_our_memory(nullptr);
		return pid;
	}
	if (way == "vm")
		return clone(child_in_our_memory, stack + sizeof(stack),
			CLONE_VM | CLONE_VFORK | SIGCHLD, nullptr);
	if (way == "spawn") {
		REQUIRE(!posix_spawn(&pid, own_path, nullptr, nullptr, words, environ));
		return pid;
	}
	return fork();
}

/* Waits; the status, or -1 for one that had to be killed. */
static int wait_for(pid_t pid)
{
	double until_s = now_s() + HANG_S;
	int status;

	for (;;) {
		pid_t got = waitpid(pid, &status, WNOHANG);

		REQUIRE(got == 0 || got == pid || errno == EINTR);
		if (got == pid)
			return status;
		if (now_s() > until_s) {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			return -1;
		}
		sleep_s(0.0003);
	}
}

static void in_child_handler()
{
	static int depth;
	pid_t pid;

	child_churn(100);
	if (depth++)
		return;
	pid = fork();
	if (!pid)
		child();
	n_hung += wait_for(pid) < 0;
}

static bool is_right(int status)
{
	return WIFEXITED(status) && WEXITSTATUS(status) == CHILD_CODE;
}

static void have_child(const std::string &way)
{
	int status;
	pid_t pid;

	if (way == "system" || way == "popen") {
		std::string command = std::string(own_path) + " end";
		FILE *pipe = way == "popen" ? popen(command.c_str(), "r") : nullptr;

		status = pipe ? pclose(pipe) : system(command.c_str());
		n_wrong += !is_right(status);
		return;
	}
	pid = make(way);
	REQUIRE(pid >= 0);
	if (!pid && way == "exec")
		child_in_our_memory(nullptr);
	if (!pid && way == "again") {
		pid = fork();
		if (!pid)
			child();
		REQUIRE(is_right(wait_for(pid)));
		_exit(CHILD_CODE);
	}
	if (!pid)
		child();
	status = wait_for(pid);
	n_hung += status < 0;
	n_wrong += status >= 0 && !is_right(status);
}

int main(int argc, char **argv)
{
	pthread_t threads[64];
	long n_children, n_threads;
	std::string way;

	own_path = argv[0];
	if (argc == 2)
		return CHILD_CODE;
	REQUIRE(argc == 5 || argc == 6);
	way = argv[1];
	n_children = atol(argv[2]);
	n_threads = atol(argv[3]);
	n_blocks = atol(argv[4]);
	library = argv[5];
	REQUIRE(n_threads < 64);
	for (long i = 0; i < N_KEPT / 2; i++)
		kept[i] = keep_here(1000);
	if (way == "atfork")
		REQUIRE(!pthread_atfork(nullptr, nullptr, in_child_handler));
	for (long i = 0; i < n_threads; i++)
		REQUIRE(!pthread_create(&threads[i], nullptr, thread_churn, (void *)i));
	for (long i = 0; i < n_children; i++)
		have_child(way);
	__atomic_store_n(&is_over, true, __ATOMIC_RELAXED);
	for (long i = 0; i < n_threads; i++)
		pthread_join(threads[i], nullptr);
	for (long i = N_KEPT / 2; i < N_KEPT; i++)
		kept[i] = keep_here(1000);
	printf("{\"hung\": %ld, \"wrong\": %ld}\n", n_hung, n_wrong);
	return n_hung || n_wrong;
}
