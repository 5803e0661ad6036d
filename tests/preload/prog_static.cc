/* prog_static.cc - sessions in a static map, which its destructor empties after main; stops
 * cleanly. */
#include <map>
#include <string>
#include "victim.h"

static std::map<int, std::string> sessions;

SITE static void add_session(int id)
{
	sessions[id] = std::string(1000, 'x');
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 1000;

	for (int i = 0; i < n; i++)
		add_session(i);
	printf("{\"add_session\": %d}\n", n * 1001);
	fflush(stdout);
	if (argc > 2)
		exit(0);
	return 0;
}
