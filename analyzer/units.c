/* units.c - owns the text of figures, both ways. Columns and colours are out/text.c's. */
#include "analyzer/units.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define NS_PER_S 1000000000ull

static const char *const size_units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
#define N_SIZE_UNITS (sizeof(size_units) / sizeof(size_units[0]))

/* The unit in which bytes, rounded to three digits, stays below 1000. */
static unsigned unit_of(double bytes)
{
	double v = fabs(bytes);
	unsigned unit = 0;

	while (v >= 999.5 && unit + 1 < N_SIZE_UNITS) {
		v /= 1024;
		unit++;
	}
	return unit;
}

/* value, already divided by its unit, with three significant digits; whole for plain bytes. */
static void add_digits(struct strbuf *b, double value, bool whole)
{
	double v = fabs(value);
	int digits = whole || v >= 99.95 ? 0 : v >= 9.995 ? 1 : 2;
	char text[64];
	char *end;

	snprintf(text, sizeof(text), "%.*f", digits, value);
	/* 9.50 is 9.5 and 12.0 is 12: the digit is dropped, never a figure. */
	if (digits) {
		end = text + strlen(text) - 1;
		while (*end == '0')
			*end-- = '\0';
		if (*end == '.')
			*end = '\0';
	}
	strbuf_add_text(b, !strcmp(text, "-0") ? "0" : text);
}

void units_add_bytes(struct strbuf *b, double bytes)
{
	unsigned unit = unit_of(bytes);

	add_digits(b, ldexp(bytes, -10 * (int)unit), unit == 0);
	strbuf_addf(b, " %s", size_units[unit]);
}

void units_add_range(struct strbuf *b, double lo, double hi, double figure)
{
	unsigned unit = unit_of(figure);
	double largest = fmax(fabs(lo), fabs(hi));
	bool own_unit = ldexp(largest, -10 * (int)unit) >= 9999.5;

	/* Beside a figure near 0 its unit would make a string of digits of the range. */
	if (own_unit)
		unit = unit_of(largest);
	add_digits(b, ldexp(lo, -10 * (int)unit), unit == 0);
	strbuf_add_text(b, "..");
	add_digits(b, ldexp(hi, -10 * (int)unit), unit == 0);
	if (own_unit)
		strbuf_addf(b, " %s", size_units[unit]);
}

void units_add_count(struct strbuf *b, uint64_t count)
{
	char digits[24];
	int i, n = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)count);

	for (i = 0; i < n; i++) {
		if (i && (n - i) % 3 == 0)
			strbuf_add_char(b, ' ');
		strbuf_add_char(b, digits[i]);
	}
}

void units_add_rounded(struct strbuf *b, double count)
{
	units_add_count(b, !(count > 0)      ? 0
			   : count >= 0x1p64 ? UINT64_MAX
					     : (uint64_t)(count + .5));
}

void units_add_clock(struct strbuf *b, uint64_t ns)
{
	uint64_t s = ns / NS_PER_S;

	strbuf_addf(b, "%llu:%02u:%02u", (unsigned long long)(s / 3600), (unsigned)(s / 60 % 60),
		(unsigned)(s % 60));
	if (s < 60)
		strbuf_addf(b, ".%u", (unsigned)(ns / (NS_PER_S / 10) % 10));
}

void units_add_wall_time(struct strbuf *b, uint64_t wall_ns)
{
	time_t t = (time_t)(wall_ns / NS_PER_S);
	char text[32];
	struct tm tm;

	if (localtime_r(&t, &tm) && strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm))
		strbuf_add_text(b, text);
	else
		strbuf_add_char(b, '?');
}

void units_add_duration(struct strbuf *b, double ns)
{
	static const struct {
		double ns;
		const char *name;
	} scale[] = { { 86400e9, "d" }, { 3600e9, "h" }, { 60e9, "min" }, { 1e9, "s" },
		{ 1e6, "ms" }, { 1e3, "us" }, { 1, "ns" } };
	unsigned i = 0;
	double v;

	/*
	 * Two of the larger unit before it is used: 90 s rather than 1.5 min. Below that, what
	 * would be written as 1000 of the smaller one.
	 */
	while (i + 1 < sizeof(scale) / sizeof(scale[0]) && ns < (i < 3 ? 2 : .9995) * scale[i].ns)
		i++;
	v = ns / scale[i].ns;
	strbuf_addf(b, "%.*f %s", v < 9.95 && v != floor(v) ? 1 : 0, v, scale[i].name);
}

bool units_parse_number(const char *text, uint64_t max, uint64_t *numberp)
{
	unsigned long long v;
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno || *end || v > max)
		return false;
	*numberp = v;
	return true;
}

/* A decimal fraction without sign, exponent or hexadecimal; *endp behind it. */
static bool parse_decimal(const char *text, const char **endp, double *valuep)
{
	size_t n = strspn(text, "0123456789.");
	char digits[40];

	if (n == 0 || n >= sizeof(digits))
		return false;
	memcpy(digits, text, n);
	digits[n] = '\0';
	if (strchr(digits, '.') != strrchr(digits, '.') || !strcmp(digits, "."))
		return false;
	*valuep = strtod(digits, NULL);
	*endp = text + n;
	return true;
}

bool units_parse_bytes(const char *text, uint64_t *bytesp)
{
	static const char prefixes[] = "KMGTPE";
	const char *end, *prefix;
	double v;

	if (!parse_decimal(text, &end, &v))
		return false;
	while (*end == ' ')
		end++;
	prefix = *end ? strchr(prefixes, toupper((unsigned char)*end)) : NULL;
	if (prefix) {
		v = ldexp(v, 10 * (int)(prefix - prefixes + 1));
		end++;
		if (*end == 'i' || *end == 'I')
			end++;
	}
	if (*end == 'b' || *end == 'B')
		end++;
	if (*end || !(v < 0x1p63))
		return false;
	*bytesp = (uint64_t)v;
	return true;
}

bool units_parse_duration(const char *text, uint64_t *nsp)
{
	static const struct {
		const char *name;
		double ns;
	} scale[] = { { "ms", 1e6 }, { "us", 1e3 }, { "ns", 1 }, { "min", 60e9 }, { "d", 86400e9 },
		{ "h", 3600e9 }, { "m", 60e9 }, { "s", 1e9 } };
	double sum = 0, v;

	do {
		unsigned i = 0;

		if (!parse_decimal(text, &text, &v))
			return false;
		while (i < sizeof(scale) / sizeof(scale[0]) &&
			strncmp(text, scale[i].name, strlen(scale[i].name)))
			i++;
		if (i == sizeof(scale) / sizeof(scale[0]))
			return false;
		text += strlen(scale[i].name);
		sum += v * scale[i].ns;
	} while (*text);
	if (!(sum < 0x1p62))
		return false;
	*nsp = (uint64_t)sum;
	return true;
}
