/* lib_plugin.cc - a C++ plugin for prog_plugin.c: containers, exceptions, every kind of new. */
#include <map>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>
#include "victim.h"

extern "C" long plugin_run(long rounds);
extern "C" void *plugin_keep(size_t n);

SITE void *plugin_keep(size_t n)
{
	return keep(operator new(n));
}

long plugin_run(long rounds)
{
	volatile size_t huge = PTRDIFF_MAX / 2;
	std::map<std::string, std::vector<int>> map;
	long caught = 0;

	for (long i = 0; i < rounds; i++) {
		map[std::string(50, char('a' + i % 26))].push_back(int(i));
		std::unique_ptr<char[]> array(new char[100]);
		keep(array.get());
		operator delete (
			keep(operator new (64, std::align_val_t{ 64 })), std::align_val_t{ 64 });
		operator delete(keep(operator new(64, std::nothrow)), std::nothrow);
		try {
			if (i % 2)
				throw std::runtime_error(std::string(100, 'x'));
			keep(operator new(huge));
		} catch (const std::exception &) {
			caught++;
		}
	}
	return caught;
}
