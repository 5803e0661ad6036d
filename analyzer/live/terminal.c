/*
 * terminal.c - owns the modes of the terminal and the signals that concern it. What is
 * shown is paint.c's, what keys mean keys.c's.
 */
#include "analyzer/live/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* Alternate screen, no wrapping at the right edge, no cursor; and back. */
#define ENTER "\033[?1049h\033[?7l\033[?25l\033[H\033[2J"
#define LEAVE "\033[0m\033[?7h\033[?25h\033[?1049l"

#define CRASH_STACK_BYTES 32768

static const int crash_signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP,
	SIGQUIT };
static const int end_signals[] = { SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGALRM, SIGPIPE };
#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static struct {
	int key_fd;           /* -1: there are no keys */
	struct termios saved; /* of key_fd */
	int pipe_fds[2];      /* a byte for each signal: wakes terminal_wait() */
	bool is_open;
	volatile sig_atomic_t is_entered; /* the modes are ours */
	volatile sig_atomic_t resized, continued, stop, end_signal;
} tty = { .key_fd = -1 };

bool terminal_is_there(void)
{
	return isatty(STDOUT_FILENO);
}

/* Gives the modes back. Safe in a signal handler and twice. */
static void restore(void)
{
	sigset_t ttou, old;
	ssize_t n;

	if (!tty.is_entered)
		return;
	tty.is_entered = 0;
	/* In the background, setting modes would stop the process, with the screen left behind. */
	sigemptyset(&ttou);
	sigaddset(&ttou, SIGTTOU);
	pthread_sigmask(SIG_BLOCK, &ttou, &old);
	n = write(STDOUT_FILENO, LEAVE, sizeof(LEAVE) - 1);
	(void)n;
	if (tty.key_fd >= 0)
		tcsetattr(tty.key_fd, TCSANOW, &tty.saved);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* In the background this stops the process until it is in the foreground again. */
static void enter(void)
{
	struct termios raw = tty.saved;

	if (tty.key_fd >= 0) {
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | IEXTEN);
		raw.c_iflag &= ~(tcflag_t)IXON;
		raw.c_cc[VMIN] = 0;
		raw.c_cc[VTIME] = 0;
		tcsetattr(tty.key_fd, TCSANOW, &raw);
	}
	tty.is_entered = 1;
	terminal_write(ENTER, sizeof(ENTER) - 1);
}

static void on_crash(int sig)
{
	restore();
	/* SA_RESETHAND has put the default back; it acts when this handler returns. */
	raise(sig);
}

static void on_signal(int sig)
{
	int error = errno;
	ssize_t n;

	if (sig == SIGWINCH)
		tty.resized = 1;
	else if (sig == SIGCONT)
		tty.continued = 1;
	else if (sig == SIGTSTP)
		tty.stop = 1;
	else
		tty.end_signal = sig;
	n = write(tty.pipe_fds[1], "", 1);
	(void)n;
	errno = error;
}

static void handle(int sig, void (*handler)(int), int flags)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = flags }, old;

	/* What a parent has set to be ignored stays so (nohup, a shell without job control). */
	if (sigaction(sig, NULL, &old) == 0 && old.sa_handler == SIG_IGN)
		return;
	sigfillset(&action.sa_mask);
	sigaction(sig, &action, NULL);
}

static void handle_signals(void)
{
	static char crash_stack[CRASH_STACK_BYTES];
	stack_t stack = { .ss_sp = crash_stack, .ss_size = sizeof(crash_stack) };
	size_t i;

	sigaltstack(&stack, NULL);
	for (i = 0; i < N_OF(crash_signals); i++)
		handle(crash_signals[i], on_crash, SA_ONSTACK | (int)SA_RESETHAND);
	for (i = 0; i < N_OF(end_signals); i++)
		handle(end_signals[i], on_signal, SA_RESTART);
	handle(SIGTSTP, on_signal, SA_RESTART);
	handle(SIGCONT, on_signal, SA_RESTART);
	handle(SIGWINCH, on_signal, SA_RESTART);
}

static int open_keys(void)
{
	if (isatty(STDIN_FILENO))
		return STDIN_FILENO;
	return open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
}

