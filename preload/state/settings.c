/*
 * settings.c - owns the table of HEAPSPY_* variables and the parsing of their
 * values. What a value means for the library is decided where it is used.
 */
#include <string.h>
#include "preload/compiler.h"
#include "preload/log.h"
#include "preload/state/settings.h"
#include "preload/rawsys.h"

/* A budget of a hundred cores is none, but for a process on more than that. */
#define CPU_MAX_PERCENT 10000

typedef bool (*parse_function)(struct settings *o, const char *value, struct settings_names names);

static bool parse_number(const char **sp, uint64_t *valuep)
{
	const char *s = *sp;
	uint64_t v = 0;

	if (*s < '0' || *s > '9')
		return false;
	for (; *s >= '0' && *s <= '9'; s++) {
		if (v > (UINT64_MAX - 9) / 10)
			return false;
		v = v * 10 + (uint64_t)(*s - '0');
	}
	*sp = s;
	*valuep = v;
	return true;
}

struct unit {
	const char *name;
	uint64_t factor;
};

/* A number and one of the units; "" among them makes the unit optional. */
static bool parse_with_unit(
	const char *s, const struct unit *units, unsigned n_units, uint64_t *valuep)
{
	uint64_t v;
	unsigned i;

	if (!parse_number(&s, &v))
		return false;
	for (i = 0; i < n_units; i++)
		if (!strcmp(s, units[i].name))
			return !__builtin_mul_overflow(v, units[i].factor, valuep);
	return false;
}

static bool parse_size(const char *s, uint64_t low, uint64_t high, uint64_t *valuep)
{
	static const struct unit units[] = { { "", 1 }, { "B", 1 }, { "k", 1 << 10 },
		{ "K", 1 << 10 }, { "KiB", 1 << 10 }, { "M", 1 << 20 }, { "MiB", 1 << 20 },
		{ "G", 1 << 30 }, { "GiB", 1 << 30 } };
	uint64_t v;

	if (!parse_with_unit(s, units, HS_ARRAY_SIZE(units), &v) || v < low || v > high)
		return false;
	*valuep = v;
	return true;
}

/* Index of value in the NULL-terminated list of words, -1 if it is not there. */
static int parse_word(const char *value, const char *const *words)
{
	int i;

	for (i = 0; words[i]; i++)
		if (!strcmp(value, words[i]))
			return i;
	return -1;
}

static bool set_sample(struct settings *o, const char *v, struct settings_names names)
{
	return parse_size(v, 1, 1ull << 40, &o->sample_bytes);
}

static bool set_interval(struct settings *o, const char *v, struct settings_names names)
{
	static const struct unit units[] = { { "ms", 1000000 }, { "s", 1000000000 },
		{ "", 1000000000 }, { "m", 60000000000 }, { "min", 60000000000 },
		{ "h", 3600000000000 } };
	uint64_t ns;

	if (!parse_with_unit(v, units, HS_ARRAY_SIZE(units), &ns) || (ns && ns < 10000000) ||
		ns > 365ull * 86400 * 1000000000)
		return false;
	o->interval_ns = ns;
	return true;
}

static bool set_writer(struct settings *o, const char *v, struct settings_names names)
{
	static const char *const words[] = { "auto", "thread", "inline", "external", "off", NULL };
	int i = parse_word(v, words);

	if (i >= 0)
		o->writer = (enum settings_writer)i;
	return i >= 0;
}

static bool set_unwind(struct settings *o, const char *v, struct settings_names names)
{
	static const char *const words[] = { "cfi", "fp", "libunwind", "compare", NULL };
	int i = parse_word(v, words);

	if (i >= 0)
		o->unwind = (enum settings_unwind)i;
	return i >= 0;
}

static bool set_depth(struct settings *o, const char *v, struct settings_names names)
{
	uint64_t depth;

	if (!parse_number(&v, &depth) || *v || depth < 1 || depth > 256)
		return false;
	o->depth = (unsigned)depth;
	return true;
}

static bool set_state(struct settings *o, const char *v, struct settings_names names)
{
	if (!strcmp(v, "anon")) {
		o->state_anon = true;
		return true;
	}
	if (v[0] != '/' || strlen(v) >= sizeof(o->state_dir))
		return false;
	strcpy(o->state_dir, v);
	return true;
}

static bool set_state_max(struct settings *o, const char *v, struct settings_names names)
{
	return parse_size(v, 256 << 10, 8ull << 30, &o->state_max_bytes);
}

static bool set_keep(struct settings *o, const char *v, struct settings_names names)
{
	if (!strcmp(v, "off") || !strcmp(v, "0")) {
		o->keep_bytes = 0;
		return true;
	}
	return parse_size(v, 64 << 10, 1ull << 50, &o->keep_bytes);
}

