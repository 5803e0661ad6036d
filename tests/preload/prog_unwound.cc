/*
 * prog_unwound.cc - threads that are cancelled at all depths of functions whose destructors
 * allocate and free, in between exceptions that are thrown, caught and thrown on. Every object that
 * was made is destroyed, no lock is left held.
 *
 *     prog_unwound ROUNDS      {"rounds": N}; nothing in it depends on who is cancelled where
 */
#include <cerrno>
#include <cxxabi.h>
#include <memory>
#include <mutex>
#include <pthread.h>
#include <stdexcept>
#include <string>
#include <vector>
#include <unistd.h>
#include "victim.h"

#define N_THREADS 8

static std::mutex lock;
static long n_made, n_destroyed, n_caught, n_passed_on, n_cleaned;
static int never[2]; /* a pipe that nobody writes to */

static void count(long *what)
{
	__atomic_fetch_add(what, 1, __ATOMIC_RELAXED);
}

struct Guard {
	std::string text;
	std::vector<std::unique_ptr<char[]>> blocks;

	explicit Guard(int depth) : text(size_t(200 + depth), 'x')
	{
		for (int i = 0; i < 5; i++)
			blocks.emplace_back(new char[size_t(100 * i + 1)]);
		count(&n_made);
	}
	~Guard()
	{
		/* Allocates while the stack is unwound. */
		std::string more = text + text;
		blocks.emplace_back(new char[more.size()]);
		REQUIRE(more.size() == 2 * text.size());
		errno = 0;
		count(&n_destroyed);
	}
};

static thread_local std::unique_ptr<Guard> at_end;

static void clean_up(void *block)
{
	free(block);
	free(keep(malloc(300)));
	count(&n_cleaned);
}

SITE static void down(int depth, uint64_t *seed)
{
	Guard guard(depth);

	if (draw(seed) % 50 == 0)
		throw std::runtime_error(std::string(100, 'e'));
	{
		/* malloc and free are no cancellation points: the lock is given back. */
		std::lock_guard<std::mutex> hold(lock);
		free(keep(malloc(2000)));
	}
	pthread_testcancel();
	if (depth) {
		try {
			down(depth - 1, seed);
		} catch (const std::logic_error &) {
			REQUIRE(!"nobody throws that");
		} catch (const abi::__forced_unwind &) {
			free(keep(malloc(50)));
			count(&n_passed_on);
			throw;
		}
	} else if (draw(seed) % 4 == 0) {
		timespec moment = { 0, 20000 };
		nanosleep(&moment, nullptr);
	}
}

static void *work(void *number)
{
	uint64_t seed = 17 + uint64_t(uintptr_t(number));
	char byte;

	at_end = std::make_unique<Guard>(0);
	pthread_cleanup_push(clean_up, keep(malloc(1000)));
	for (int i = 0; i < 300; i++) {
		try {
			down(int(draw(&seed) % 20), &seed);
		} catch (const std::exception &e) {
			REQUIRE(std::string(e.what()) == std::string(100, 'e'));
			count(&n_caught);
		}
	}
	/* Who has come to the end waits here to be cancelled. */
	Guard last(1);
	REQUIRE(read(never[0], &byte, 1) < 0);
	pthread_cleanup_pop(1);
	return nullptr;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 10;
	uint64_t seed = 5;

	REQUIRE(!pipe(never));
	for (int round = 0; round < rounds; round++) {
		pthread_t threads[N_THREADS];

		for (long i = 0; i < N_THREADS; i++)
			REQUIRE(!pthread_create(&threads[i], nullptr, work,
				reinterpret_cast<void *>(round * 100 + i)));
		for (auto thread : threads) {
			sleep_s(double(draw(&seed) % 2000) * 1e-6);
			REQUIRE(!pthread_cancel(thread));
		}
		for (auto thread : threads) {
			void *result;
			REQUIRE(!pthread_join(thread, &result) && result == PTHREAD_CANCELED);
		}
		REQUIRE(lock.try_lock());
		lock.unlock();
		REQUIRE(n_made == n_destroyed);
	}
	REQUIRE(n_cleaned == rounds * N_THREADS && n_caught > 0);
	printf("{\"rounds\": %d}\n", rounds);
}
