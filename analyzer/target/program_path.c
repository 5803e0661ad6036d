/*
 * program_path.c - owns the way from a command's first word to the file that
 * runs: PATH, permissions, "#!" lines. What is in that file is program_elf.c's.
 */
#include "analyzer/target/program_path.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define SCRIPTS_MAX 5   /* fs/exec.c: one interpreter more is ELOOP */
#define LINE_BYTES  256 /* BINPRM_BUF_SIZE: what the kernel reads of a file */
#define SHELL       "/bin/sh"
#define UNSET_PATH  "/bin:/usr/bin" /* glibc's _CS_PATH */

/* Why a file cannot be started: an errno value and the words for it. */
struct trouble {
	int error;
	bool in_script; /* the file is there, what its first line asks for is not */
	bool is_closed; /* a directory may not be searched: nobody knows what is there */
	char text[900];
};

/* First word behind "#!", and the rest of the line. */
struct script_line {
	char interpreter[LINE_BYTES];
	char argument[LINE_BYTES];
};

static int __attribute__((format(printf, 3, 4)))
set_trouble(struct trouble *t, int error, const char *format, ...)
{
	va_list ap;

	t->error = error;
	t->in_script = false;
	t->is_closed = false;
	va_start(ap, format);
	vsnprintf(t->text, sizeof(t->text), format, ap);
	va_end(ap);
	return -1;
}

const char *program_path_base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

static bool copy_path(char out[PATH_MAX], const char *path)
{
	size_t n = strlen(path);

	if (n >= PATH_MAX)
		return false;
	memcpy(out, path, n + 1);
	return true;
}

/* Whether the kernel would take path for execution, its content apart. */
static int check_file(const char *path, struct trouble *t)
{
	struct statvfs fs;
	struct stat st;

	if (stat(path, &st) < 0) {
		bool is_closed = errno == EACCES;

		set_trouble(t, errno, "cannot start '%s': %s", path,
			errno == ENOENT    ? "there is no such file"
			: errno == ENOTDIR ? "a part of its path is no directory"
			: is_closed        ? "a directory on the way to it is closed to this user"
			: errno == ELOOP   ? "symbolic links that lead to each other"
					   : strerror(errno));
		t->is_closed = is_closed;
		return -1;
	}
	if (S_ISDIR(st.st_mode))
		return set_trouble(t, EACCES, "cannot start '%s': it is a directory", path);
	if (!S_ISREG(st.st_mode))
		return set_trouble(t, EACCES, "cannot start '%s': it is no regular file", path);
	if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0)
		return 0;
	if (errno != EACCES)
		return set_trouble(t, errno, "cannot start '%s': %s", path, strerror(errno));
	if (statvfs(path, &fs) == 0 && (fs.f_flag & ST_NOEXEC))
		return set_trouble(t, EACCES,
			"cannot start '%s': its file system is mounted noexec; start a copy "
			"elsewhere",
			path);
	return set_trouble(t, EACCES,
		"cannot start '%s': not executable for this user; see chmod +x, or name its "
		"interpreter first",
		path);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Splits text, which begins behind "#!". Returns false where the kernel would not take it. */
static bool parse_line(const char *text, size_t bytes, struct script_line *line)
{
	const char *end = memchr(text, '\n', bytes), *word;
	bool is_whole = end != NULL;
	size_t n;

	if (!end)
		end = text + strnlen(text, bytes);
	while (text < end && is_blank(*text))
		text++;
	while (end > text && is_blank(end[-1]))
		end--;
	for (word = text; text < end && !is_blank(*text) && *text; text++)
		;
	/* A name that may go on beyond what the kernel reads is none. */
	if (text == word || (!is_whole && text == end && bytes == LINE_BYTES - 2))
		return false;
	n = (size_t)(text - word);
	memcpy(line->interpreter, word, n);
	line->interpreter[n] = '\0';
	while (text < end && is_blank(*text))
		text++;
	n = (size_t)(end - text);
	memcpy(line->argument, text, n);
	line->argument[n] = '\0';
	return true;
}

enum content { CONTENT_PROGRAM, CONTENT_SCRIPT, CONTENT_UNKNOWN };

/* A file that may be executed but not read counts as a program: there are such. */
static enum content look_inside(const char *path, struct script_line *line)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char head[LINE_BYTES];
	ssize_t n;

	if (fd < 0)
		return CONTENT_PROGRAM;
	n = read(fd, head, sizeof(head));
	close(fd);
	if (n >= SELFMAG && !memcmp(head, ELFMAG, SELFMAG))
		return CONTENT_PROGRAM;
	if (n > 2 && head[0] == '#' && head[1] == '!' && parse_line(head + 2, (size_t)n - 2, line))
		return CONTENT_SCRIPT;
	return n < 0 ? CONTENT_PROGRAM : CONTENT_UNKNOWN;
}

static int search(
	const char *name, const char *search_path, struct program_path *out, struct trouble *t);

/* The NAME of "#!/usr/bin/env NAME", or of "env -S NAME ..."; false for anything longer. */
static bool name_behind_env(struct script_line *line)
{
	const char *word = line->argument;
	size_t n;

	if (strcmp(program_path_base(line->interpreter), "env"))
		return false;
	if (!strncmp(word, "-S", 2)) {
		for (word += 2; is_blank(*word); word++)
			;
		n = strcspn(word, " \t");
	} else {
		n = strlen(word); /* the kernel hands it over as one word */
	}
	if (!n || *word == '-' || memchr(word, '=', n) || memchr(word, ' ', n))
		return false;
	memmove(line->argument, word, n);
	line->argument[n] = '\0';
	return true;
}

