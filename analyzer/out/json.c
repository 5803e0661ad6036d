/* json.c - owns the syntax of JSON. Which fields a document has is the other files' of out/. */
#include "analyzer/out/json.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

/* Values up to this depth get a line of their own: the fields of a row do, its stacks do not. */
#define BROKEN_DEPTH 3

static void add_string(struct strbuf *out, const char *text)
{
	size_t bytes = strlen(text), i = 0;

	strbuf_add_char(out, '"');
	while (i < bytes) {
		uint32_t code = 0;
		size_t n = strbuf_utf8_decode(text + i, bytes - i, &code);

		if (n == 0)
			strbuf_add_text(out, "\\ufffd");
		else if (code == '"' || code == '\\')
			strbuf_addf(out, "\\%c", (char)code);
		else if (strbuf_is_unsafe(code)) /* more than JSON asks for: people look at it */
			strbuf_addf(out, "\\u%04x", code);
		else
			strbuf_add(out, text + i, n);
		i += n ? n : 1;
	}
	strbuf_add_char(out, '"');
}

static void begin_value(struct json *j, const char *key)
{
	if (j->need_comma)
		strbuf_add_char(j->out, ',');
	if (j->depth && j->depth <= BROKEN_DEPTH) {
		strbuf_add_char(j->out, '\n');
		strbuf_pad(j->out, ' ', (int)j->depth);
	} else if (j->need_comma) {
		strbuf_add_char(j->out, ' ');
	}
	if (key) {
		add_string(j->out, key);
		strbuf_add_char(j->out, ':');
	}
	j->need_comma = true;
}

static void begin(struct json *j, const char *key, char bracket)
{
	begin_value(j, key);
	strbuf_add_char(j->out, bracket);
	j->need_comma = false;
	j->depth++;
}

static void end(struct json *j, char bracket)
{
	j->depth--;
	strbuf_add_char(j->out, bracket);
	j->need_comma = true;
	if (!j->depth)
		strbuf_add_char(j->out, '\n');
}

void json_object_begin(struct json *j, const char *key)
{
	begin(j, key, '{');
}

void json_object_end(struct json *j)
{
	end(j, '}');
}

void json_array_begin(struct json *j, const char *key)
{
	begin(j, key, '[');
}

void json_array_end(struct json *j)
{
	end(j, ']');
}

void json_text(struct json *j, const char *key, const char *text)
{
	begin_value(j, key);
	if (text)
		add_string(j->out, text);
	else
		strbuf_add_text(j->out, "null");
}

void json_bool(struct json *j, const char *key, bool value)
{
	begin_value(j, key);
	strbuf_add_text(j->out, value ? "true" : "false");
}

void json_unsigned(struct json *j, const char *key, uint64_t value)
{
	begin_value(j, key);
	strbuf_addf(j->out, "%" PRIu64, value);
}

void json_signed(struct json *j, const char *key, int64_t value)
{
	begin_value(j, key);
	strbuf_addf(j->out, "%" PRId64, value);
}

static void add_number(struct strbuf *out, double value, int digits)
{
	if (!isfinite(value))
		strbuf_add_text(out, "null");
	else
		/* Adding 0 makes a plain zero of a negative one. */
		strbuf_addf(out, "%.*f", digits, (digits ? value : nearbyint(value)) + 0.0);
}

void json_whole(struct json *j, const char *key, double value)
{
	json_decimal(j, key, value, 0);
}

void json_decimal(struct json *j, const char *key, double value, int digits)
{
	begin_value(j, key);
	add_number(j->out, value, digits);
}

void json_interval(struct json *j, const char *key, const struct interval *range)
{
	begin_value(j, key);
	strbuf_add_char(j->out, '[');
	add_number(j->out, range->lo, 0);
	strbuf_add_text(j->out, ", ");
	add_number(j->out, range->hi, 0);
	strbuf_add_char(j->out, ']');
}

void json_time(struct json *j, const char *key, uint64_t wall_ns)
{
	time_t t = (time_t)(wall_ns / 1000000000u);
	char text[64];
	struct tm tm;

	begin_value(j, key);
	if (!wall_ns || !gmtime_r(&t, &tm) ||
		!strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm)) {
		strbuf_add_text(j->out, "null");
		return;
	}
	strbuf_addf(j->out, "\"%s.%03uZ\"", text, (unsigned)(wall_ns / 1000000 % 1000));
}
