/*
 * log.c - owns the library's few words on stderr. Formats by itself: printf may
 * allocate and takes locks. Leaves what is worth saying to the callers.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/stat.h>
#include "preload/atomics.h"
#include "preload/compiler.h"
#include "preload/file_limit.h"
#include "preload/log.h"
#include "preload/rawsys.h"

#define LINES_MAX 100

static int verbose;
static unsigned lines;
static dev_t stderr_device;
static ino_t stderr_inode; /* 0: it was closed at load, and whatever is there now is a file */
static int stderr_known;
static uint32_t bare_tid;
static uint32_t silent;

struct text {
	char *out;
	size_t room, length;
};

static void put(struct text *t, char c)
{
	if (t->length < t->room)
		t->out[t->length] = c;
	t->length++;
}

static void put_string(struct text *t, const char *s)
{
	for (s = s ? s : "(none)"; *s; s++)
		put(t, *s);
}

static void put_unsigned(struct text *t, uint64_t v)
{
	char digits[20];
	int n = 0;

	do
		digits[n++] = (char)('0' + v % 10);
	while (v /= 10);
	while (n)
		put(t, digits[--n]);
}

static void put_errno(struct text *t, int error)
{
	static const struct {
		int error;
		const char *text;
	} known[] = {
		{ EACCES, "permission denied" },
		{ EAGAIN, "resource limit reached" },
		{ EDQUOT, "over the disk quota" },
		{ EEXIST, "exists already" },
		{ EFAULT, "no memory behind it" },
		{ EFBIG, "over the file size limit" },
		{ EINVAL, "not supported here" },
		{ EIO, "input or output error" },
		{ EMEDIUMTYPE, "not on tmpfs" },
		{ EMFILE, "too many open files" },
		{ ENAMETOOLONG, "the name is too long" },
		{ ENFILE, "too many open files on this machine" },
		{ ENODEV, "not supported here" },
		{ ENOENT, "does not exist" },
		{ ENOMEM, "out of memory" },
		{ ENOSPC, "no space left" },
		{ ENOSYS, "not supported by the kernel" },
		{ ENOTDIR, "not a directory" },
		{ EPERM, "not permitted" },
		{ EROFS, "read-only file system" },
		{ ELOOP, "a symbolic link" },
		{ EBUSY, "busy" },
	};
	unsigned i;

	error = error < 0 ? -error : error;
	for (i = 0; i < HS_ARRAY_SIZE(known); i++)
		if (known[i].error == error) {
			put_string(t, known[i].text);
			return;
		}
	put_string(t, "error ");
	put_unsigned(t, (uint64_t)error);
}

size_t log_vformat(char *out, size_t bytes, const char *format, va_list ap)
{
	struct text t = { out, bytes ? bytes - 1 : 0, 0 };

	for (; *format; format++) {
		if (*format != '%') {
			put(&t, *format);
			continue;
		}
		switch (*++format) {
		case 's':
			put_string(&t, va_arg(ap, const char *));
			break;
		case 'u':
			put_unsigned(&t, va_arg(ap, unsigned));
			break;
		case 'l':
			format++;
			put_unsigned(&t, va_arg(ap, uint64_t));
			break;
		case 'd': {
			int v = va_arg(ap, int);

			if (v < 0)
				put(&t, '-');
			put_unsigned(&t, v < 0 ? 0u - (unsigned)v : (unsigned)v);
			break;
		}
		case 'e':
			put_errno(&t, va_arg(ap, int));
			break;
		case 'c':
			put(&t, (char)va_arg(ap, int));
			break;
		default:
			put(&t, *format);
		}
	}
	if (bytes)
		out[t.length < t.room ? t.length : t.room] = '\0';
	return t.length;
}

size_t log_format(char *out, size_t bytes, const char *format, ...)
{
	va_list ap;
	size_t n;

	va_start(ap, format);
	n = log_vformat(out, bytes, format, ap);
	va_end(ap);
	return n;
}

void log_init(void)
{
	struct stat st;

	stderr_known = 1;
	if (!rawsys(SYS_fstat, 2, &st)) {
		stderr_device = st.st_dev;
		stderr_inode = st.st_ino;
	}
}

/* Whether so many bytes more are below RLIMIT_FSIZE, wherever in the file they go. */
static bool fits(int fd, const struct stat *st, size_t bytes)
{
	uint64_t limit_bytes = file_limit_bytes();
	long at = rawsys(SYS_lseek, fd, 0, SEEK_CUR);

	if (at < st->st_size)
		at = st->st_size;
	return limit_bytes >= bytes && (uint64_t)at <= limit_bytes - bytes;
}

/*
 * Whether descriptor 2 is still what it was at load (programs close it, and a
 * data file gets the number), and neither nobody's broken pipe nor a file that is as large as it
 * may be: to write to these would kill.
 */
static bool takes_line(int fd, size_t bytes)
{
	struct pollfd pipe = { fd, 0, 0 };
	struct stat st;

	if (rawsys(SYS_fstat, fd, &st) < 0 || (S_ISREG(st.st_mode) && !fits(fd, &st, bytes)))
		return false;
	/* Before load nobody can have closed it. */
	if (stderr_known && (st.st_dev != stderr_device || st.st_ino != stderr_inode))
		return false;
	return !(rawsys(SYS_poll, &pipe, 1, 0) > 0 && pipe.revents & (POLLERR | POLLHUP));
}

void log_without_descriptors(void)
{
	/* Relaxed: only this thread will find its own number here. */
	hs_store_relaxed(&bare_tid, (uint32_t)rawsys(SYS_gettid, 0));
}

/* Where lines go: 2, or for a thread without descriptors the program's own 2, opened anew. */
static int open_stderr(void)
{
	if (!hs_load_relaxed(&bare_tid) ||
		hs_load_relaxed(&bare_tid) != (uint32_t)rawsys(SYS_gettid, 0))
		return 2;
	return (int)rawsys(SYS_open, "/proc/self/fd/2",
		O_WRONLY | O_APPEND | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
}

void log_silence(bool is_silent)
{
	hs_store_relaxed(&silent, is_silent);
}

static bool write_line(const char *format, va_list ap)
{
	static const char prefix[] = "heapspy: ";
	size_t n = sizeof(prefix) - 1;
	char line[768]; /* with HEAPSPY_DIR in it */
	bool written;
	int fd;

	if (hs_load_relaxed(&silent))
		return false;
	fd = open_stderr();
	if (fd < 0)
		return false;
	__builtin_memcpy(line, prefix, n);
	n += log_vformat(line + n, sizeof(line) - n, format, ap);
	if (n > sizeof(line) - 1)
		n = sizeof(line) - 1;
	line[n] = '\n';
	written = takes_line(fd, n + 1) && rawsys(SYS_write, fd, line, n + 1) > 0;
	if (fd != 2)
		rawsys(SYS_close, fd);
	return written;
}

void log_line(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	write_line(format, ap);
	va_end(ap);
}

bool log_verbose(const char *format, ...)
{
	bool written;
	va_list ap;

	if (!verbose || hs_load_relaxed(&lines) >= LINES_MAX)
		return false;
	va_start(ap, format);
	written = write_line(format, ap);
	va_end(ap);
	if (written)
		hs_add_relaxed(&lines, 1);
	return written;
}

void log_set_verbose(int on)
{
	verbose = on;
}