int terminal_open(struct fail *f)
{
	const char *term = getenv("TERM");

	if (!term || !*term || !strcmp(term, "dumb"))
		return fail_set(f, EXIT_CODE_OTHER,
			"this terminal (TERM=%s) cannot show a screen; use --json, or heapspy top",
			term ? term : "");
	if (pipe2(tty.pipe_fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return fail_set(f, EXIT_CODE_OTHER, "cannot make a pipe: %s", strerror(errno));
	tty.key_fd = open_keys();
	if (tty.key_fd >= 0 && tcgetattr(tty.key_fd, &tty.saved) < 0)
		tty.key_fd = -1;
	atexit(restore);
	handle_signals();
	tty.is_open = true;
	enter();
	return 0;
}

void terminal_close(void)
{
	restore();
	tty.is_open = false;
}

void terminal_size(int *columnsp, int *linesp)
{
	struct winsize size;

	*columnsp = 80;
	*linesp = 24;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || !size.ws_col || !size.ws_row)
		return;
	*columnsp = size.ws_col;
	*linesp = size.ws_row;
}

/* Stops as Ctrl-Z would have, with the terminal as the shell expects it. */
static void stop(void)
{
	struct sigaction standard = { .sa_handler = SIG_DFL }, ours;
	sigset_t tstp;

	restore();
	sigaction(SIGTSTP, &standard, &ours);
	sigemptyset(&tstp);
	sigaddset(&tstp, SIGTSTP);
	pthread_sigmask(SIG_UNBLOCK, &tstp, NULL);
	raise(SIGTSTP);
	sigaction(SIGTSTP, &ours, NULL);
}

/* Acts on what the handlers have noted. */
static unsigned take_signals(void)
{
	unsigned seen = 0;
	char bytes[64];

	while (read(tty.pipe_fds[0], bytes, sizeof(bytes)) > 0)
		;
	if (tty.end_signal)
		return TERMINAL_ENDED;
	if (tty.stop) {
		tty.stop = 0;
		stop();
		tty.continued = 1;
	}
	if (tty.continued) {
		tty.continued = 0;
		/* Also after a SIGSTOP, behind which a shell has set modes of its own. */
		enter();
		seen = TERMINAL_REPAINT;
	}
	if (tty.resized) {
		tty.resized = 0;
		seen = TERMINAL_REPAINT;
	}
	return seen;
}

unsigned terminal_wait(int fd, int timeout_ms)
{
	struct pollfd fds[] = { { tty.pipe_fds[0], POLLIN, 0 }, { fd, POLLIN, 0 },
		{ tty.key_fd, POLLIN, 0 } };
	unsigned seen = 0;

	if (poll(fds, N_OF(fds), timeout_ms) < 0)
		return take_signals();
	if (fds[0].revents)
		seen = take_signals();
	if (fds[1].revents)
		seen |= TERMINAL_OTHER;
	if (fds[2].revents & POLLIN)
		seen |= TERMINAL_KEYS;
	else if (fds[2].revents)
		seen |= TERMINAL_ENDED;
	return seen;
}

size_t terminal_read(char *bytes, size_t size)
{
	ssize_t n = tty.key_fd < 0 ? 0 : read(tty.key_fd, bytes, size);

	return n > 0 ? (size_t)n : 0;
}

bool terminal_write(const char *bytes, size_t n)
{
	ssize_t written;

	while (n) {
		written = write(STDOUT_FILENO, bytes, n);
		if (written < 0 && errno != EINTR && errno != EAGAIN)
			return false;
		/* Somebody else's O_NONBLOCK on a shared terminal. */
		if (written < 0 && errno == EAGAIN)
			poll(&(struct pollfd){ STDOUT_FILENO, POLLOUT, 0 }, 1, 100);
		if (written <= 0)
			continue;
		bytes += written;
		n -= (size_t)written;
	}
	return true;
}

void terminal_obey_signal(void)
{
	int sig = tty.end_signal;
	sigset_t set;

	if (!sig)
		return;
	signal(sig, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, sig);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	raise(sig);
}
