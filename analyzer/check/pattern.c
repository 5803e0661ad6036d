/* pattern.c - owns which regular expressions are too costly. What they are for is budget.c's. */
#include "analyzer/check/pattern.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/alloc.h"

#define PATTERN_MAX 1024
#define COST_MAX    5000 /* of an expression, in characters */
#define GROUPS_MAX  50

/* Behind a bracket expression that begins at at. */
static const char *skip_bracket(const char *at)
{
	at += at[1] == '^' ? 2 : 1;
	if (*at == ']')
		at++;
	while (*at && *at != ']')
		at++;
	return *at ? at + 1 : at;
}

/* The count at "{m,n}", at least 1, and *atp behind it; 0: there is no count. */
static unsigned long take_count(const char **atp)
{
	const char *at = *atp + 1;
	unsigned long low, high;

	if (*at < '0' || *at > '9')
		return 0;
	low = high = strtoul(at, (char **)&at, 10);
	if (*at == ',' && at[1] >= '0' && at[1] <= '9')
		high = strtoul(at + 1, (char **)&at, 10);
	*atp = at;
	return high > low ? high : low ? low : 1;
}

/*
 * Whether an expression is cheap to compile and to match: no back references, and not so many
 * copies of parts as nested counts make, which the compiler writes out ("a+" is "aa*").
 */
static bool is_cheap(const char *pattern)
{
	unsigned long outside[GROUPS_MAX], sum = 0, last = 0, count;
	unsigned depth = 0;
	const char *at = pattern;

	if (strlen(pattern) > PATTERN_MAX)
		return false;
	while (*at && sum <= COST_MAX) {
		if (*at == '\\' && at[1] >= '0' && at[1] <= '9')
			return false;
		count = *at == '+' ? 2 : *at == '{' ? take_count(&at) : 0;
		if (count > COST_MAX)
			return false;
		if (count) {
			sum += last * (count - 1);
			last *= count;
			at += *at != 0;
		} else if (*at == '(') {
			if (depth == GROUPS_MAX)
				return false;
			outside[depth++] = sum;
			sum = last = 0;
			at++;
		} else if (*at == ')') {
			last = sum + 1;
			sum = last + (depth ? outside[--depth] : 0);
			at++;
		} else if (*at == '*' || *at == '?') {
			at++;
		} else {
			last = 1;
			sum++;
			at = *at == '[' ? skip_bracket(at) : *at == '\\' && at[1] ? at + 2 : at + 1;
		}
	}
	return sum <= COST_MAX;
}

char *pattern_compile(regex_t *regex, const char *pattern)
{
	static const char too_costly[] = "too long or too costly (no \\1, no nested counts {n})";
	char reason[120];
	int code;

	if (!is_cheap(pattern))
		return alloc_text(too_costly, strlen(too_costly));
	code = regcomp(regex, pattern, REG_EXTENDED | REG_NOSUB);
	if (code == 0)
		return NULL;
	regerror(code, regex, reason, sizeof(reason));
	return alloc_text(reason, strlen(reason));
}