/* "1%", "0.25%", "off" or "0", in millionths. A bare 1 would be taken for either 1 % or the whole.
 */
static bool parse_share(const char *v, uint64_t percent_max, uint64_t *ppmp)
{
	uint64_t percent, ppm, unit = 10000;

	*ppmp = 0;
	if (!strcmp(v, "off") || !strcmp(v, "0"))
		return true;
	if (!parse_number(&v, &percent) || percent > percent_max)
		return false;
	ppm = percent * unit;
	if (*v == '.') {
		for (v++; *v >= '0' && *v <= '9' && unit > 1; v++)
			ppm += (uint64_t)(*v - '0') * (unit /= 10);
		if (unit == 10000)
			return false;
	}
	*ppmp = ppm;
	return !strcmp(v, "%");
}

static bool set_cpu_max(struct settings *o, const char *v, struct settings_names names)
{
	uint64_t ppm;

	if (!parse_share(v, CPU_MAX_PERCENT, &ppm))
		return false;
	o->cpu_max_ppm = (uint32_t)ppm;
	o->cpu_max_is_set = true;
	return true;
}

/* At the whole of it there is nobody left to write. */
static bool set_near_limit(struct settings *o, const char *v, struct settings_names names)
{
	uint64_t ppm;

	if (!parse_share(v, 99, &ppm))
		return false;
	o->near_limit_ppm = (uint32_t)ppm;
	return true;
}

static bool set_children(struct settings *o, const char *v, struct settings_names names)
{
	static const char *const words[] = { "all", "exec", "none", NULL };
	int i = parse_word(v, words);

	if (i >= 0)
		o->children = (enum settings_children)i;
	return i >= 0;
}

static bool set_start(struct settings *o, const char *v, struct settings_names names)
{
	static const char *const words[] = { "on", "off", NULL };
	int i = parse_word(v, words);

	o->start_off = i == 1;
	return i >= 0;
}

static bool set_verbose(struct settings *o, const char *v, struct settings_names names)
{
	static const char *const words[] = { "0", "1", NULL };
	int i = parse_word(v, words);

	o->verbose = i == 1;
	return i >= 0;
}

/* Appends text to out with '/' made harmless; false when it does not fit. */
static bool append(char *out, size_t bytes, size_t *lengthp, const char *text)
{
	for (; *text; text++) {
		if (*lengthp + 1 >= bytes)
			return false;
		out[(*lengthp)++] = *text == '/' ? '_' : *text;
	}
	out[*lengthp] = '\0';
	return true;
}

static bool set_dir(struct settings *o, const char *v, struct settings_names names)
{
	char number[24];
	size_t n = 0;
	bool fits = *v != '\0';

	log_format(number, sizeof(number), "%u", names.pid);
	for (; fits && *v; v++) {
		if (*v != '%') {
			fits = n + 1 < sizeof(o->dir);
			if (fits)
				o->dir[n++] = *v;
			continue;
		}
		switch (*++v) {
		case 'p':
			o->dir_has_pid = true;
			fits = append(o->dir, sizeof(o->dir), &n, number);
			break;
		case 'c':
			fits = append(o->dir, sizeof(o->dir), &n, names.comm);
			break;
		case 'h':
			fits = append(o->dir, sizeof(o->dir), &n, names.host);
			break;
		case '%':
			fits = append(o->dir, sizeof(o->dir), &n, "%");
			break;
		default:
			fits = false;
		}
	}
	o->dir[fits ? n : 0] = '\0';
	return fits;
}

static bool set_lease(struct settings *o, const char *v, struct settings_names names)
{
	uint64_t pid, start_ticks;

	if (!parse_number(&v, &pid) || *v++ != '.' || !parse_number(&v, &start_ticks) || *v ||
		pid > INT32_MAX)
		return false;
	o->lease_pid = (uint32_t)pid;
	o->lease_start_ticks = start_ticks;
	return true;
}

