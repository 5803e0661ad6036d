/*
 * prog_leak_cxx.cc - as prog_leak.c, through std::map, std::vector and std::string.
 *
 *     prog_leak_cxx SECONDS
 */
#include <map>
#include <string>
#include <unordered_map>
#include <vector>
#include "heapspy/heapspy.h"
#include "victim.h"

static const unsigned steps = 3000;
static const size_t leak_bytes = 30 * MIB, churn_bytes = 3000 * MIB;
static const unsigned cache_slots = 4096;
static uint64_t seed = 1;

class SessionStore
{
	using Map = std::map<unsigned, std::vector<char>>;
	Map sessions;

      public:
	size_t bytes = 0;

	SITE void put(size_t n)
	{
		sessions.emplace(unsigned(sessions.size()), std::vector<char>(n));
		bytes += n + sizeof(std::_Rb_tree_node<Map::value_type>);
	}
};

static std::unordered_map<unsigned, std::string> cache;

SITE static void cache_refill(unsigned slot)
{
	cache[slot] = std::string(16 * KIB - 1, 'c');
}

SITE static size_t parse_message()
{
	std::string message(16 + draw(&seed) % 4000, 'm');
	std::vector<std::string> words;

	words.push_back(message);
	keep(words.data());
	return 2 * message.capacity() + sizeof(std::string);
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 0;
	static SessionStore store;
	size_t churned = 0;

	for (unsigned i = 0; i < cache_slots; i++)
		cache_refill(i);
	heapspy_snapshot("begin");
	double start_s = now_s();
	for (unsigned step = 1; step <= steps; step++) {
		while (store.bytes < leak_bytes / steps * step)
			store.put(24 + draw(&seed) % 2000);
		while (churned < churn_bytes / steps * step)
			churned += parse_message();
		cache_refill(step % cache_slots);
		sleep_s(start_s + seconds * step / steps - now_s());
	}
	heapspy_snapshot("end");
	printf("{\"growth\": %zu, \"function\": \"SessionStore::put\"}\n", store.bytes);
	return 0;
}
