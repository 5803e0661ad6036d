/* exercise_budget.c - owns what is asked of a budget that may be anything. */
#undef NDEBUG
#include <assert.h>
#include <math.h>
#include <string.h>

#include "analyzer/check/budget.h"
#include "tests/fuzz/exercise_budget.h"

static size_t count_lines(const char *text, size_t bytes)
{
	size_t i, n = 1;

	for (i = 0; i < bytes; i++)
		n += text[i] == '\n';
	return n;
}

static void check_errors(const struct budget_errors *errors, const char *text, size_t bytes)
{
	size_t i, n = errors->n < BUDGET_ERRORS_MAX ? errors->n : BUDGET_ERRORS_MAX;
	size_t n_lines = count_lines(text, bytes);

	for (i = 0; i < n; i++) {
		const struct budget_error *e = &errors->first[i];

		assert(e->line >= 1 && e->line <= n_lines);
		assert(e->column >= 1 && e->column <= bytes + 1);
		assert(e->text[0] && memchr(e->text, '\0', sizeof(e->text)));
		assert(!strchr(e->text, '\n'));
		assert(i == 0 || e->line >= errors->first[i - 1].line);
	}
}

static void check_limit(const struct budget_limit *limit)
{
	assert(!limit->has_relative || (limit->relative >= 0 && isfinite(limit->relative)));
	assert(!limit->has_bytes || limit->bytes > 0);
}

size_t exercise_budget(const char *text, size_t bytes)
{
	static const char *const names[] = { "parse_header", "std::vector<int>::push_back(int&&)",
		"operator new[](unsigned long)", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "" };
	struct budget_errors errors;
	struct budget budget;
	size_t i;

	budget_parse(&budget, text, bytes, &errors);
	check_errors(&errors, text, bytes);
	check_limit(&budget.total);
	check_limit(&budget.peak);
	assert(budget.growth >= 0 && isfinite(budget.growth));
	for (i = 0; i < budget.n_sites; i++) {
		check_limit(&budget.sites[i].limit);
		assert(budget.sites[i].limit.has_relative || budget.sites[i].limit.has_bytes);
		assert(budget_find_site(&budget, budget.sites[i].name, NULL));
	}
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct budget_site *line = budget_find_site(&budget, names[i], names[0]);

		assert(!line || budget_matches_site(line, names[i], names[0]));
		budget_ignores(&budget, names[i], "third_party/zip.c", NULL);
	}
	budget_deinit(&budget);
	return errors.n;
}