static const struct {
	const char *name;
	parse_function parse;
	const char *expected;
	const char *standard;
} variables[] = {
	/* First, because complaints about the others follow it. */
	{ "HEAPSPY_VERBOSE", set_verbose, "0 or 1", "0" },
	{ "HEAPSPY_DIR", set_dir, "a path of up to 500 bytes; %p pid, %c command, %h host, %%",
		"heapspy.%c.%p" },
	{ "HEAPSPY_SAMPLE", set_sample, "bytes such as 512KiB, 64KiB or 1", "512KiB" },
	{ "HEAPSPY_INTERVAL", set_interval, "a time from 10ms on such as 60s or 5m, or 0 for never",
		"60s" },
	{ "HEAPSPY_WRITER", set_writer, "auto, thread, inline, external or off", "auto" },
	{ "HEAPSPY_UNWIND", set_unwind, "cfi, fp, libunwind or compare", "cfi" },
	{ "HEAPSPY_DEPTH", set_depth, "a number of frames from 1 to 256", "128" },
	{ "HEAPSPY_STATE", set_state, "an absolute directory on tmpfs, or anon", "/dev/shm" },
	{ "HEAPSPY_STATE_MAX", set_state_max, "a size from 256KiB to 8GiB", "32MiB" },
	{ "HEAPSPY_CPU_MAX", set_cpu_max, "a share of one core such as 1% or 0.5%, or off", "1%" },
	{ "HEAPSPY_NEAR_LIMIT", set_near_limit,
		"a share of the memory limit such as 90%, below 100%, or off", "90%" },
	{ "HEAPSPY_CHILDREN", set_children, "all, exec or none", "all" },
	{ "HEAPSPY_KEEP", set_keep, "a size from 64KiB such as 256MiB, or off", "256MiB" },
	{ "HEAPSPY_START", set_start, "on or off", "on" },
	/* Not a setting of the user's: last, and settings_describe() leaves it out. */
	{ SETTINGS_LEASE_NAME, set_lease, "a process as heapspy run writes it", "" },
};

#define N_DESCRIBED (HS_ARRAY_SIZE(variables) - 1)

static const char *value_of(char **environ_at_start, const char *name)
{
	size_t n = strlen(name);

	for (; environ_at_start && *environ_at_start; environ_at_start++)
		if (!strncmp(*environ_at_start, name, n) && (*environ_at_start)[n] == '=')
			return *environ_at_start + n + 1;
	return NULL;
}

/* HEAPSPY_CACHE is the command's own, HEAPSPY_TEST_ the tests'. */
static bool is_known(const char *entry)
{
	unsigned i;

	if (!strncmp(entry, "HEAPSPY_CACHE=", 14) || !strncmp(entry, "HEAPSPY_TEST_", 13))
		return true;
	for (i = 0; i < HS_ARRAY_SIZE(variables); i++) {
		size_t n = strlen(variables[i].name);

		if (!strncmp(entry, variables[i].name, n) && entry[n] == '=')
			return true;
	}
	return false;
}

static void complain_of_unknown(char **environ_at_start, settings_complain *complain, void *context)
{
	for (; environ_at_start && *environ_at_start; environ_at_start++)
		if (!strncmp(*environ_at_start, "HEAPSPY_", 8) && !is_known(*environ_at_start))
			complain(context, *environ_at_start, NULL, NULL);
}

static void set_defaults(struct settings *o)
{
	memset(o, 0, sizeof(*o));
	o->sample_bytes = 512 << 10;
	o->interval_ns = 60ull * 1000000000;
	o->state_max_bytes = 32 << 20;
	o->keep_bytes = 256 << 20;
	o->cpu_max_ppm = 10000;
	o->near_limit_ppm = 900000;
	o->depth = 128;
	strcpy(o->state_dir, "/dev/shm");
	strcpy(o->tmpdir, "/tmp");
}

void settings_read(struct settings *o, char **environ_at_start, struct settings_names names,
	settings_complain *complain, void *context)
{
	const char *value;
	unsigned i;
	long n;

	set_defaults(o);
	value = value_of(environ_at_start, "TMPDIR");
	if (value && value[0] == '/' && strlen(value) < sizeof(o->tmpdir))
		strcpy(o->tmpdir, value);
	n = rawsys(SYS_getcwd, o->cwd, sizeof(o->cwd));
	if (n <= 0 || o->cwd[0] != '/')
		o->cwd[0] = '\0';

	for (i = 0; i < HS_ARRAY_SIZE(variables); i++) {
		value = value_of(environ_at_start, variables[i].name);
		if (value && !variables[i].parse(o, value, names) && complain)
			complain(context, variables[i].name, value, variables[i].expected);
	}
	/* Whoever wants every block is not to get every second one for want of a budget. */
	if (o->sample_bytes == 1 && !o->cpu_max_is_set)
		o->cpu_max_ppm = 0;
	if (complain)
		complain_of_unknown(environ_at_start, complain, context);
}

bool settings_describe(
	unsigned i, const char **namep, const char **expectedp, const char **standardp)
{
	if (i >= N_DESCRIBED)
		return false;
	*namep = variables[i].name;
	*expectedp = variables[i].expected;
	*standardp = variables[i].standard;
	return true;
}

const char *settings_refuse(const char *name, const char *value)
{
	struct settings_names names = { "c", "h", 1 };
	struct settings scratch;
	unsigned i;

	set_defaults(&scratch);
	for (i = 0; i < HS_ARRAY_SIZE(variables); i++)
		if (!strcmp(name, variables[i].name) && !variables[i].parse(&scratch, value, names))
			return variables[i].expected;
	return NULL;
}
