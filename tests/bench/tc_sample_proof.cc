/*
 * tc_sample_proof.cc - goes with libtcmalloc.so into a program and writes tcmalloc's own heap
 * sample to the file TC_SAMPLE_PROOF at the end: sampling leaves no file by itself, and a profiler
 * that silently did nothing would look cheap. The names are looked up, so that building this takes
 * no package.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string>
#include <unistd.h>

namespace
{

__attribute__((destructor)) void write_sample()
{
	using instance_function = void *(*)();
	using sample_function = void (*)(void *, std::string *);
	const char *path = getenv("TC_SAMPLE_PROOF");
	auto instance = reinterpret_cast<instance_function>(
		dlsym(RTLD_DEFAULT, "_ZN15MallocExtension8instanceEv"));
	auto sample = reinterpret_cast<sample_function>(dlsym(RTLD_DEFAULT,
		"_ZN15MallocExtension13GetHeapSampleEPNSt7__cxx1112basic_stringIcSt11char_"
		"traitsIcESaIcEEE"));
	std::string text;
	int fd;

	if (!path || !instance || !sample)
		return;
	sample(instance(), &text);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	if (write(fd, text.data(), text.size()) < 0)
		unlink(path);
	close(fd);
}

} // namespace
