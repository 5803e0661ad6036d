/* places.c - owns which processes may be asked for files. Finding one is process.c's. */
#include "analyzer/symbols/places.h"

#include <string.h>

void places_add_process(struct places *places, const struct process_id *id)
{
	for (unsigned i = 0; i < places->n_processes; i++) {
		const struct process_id *known = &places->processes[i].id;

		if (known->pid == id->pid && known->start_ticks == id->start_ticks &&
			memcmp(known->boot_id, id->boot_id, sizeof(id->boot_id)) == 0)
			return;
	}
	if (places->n_processes < PLACES_PROCESSES_MAX)
		places->processes[places->n_processes++] = (struct places_process){ .id = *id };
}

const struct process *places_process(struct places *places, unsigned i)
{
	struct places_process *entry = &places->processes[i];

	if (!entry->asked)
		entry->lives = process_open(&entry->process, &entry->id);
	entry->asked = true;
	return entry->lives ? &entry->process : NULL;
}

void places_deinit(struct places *places)
{
	for (unsigned i = 0; i < places->n_processes; i++) {
		if (places->processes[i].lives)
			process_close(&places->processes[i].process);
	}
	places->n_processes = 0;
}
