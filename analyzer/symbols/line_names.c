/*
 * line_names.c - owns the reading of line tables, one for each unit. Which
 * addresses belong to a unit is left to dwarf_names.c.
 */
#include "analyzer/symbols/line_names.h"

#include "analyzer/symbols/intern.h"
#include "analyzer/symbols/symbols_backend.h"

const char *line_names_file(struct symbols_job *job, const char *path)
{
	return path ? intern_string(job->pool, path) : NULL;
}

/*
 * The last row at or below vaddr: rows at one address follow each other in the
 * order of the program, the last is in force. libdw sorts by address, with the
 * end of a sequence before the start of another at the same place.
 */
static Dwarf_Line *find_row(Dwarf_Lines *lines, size_t n_lines, uint64_t vaddr)
{
	size_t low = 0, high = n_lines;
	Dwarf_Line *line;
	bool is_end = true;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		Dwarf_Addr at;

		if (dwarf_lineaddr(dwarf_onesrcline(lines, middle), &at) != 0)
			return NULL;
		if (at <= vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return NULL;
	line = dwarf_onesrcline(lines, low - 1);
	if (!line || dwarf_lineendsequence(line, &is_end) != 0 || is_end)
		return NULL;
	return line;
}

void line_names_resolve(
	struct symbols_job *job, Dwarf_Die *unit, const uint32_t *indices, size_t n_indices)
{
	Dwarf_Lines *lines;
	size_t n_lines;

	if (dwarf_getsrclines(unit, &lines, &n_lines) != 0)
		return;
	for (size_t i = 0; i < n_indices; i++) {
		struct symbols_address *address = &job->addresses[indices[i]];
		Dwarf_Line *line;
		int number;

		if (address->file)
			continue;
		line = find_row(lines, n_lines, address->vaddr);
		if (!line)
			continue;
		address->file = line_names_file(job, dwarf_linesrc(line, NULL, NULL));
		if (dwarf_lineno(line, &number) == 0 && number > 0)
			address->line = (uint32_t)number;
	}
}
