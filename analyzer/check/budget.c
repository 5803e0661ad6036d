/*
 * budget.c - owns limits: their values, and which of them is meant for a site. The lines of a file
 * are budget_lines.c's, what a limit is compared with baseline.c's and long_run.c's business.
 */
#include "analyzer/check/budget.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyzer/alloc.h"
#include "analyzer/check/pattern.h"
#include "analyzer/read/file_bytes.h"
#include "analyzer/units.h"

#define RELATIVE_MAX 10000.0 /* +1 000 000 % */

bool budget_parse_percent(const char *text, double *relativep)
{
	size_t n = strspn(text, "0123456789.");
	char digits[24];

	if (n == 0 || n >= sizeof(digits) || strcmp(text + n, "%"))
		return false;
	memcpy(digits, text, n);
	digits[n] = '\0';
	if (strchr(digits, '.') != strrchr(digits, '.') || !strcmp(digits, "."))
		return false;
	*relativep = strtod(digits, NULL) / 100;
	return *relativep <= RELATIVE_MAX;
}

bool budget_parse_limit(const char *text, struct budget_limit *limit)
{
	uint64_t bytes;
	double relative;

	if (text[0] == '+' && budget_parse_percent(text + 1, &relative)) {
		limit->has_relative = true;
		limit->relative = relative;
		return true;
	}
	if (!units_parse_bytes(text, &bytes) || !bytes)
		return false;
	limit->has_bytes = true;
	limit->bytes = bytes;
	return true;
}

bool budget_parse_growth(const char *text, double *bytes_per_second)
{
	static const struct {
		const char *name;
		double seconds;
	} units[] = { { "s", 1 }, { "min", 60 }, { "h", 3600 }, { "d", 86400 } };
	const char *slash = strchr(text, '/');
	char size[40];
	uint64_t bytes;
	unsigned i;

	if (!slash || (size_t)(slash - text) >= sizeof(size))
		return false;
	memcpy(size, text, (size_t)(slash - text));
	size[slash - text] = '\0';
	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (!strcmp(slash + 1, units[i].name) && units_parse_bytes(size, &bytes)) {
			*bytes_per_second = (double)bytes / units[i].seconds;
			return true;
		}
	return false;
}

char *budget_add_ignore(struct budget *b, const char *text, unsigned line)
{
	struct budget_pattern pattern = { .line = line };
	char *wrong = pattern_compile(&pattern.regex, text);

	if (wrong)
		return wrong;
	pattern.text = alloc_text(text, strlen(text));
	b->ignores = alloc_room(b->ignores, b->n_ignores, &b->ignore_capacity, sizeof(pattern));
	b->ignores[b->n_ignores++] = pattern;
	return NULL;
}

int budget_read(struct budget *b, const char *path, struct budget_errors *errors, struct fail *f)
{
	uint64_t bytes;
	char *text;
	int fd, rc;

	memset(b, 0, sizeof(*b));
	fd = file_bytes_open(path, &bytes, f);
	if (fd < 0)
		return -1;
	if (bytes > BUDGET_BYTES_MAX) {
		close(fd);
		return fail_set(f, EXIT_CODE_INPUT,
			"'%s' is no budget: it is larger than 1 MiB (%llu bytes)", path,
			(unsigned long long)bytes);
	}
	text = alloc_array(bytes + 1, 1);
	rc = file_bytes_read(fd, path, 0, text, bytes, NULL, f);
	close(fd);
	if (rc == 0)
		budget_parse(b, text, bytes, errors);
	free(text);
	return rc;
}

void budget_deinit(struct budget *b)
{
	size_t i;

	for (i = 0; i < b->n_sites; i++) {
		free(b->sites[i].name);
		if (b->sites[i].has_regex)
			regfree(&b->sites[i].regex);
	}
	for (i = 0; i < b->n_ignores; i++) {
		free(b->ignores[i].text);
		regfree(&b->ignores[i].regex);
	}
	free(b->sites);
	free(b->ignores);
	memset(b, 0, sizeof(*b));
}

static bool equals(const char *a, const char *b)
{
	return a && !strcmp(a, b);
}

static bool is_like(const regex_t *regex, const char *text)
{
	return text && !regexec(regex, text, 0, NULL, 0);
}

bool budget_matches_site(const struct budget_site *line, const char *full, const char *shown)
{
	return equals(full, line->name) || equals(shown, line->name) ||
	       (line->has_regex && (is_like(&line->regex, full) || is_like(&line->regex, shown)));
}

const struct budget_site *budget_find_site(
	const struct budget *b, const char *full, const char *shown)
{
	const struct budget_site *best = NULL;
	size_t i;

	for (i = 0; i < b->n_sites; i++) {
		const struct budget_site *line = &b->sites[i];

		if (equals(full, line->name) || equals(shown, line->name))
			return line;
		if (budget_matches_site(line, full, shown) &&
			(!best || strlen(line->name) >= strlen(best->name)))
			best = line;
	}
	return best;
}

bool budget_ignores(
	const struct budget *b, const char *function, const char *file, const char *module)
{
	size_t i;

	for (i = 0; i < b->n_ignores; i++)
		if (is_like(&b->ignores[i].regex, function) ||
			is_like(&b->ignores[i].regex, file) ||
			is_like(&b->ignores[i].regex, module))
			return true;
	return false;
}
