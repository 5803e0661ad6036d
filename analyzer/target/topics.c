/* topics.c - owns the texts of the help topics. */
#include "analyzer/target/topics.h"

#include <string.h>

const struct topic topics[] = {
	{ "static", "programs that cannot be preloaded, and what to do",
		"heapspy enters a program through the dynamic loader: LD_PRELOAD puts its malloc\n"
		"before libc's. A statically linked program has no loader. Its calls were bound\n"
		"when it was linked, and nothing that is done at its start can change them.\n"
		"\n"
		"How to tell:\n"
		"  heapspy doctor -- ./api    says what kind of program it is\n"
		"  file ./api                 \"statically linked\", \"static-pie linked\"\n"
		"\n"
		"What to do:\n"
		"  C, C++   link without -static and -static-pie. A profiling build may differ\n"
		"           from the released one in that alone.\n"
		"  Rust     build for x86_64-unknown-linux-gnu instead of -musl.\n"
		"  musl     in a dynamic program against musl heapspy does nothing either: build\n"
		"           it against glibc.\n"
		"  Go       its heap is Go's own, and has a profiler of its own: import\n"
		"           net/http/pprof. heapspy sees what C code allocates in a program\n"
		"           built with CGO_ENABLED=1.\n"
		"\n"
		"A script whose interpreter is static (busybox sh) is no obstacle to the programs\n"
		"it starts: put heapspy run before those, or set LD_PRELOAD in the script.\n" },
	{ "privileges", "set-user-id programs, sudo, and whose LD_PRELOAD counts",
		"Where a program gets more rights than its caller has, the loader ignores\n"
		"LD_PRELOAD: a set-user-id or set-group-id bit for another user or group, or file\n"
		"capabilities for a user who is not root.\n"
		"\n"
		"What to do:\n"
		"  sudo     resets the environment as well. Put heapspy behind it:\n"
		"           sudo heapspy run -- CMD, or sudo -u USER heapspy run -- CMD\n"
		"  set-id   run it as the user that it changes to, or profile a copy: cp drops\n"
		"           the bits.\n"
		"  caps     profile a copy, or let the service manager grant the rights\n"
		"           (AmbientCapabilities= of systemd), which leaves LD_PRELOAD alone.\n"
		"\n"
		"A server that starts as root and then changes its user is no such program. Its\n"
		"directory of snapshots must be writable for the later user.\n"
		"\n"
		"Never put heapspy into /etc/ld.so.preload: everything on the machine would load\n"
		"it, and heapspy refuses to work in privileged programs anyway.\n" },
	{ "allocators", "programs with a malloc of their own",
		"heapspy stands before the malloc of libraries, jemalloc, tcmalloc and mimalloc\n"
		"among them: preloaded behind it or linked as shared libraries, they are profiled\n"
		"like libc's. It cannot stand before the program itself, whose symbols are looked\n"
		"up first, nor see calls that were bound when it was linked.\n"
		"\n"
		"  malloc exported by the program   nothing is seen; heapspy run refuses it\n"
		"  malloc hidden in the program     only its shared libraries are seen\n"
		"  je_malloc, mi_malloc, ...        what is asked for by these names is not seen,\n"
		"                                   the rest is\n"
		"  mallocx and its kin (jemalloc)   seen where libheapspy-jemalloc.so is loaded:\n"
		"                                   heapspy run adds it when the command has\n"
		"                                   jemalloc, but cannot know that of a server\n"
		"                                   which a script starts\n"
		"\n"
		"What to do:\n"
		"  - Build without the allocator, or link it as a shared library (-ljemalloc),\n"
		"    or leave it out and run the program with this machine's copy:\n"
		"      heapspy run --allocator jemalloc -- ./api\n"
		"    Other ones can be named in LD_PRELOAD behind heapspy's library.\n"
		"  - A script: put heapspy run before the server in it, not before the script.\n"
		"  - jemalloc has a profiler of its own where it was built with --enable-prof.\n"
		"  - A sanitizer brings a malloc that wants to be first, too: profile a build\n"
		"    without -fsanitize=address, thread or leak.\n" },
};

const size_t n_topics = sizeof(topics) / sizeof(topics[0]);

const struct topic *topics_find(const char *name)
{
	size_t i;

	for (i = 0; i < n_topics; i++)
		if (!strcmp(name, topics[i].name))
			return &topics[i];
	return NULL;
}
