/*
 * doctor_leftovers.c - owns the words about states that dead processes have left. Which
 * these are is dead_states.c's business.
 */
#include "analyzer/target/doctor.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "analyzer/target/dead_states.h"
#include "analyzer/units.h"

void doctor_leftovers(struct doctor_report *report, const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dead_state *states = NULL;
	ssize_t n = fd < 0 ? -1 : dead_states_list(fd, &states), i;
	size_t n_left = 0, n_telling = 0;
	struct strbuf size = { 0 };
	uint64_t bytes = 0;

	for (i = 0; i < n; i++)
		if (dead_state_is_left(&states[i])) {
			n_left++;
			n_telling += states[i].kind == DEAD_STATE_TELLS;
			bytes += states[i].bytes;
		}
	units_add_bytes(&size, (double)bytes);
	if (n_left)
		doctor_add(report, DOCTOR_NOTE, "leftovers",
			"%zu state%s of dead processes, %s, in %s: heapspy recover %s", n_left,
			n_left == 1 ? "" : "s", size.data, dir,
			n_telling ? "makes their last snapshots, and removes them"
				  : "removes them");
	strbuf_deinit(&size);
	free(states);
	if (fd >= 0)
		close(fd);
}
