/*
 * json.h - writes one JSON document into a strbuf: commas, quotes and escapes.
 *
 * key is NULL inside arrays. Text that is no UTF-8 comes with U+FFFD for every
 * wrong byte, so that the document always parses.
 */
#ifndef HEAPSPY_ANALYZER_JSON_H
#define HEAPSPY_ANALYZER_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "analyzer/stats/interval.h"
#include "analyzer/strbuf.h"

struct json {
	struct strbuf *out;
	bool need_comma;
	unsigned depth;
};

void json_object_begin(struct json *j, const char *key);
void json_object_end(struct json *j);
void json_array_begin(struct json *j, const char *key);
void json_array_end(struct json *j);

/* NULL text is null. */
void json_text(struct json *j, const char *key, const char *text);
void json_bool(struct json *j, const char *key, bool value);
void json_unsigned(struct json *j, const char *key, uint64_t value);
void json_signed(struct json *j, const char *key, int64_t value);

/* Rounded to a whole number; what is not finite is null. */
void json_whole(struct json *j, const char *key, double value);

/* With digits decimals; what is not finite is null. */
void json_decimal(struct json *j, const char *key, double value, int digits);

/* [lo, hi] of whole numbers. */
void json_interval(struct json *j, const char *key, const struct interval *range);

/* Nanoseconds since 1970 as RFC 3339 in UTC with milliseconds; 0 is null. */
void json_time(struct json *j, const char *key, uint64_t wall_ns);

#endif