/* The interpreter of path, in words that name both. */
static int follow_script(const char *path, struct script_line *line, const char *search_path,
	struct program_path *out, struct trouble *t)
{
	struct program_path behind = { .n_scripts = out->n_scripts };
	size_t n = strlen(line->interpreter);
	struct trouble inner;

	if (check_file(line->interpreter, &inner) < 0) {
		if (n && line->interpreter[n - 1] == '\r')
			return set_trouble(t, inner.error,
				"cannot start '%s': its first line ends in CR LF, so its "
				"interpreter is '%s'; give it Unix line ends",
				path, line->interpreter);
		return set_trouble(t, inner.error,
			"cannot start '%s': its interpreter '%s' %s; see its first line", path,
			line->interpreter,
			inner.error == ENOENT || inner.error == ENOTDIR ? "is not there"
									: "cannot be executed");
	}
	if (!name_behind_env(line)) {
		copy_path(out->program, line->interpreter);
		return 0;
	}
	if (search(line->argument, search_path, &behind, &inner) < 0)
		return set_trouble(t, inner.error,
			"cannot start '%s': its first line asks for '%s', which %s", path,
			line->argument,
			inner.error == ENOENT || inner.error == ENOTDIR ? "is not found in PATH"
									: "cannot be executed");
	copy_path(out->program, behind.program);
	out->n_scripts = behind.n_scripts;
	out->by_shell = behind.by_shell;
	return 0;
}

/* One candidate: whether execve() would start it, and what then runs. */
static int try_file(
	const char *path, const char *search_path, struct program_path *out, struct trouble *t)
{
	struct script_line line;

	if (!copy_path(out->file, path))
		return set_trouble(t, ENAMETOOLONG, "cannot start a program by so long a path");
	copy_path(out->program, path);
	out->by_shell = false;
	if (check_file(path, t) < 0)
		return -1;
	for (;;) {
		char script[PATH_MAX];

		switch (look_inside(out->program, &line)) {
		case CONTENT_PROGRAM:
			return 0;
		case CONTENT_UNKNOWN:
			if (check_file(SHELL, t) < 0)
				return -1;
			copy_path(out->program, SHELL);
			out->by_shell = true;
			out->n_scripts++;
			return 0;
		case CONTENT_SCRIPT:
			break;
		}
		if (out->n_scripts++ >= SCRIPTS_MAX)
			return set_trouble(t, ELOOP,
				"cannot start '%s': more than %d scripts that are each other's "
				"interpreter; see its first line",
				path, SCRIPTS_MAX);
		copy_path(script, out->program);
		if (follow_script(script, &line, search_path, out, t) < 0) {
			t->in_script = true;
			return -1;
		}
		if (out->by_shell)
			return 0;
	}
}

/* Errors after which execvp() looks into the next directory. */
static bool is_passed_over(int error)
{
	return error == ENOENT || error == ENOTDIR || error == EACCES || error == ESTALE ||
	       error == ENODEV || error == ETIMEDOUT;
}

static int search(
	const char *name, const char *search_path, struct program_path *out, struct trouble *t)
{
	const char *entry = search_path ? search_path : UNSET_PATH;
	const char *closed = NULL;
	unsigned n_scripts = out->n_scripts;
	struct trouble one, kept = { 0 };

	if (!*name)
		return set_trouble(t, ENOENT, "cannot start '': an empty name");
	if (strchr(name, '/'))
		return try_file(name, search_path, out, t);
	for (;; entry++) {
		size_t n = strcspn(entry, ":");
		char path[PATH_MAX];
		bool missing;

		if (n + strlen(name) + 2 <= sizeof(path)) {
			snprintf(path, sizeof(path), "%.*s%s%s", (int)n, entry, n ? "/" : "", name);
			out->n_scripts = n_scripts;
			if (try_file(path, search_path, out, &one) == 0)
				return 0;
			/*
			 * What was there and would not start says more than what was not; a
			 * missing file has its words below.
			 */
			missing = one.error == ENOENT || one.error == ENOTDIR;
			if (one.is_closed)
				closed = closed ? closed : entry;
			else if (missing ? !kept.error && one.in_script : kept.error != EACCES)
				kept = one;
			if (!is_passed_over(one.error))
				break;
		}
		entry += n;
		if (!*entry)
			break;
	}
	if (kept.error) {
		*t = kept;
		return -1;
	}
	if (closed) /* execvp() does not call that "not found" either */
		return set_trouble(t, EACCES,
			"cannot start '%s': not found in PATH, where %.*s is closed to this user",
			name, (int)strcspn(closed, ":"), closed);
	return set_trouble(t, ENOENT, "cannot start '%s': not found in PATH%s%s", name,
		access(name, F_OK) == 0 ? "; the one in this directory is ./" : "",
		access(name, F_OK) == 0 ? name : "");
}

int program_path_resolve(
	const char *name, const char *search_path, struct program_path *out, struct fail *f)
{
	struct trouble t;

	memset(out, 0, sizeof(*out));
	if (search(name, search_path, out, &t) == 0)
		return 0;
	return fail_set(f,
		t.error == ENOENT || t.error == ENOTDIR ? PROGRAM_EXIT_NOT_FOUND
							: PROGRAM_EXIT_NOT_EXECUTABLE,
		"%s", t.text);
}
