/*
 * prog_clean_cxx.cc - gives back all it takes: containers, strings, exceptions, aligned objects,
 * some of them destroyed by another thread.
 *
 *     prog_clean_cxx ROUNDS
 *
 * Aligned objects go back by one thread only: jemalloc 5.3.0 corrupts its heap by sized aligned
 * deletes in several.
 */
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>
#include "heapspy/heapspy.h"
#include "victim.h"

struct alignas(256) Wide {
	char bytes[512];
};

static std::mutex mutex;
static std::vector<std::unique_ptr<std::string>> shared;

SITE static void use_containers(uint64_t *seed)
{
	std::map<std::string, std::vector<int>> tree;
	std::unordered_map<int, std::list<std::string>> table;
	std::deque<std::shared_ptr<std::string>> queue;

	for (int i = 0; i < 100; i++) {
		std::string word(draw(seed) % 100, 'w');

		tree[word].push_back(i);
		table[i % 10].push_back(word);
		queue.push_back(std::make_shared<std::string>(word));
		std::function<size_t()> later = [word, word2 = word] {
			return word.size() + word2.size();
		};
		keep(reinterpret_cast<void *>(later()));
		if (i % 3 == 0)
			queue.pop_front();
	}
	try {
		throw std::runtime_error(std::string(300, 'x'));
	} catch (const std::exception &) {
	}
}

SITE static void use_aligned()
{
	std::vector<Wide> wide(3);
	auto one = std::make_unique<Wide>();

	wide.resize(10);
	keep(wide.data());
	keep(one.get());
	delete[] static_cast<Wide *>(keep(new Wide[2]));
}

SITE static void use_shared(uint64_t *seed)
{
	auto fresh = std::make_unique<std::string>(draw(seed) % 500, 's');
	std::lock_guard<std::mutex> lock(mutex);

	shared.push_back(std::move(fresh));
	if (shared.size() > 30)
		shared.erase(shared.begin() + long(draw(seed) % 30));
}

int main(int argc, char **argv)
{
	long rounds = argc > 1 ? atol(argv[1]) : 100;
	{
		std::vector<std::thread> threads;

		for (uint64_t number = 0; number < 2; number++)
			threads.emplace_back([=] {
				uint64_t seed = 3 + number;

				for (long i = 0; i < rounds; i++) {
					use_containers(&seed);
					use_shared(&seed);
				}
			});
		for (auto &thread : threads)
			thread.join();
		for (long i = 0; i < rounds; i++)
			use_aligned();
	}
	shared.clear();
	shared.shrink_to_fit();
	heapspy_snapshot("end");
}
