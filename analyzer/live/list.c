/*
 * list.c - owns the lines about processes that could be watched. Finding them is
 * target/processes.c's, reading their states live_state.c's.
 */
#include "analyzer/live/list.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "analyzer/target/live_state.h"
#include "analyzer/target/proc.h"
#include "analyzer/target/processes.h"
#include "analyzer/units.h"
#include "preload/state/state_map.h"

static void add_bytes(struct table *t, uint64_t bytes)
{
	struct strbuf text = { 0 };

	if (bytes)
		units_add_bytes(&text, (double)bytes);
	else
		strbuf_add_char(&text, '-');
	table_add_buffer(t, &text);
	strbuf_deinit(&text);
}

static void add_since(struct table *t, uint64_t wall_ns)
{
	time_t seconds = (time_t)(wall_ns / 1000000000);
	char text[32];
	struct tm tm;

	if (!wall_ns || !localtime_r(&seconds, &tm) ||
		!strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm))
		strcpy(text, "-");
	table_add(t, text);
}

/* A process without a state of its own, such as one that is passed through, has no figures. */
static void add_process(struct table *t, uint32_t pid)
{
	struct strbuf text = { 0 };
	struct live_state *live = NULL;
	uint64_t since_ns = 0, live_bytes = 0;
	struct fail unreadable;
	char comm[32];

	if (live_state_open(pid, &live, &unreadable) == 0) {
		const struct state_header *state = live_state_header(live);

		since_ns = state->start_wall_ns;
		if (!(state->flags & HEAPSPY_INFO_NOT_INTERPOSED))
			live_bytes = state_live_bytes(state);
	}
	live_state_close(live);
	strbuf_addf(&text, "%u", pid);
	table_add_buffer(t, &text);
	add_since(t, since_ns);
	add_bytes(t, live_bytes);
	add_bytes(t, proc_rss_bytes(pid));
	processes_read_comm(pid, comm);
	strbuf_add_escaped(&text, comm, strlen(comm));
	table_add_buffer(t, &text);
	strbuf_deinit(&text);
}

void list_add(struct strbuf *out, const struct table_style *style)
{
	uint32_t *pids;
	size_t i, n = processes_find(&pids);
	struct table t;

	if (!n) {
		strbuf_add_text(out, "no process under heapspy that this user may look into; next: "
				     "heapspy run -- COMMAND\n");
		return;
	}
	table_init(&t, "rlrrl");
	table_add(&t, "pid");
	table_add(&t, "since");
	table_add(&t, "live");
	table_add(&t, "rss");
	table_add(&t, "command");
	for (i = 0; i < n; i++)
		add_process(&t, pids[i]);
	for (i = 0; i <= n; i++)
		table_render(&t, i, 0, style, TABLE_PLAIN, out);
	if (n == 1)
		strbuf_addf(out, "next: heapspy live %u\n", pids[0]);
	else
		strbuf_add_text(out, "next: heapspy live PID\n");
	table_deinit(&t);
	free(pids);
}
