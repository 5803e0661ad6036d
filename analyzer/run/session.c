/*
 * session.c - owns the child process of heapspy run: start, signals, job
 * control, end. The processes that it becomes are targets.c's business.
 *
 * The command stays in our process group, so the terminal treats both as one
 * job. What the kernel sends to the group (Ctrl-C) has reached the command already
 * and is not passed on; what somebody sends to us alone is, and so is the hang-up
 * of a terminal whose session we lead, of which the kernel tells nobody else.
 */
#include "analyzer/run/session.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "analyzer/alloc.h"
#include "analyzer/clock.h"
#include "analyzer/target/proc.h"
#include "preload/state/settings.h"

#define CHILD_LOOK_NS 200000000ull
#define FAREWELL_NS   1000000000ull

/*
 * What an exec hands on and a fork does not, or what we change for ourselves: the
 * command gets it as it would have it without us.
 */
struct inheritance {
	sigset_t mask;
	struct sigaction on_child;
	struct itimerval timers[3]; /* ITIMER_REAL, _VIRTUAL, _PROF: alarm() before an exec */
	struct rlimit files;
	int parent_death_signal;
};

static void take_over(struct inheritance *given, const sigset_t *blocked)
{
	const struct itimerval none = { { 0, 0 }, { 0, 0 } };
	const struct sigaction standard = { .sa_handler = SIG_DFL };
	int which;

	sigprocmask(SIG_BLOCK, blocked, &given->mask);
	/* Ignored, it would keep the end of the command from us. */
	sigaction(SIGCHLD, &standard, &given->on_child);
	for (which = ITIMER_REAL; which <= ITIMER_PROF; which++)
		if (setitimer(which, &none, &given->timers[which]))
			given->timers[which] = none;
	/* Two descriptors a process that we look after. */
	getrlimit(RLIMIT_NOFILE, &given->files);
	setrlimit(RLIMIT_NOFILE, &(struct rlimit){ given->files.rlim_max, given->files.rlim_max });
	if (prctl(PR_GET_PDEATHSIG, &given->parent_death_signal))
		given->parent_death_signal = 0;
}

static void hand_on(const struct inheritance *given)
{
	int which;

	sigaction(SIGCHLD, &given->on_child, NULL);
	for (which = ITIMER_REAL; which <= ITIMER_PROF; which++)
		setitimer(which, &given->timers[which], NULL);
	setrlimit(RLIMIT_NOFILE, &given->files);
	prctl(PR_SET_PDEATHSIG, given->parent_death_signal, 0, 0, 0);
	sigprocmask(SIG_SETMASK, &given->mask, NULL);
}

/* In the child: becomes the command, or tells why not through the pipe. Does not return. */
static void become(const struct session *s, const struct inheritance *given, int error_fd)
{
	char dir[PATH_MAX];
	int error;

	if (s->dir_prefix) {
		snprintf(dir, sizeof(dir), "%s.%d", s->dir_prefix, (int)getpid());
		*s->dir_slot = dir;
	}
	hand_on(given);
	execvpe(s->argv[0], s->argv, s->environment);
	error = errno;
	if (write(error_fd, &error, sizeof(error)) != sizeof(error))
		_exit(SESSION_EXIT_FAILED);
	_exit(SESSION_EXIT_FAILED);
}

/* HEAPSPY_DIR as the command itself reads it. */
static void set_dir(struct session *s)
{
	struct settings_names names = { "", "", s->pid };
	const char *name = strrchr(s->argv[0], '/');
	struct settings settings;
	struct utsname host;

	names.comm = name ? name + 1 : s->argv[0];
	if (!uname(&host))
		names.host = host.nodename;
	settings_read(&settings, s->environment, names, NULL, NULL);
	if (s->dir_prefix)
		snprintf(s->targets.dir, sizeof(s->targets.dir), "%s.%u",
			s->dir_prefix + strlen("HEAPSPY_DIR="), s->pid);
	else
		snprintf(s->targets.dir, sizeof(s->targets.dir), "%s", settings.dir);
	s->targets.keep_bytes = settings.keep_bytes;
	s->targets.environment = s->dir_prefix ? NULL : s->environment;
}

static int start(struct session *s, const struct inheritance *given, struct fail *f)
{
	int pipe_fds[2], error = 0;
	ssize_t n;
	pid_t pid;

	if (pipe2(pipe_fds, O_CLOEXEC))
		return fail_set(f, SESSION_EXIT_FAILED, "cannot make a pipe: %s", strerror(errno));
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		become(s, given, pipe_fds[1]);
	error = errno;
	close(pipe_fds[1]);
	if (pid < 0) {
		close(pipe_fds[0]);
		return fail_set(
			f, SESSION_EXIT_FAILED, "cannot start a process: %s", strerror(error));
	}
	s->pid = (uint32_t)pid;
	set_dir(s);
	while ((n = read(pipe_fds[0], &error, sizeof(error))) < 0 && errno == EINTR)
		;
	close(pipe_fds[0]);
	if (n <= 0) /* closed by the exec */
		return 0;
	waitpid(pid, NULL, 0);
	return fail_set(f, error == ENOENT ? SESSION_EXIT_NOT_FOUND : SESSION_EXIT_NOT_EXECUTABLE,
		"cannot run '%s': %s", s->argv[0], strerror(error));
}

static bool has_ended(const struct session *s)
{
	return s->end_ns != 0;
}

static bool is_stopped(uint32_t pid)
{
	struct proc_stat stat;

	return proc_read_stat(pid, &stat) && stat.state == 'T';
}

/* The shell waits for us too; its SIGCONT wakes the whole group. */
static void stop_too(struct session *s)
{
	s->was_told_to_stop = false;
	raise(SIGSTOP);
}

/* Whether a shell that knows jobs waits for us; *in_frontp: and the terminal is ours. */
static bool is_job(bool *in_frontp)
{
	pid_t group = getpgrp();
	struct proc_stat stat;

	if (!proc_read_stat((uint32_t)getpid(), &stat) || stat.terminal_group < 0)
		return false;
	*in_frontp = stat.terminal_group == group;
	return getpgid(getppid()) != group;
}

/*
 * Collects what has ended, and stops with the command when the terminal stopped
 * it, be it that the command answered by a SIGSTOP of its own, and when its shell
 * would get no prompt else. Anybody else's SIGSTOP is for the command alone.
 */
static void reap(struct session *s)
{
	bool in_front = false;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
		if ((uint32_t)pid != s->pid)
			continue;
		if (!WIFSTOPPED(status)) {
			s->wait_status = status;
			s->end_ns = clock_ns(CLOCK_MONOTONIC);
		} else if (WSTOPSIG(status) != SIGSTOP || s->was_told_to_stop ||
			   (is_job(&in_front) && in_front && is_stopped(s->pid))) {
			stop_too(s);
		}
	}
	s->has_children = pid == 0;
}

/* Passes a signal on, with the value that sigqueue() gave it. */
static void forward(const struct session *s, const struct signalfd_siginfo *info)
{
	union sigval value = { .sival_ptr = (void *)(uintptr_t)info->ssi_ptr };

	if (info->ssi_code == SI_QUEUE)
		sigqueue((pid_t)s->pid, (int)info->ssi_signo, value);
	else
		kill((pid_t)s->pid, (int)info->ssi_signo);
}

/*
 * The command has ended and others go on. Those that the same signal reached, or is
 * about to, get a moment to end, for their last snapshot. Returns false when it is
 * the second one: leave at once.
 */
static bool on_signal_after_end(struct session *s, int signal)
{
	struct sigaction action;

	/* nohup, and jobs in the background of a script */
	if (sigaction(signal, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
		return true;
	switch (signal) {
	case SIGTSTP:
		stop_too(s);
		return true;
	case SIGINT:
	case SIGTERM:
	case SIGHUP:
	case SIGQUIT:
	case SIGABRT:
		if (s->leave_ns)
			return false;
		s->leave_ns = clock_ns(CLOCK_MONOTONIC) + FAREWELL_NS;
		return true;
	default:
		return true;
	}
}

/* What to do about one signal. Returns false when it means that we shall leave. */
static bool on_signal(struct session *s, const struct signalfd_siginfo *info)
{
	int signal = (int)info->ssi_signo;
	/* What the command sends to its group, or to all, it has not sent to itself through us. */
	bool sent_to_us = info->ssi_code != SI_KERNEL &&
			  !(info->ssi_pid && proc_is_below(info->ssi_pid, (uint32_t)getpid()));
	bool in_front;

	if (signal == SIGCHLD) {
		reap(s);
		return true;
	}
	if (has_ended(s))
		return on_signal_after_end(s, signal);
	if (signal == SIGCONT) {
		s->was_told_to_stop = false;
		/* A shell continues the whole group. */
		if (is_stopped(s->pid) || (sent_to_us && !is_job(&in_front)))
			kill((pid_t)s->pid, SIGCONT);
		return true;
	}
	if (signal == SIGTSTP) {
		s->was_told_to_stop = true;
		if (is_stopped(s->pid)) {
			stop_too(s);
			return true;
		}
	}
	if (sent_to_us || (signal == SIGHUP && getsid(0) == getpid()))
		forward(s, info);
	return true;
}

static bool handle_signals(struct session *s, int signal_fd)
{
	struct signalfd_siginfo info;
	bool stay = true;

	while (read(signal_fd, &info, sizeof(info)) == sizeof(info))
		stay &= on_signal(s, &info);
	return stay;
}

static bool has_library(unsigned pid)
{
	char path[64], line[1024];
	bool has = false;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%u/maps", pid);
	maps = fopen(path, "re");
	while (maps && !has && fgets(line, sizeof(line), maps))
		has = strstr(line, "/libheapspy.so") != NULL;
	if (maps)
		fclose(maps);
	return has;
}

/* How many children of ours, adopted ones included, are no targets but could become some. */
static size_t n_to_come(const struct session *s)
{
	char path[64];
	FILE *children;
	unsigned pid;
	size_t n = 0;

	if (!s->follows_forks)
		return 0;
	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	children = fopen(path, "re");
	while (children && fscanf(children, "%u", &pid) == 1)
		n += !targets_has(&s->targets, pid) && has_library(pid);
	if (children)
		fclose(children);
	return n;
}

/* Sleeps until something happens or is due. */
static void wait_for_event(struct session *s, int signal_fd)
{
	const struct targets *t = &s->targets;
	struct pollfd *fds = alloc_array(t->n + 2, sizeof(*fds));
	uint64_t now = clock_ns(CLOCK_MONOTONIC), next_ns = targets_next_ns(t, now);
	struct timespec wait;
	size_t i, n = 0;

	if (has_ended(s) && next_ns > now + CHILD_LOOK_NS)
		next_ns = now + CHILD_LOOK_NS;
	if (s->leave_ns && next_ns > s->leave_ns)
		next_ns = s->leave_ns;
	fds[n++] = (struct pollfd){ signal_fd, POLLIN, 0 };
	fds[n++] = (struct pollfd){ t->inotify_fd, POLLIN, 0 };
	for (i = 0; i < t->n; i++)
		if (t->all[i].live && t->all[i].pidfd >= 0)
			fds[n++] = (struct pollfd){ t->all[i].pidfd, POLLIN, 0 };
	next_ns = next_ns > now ? next_ns - now : 0;
	wait = (struct timespec){ (time_t)(next_ns / 1000000000), (long)(next_ns % 1000000000) };
	ppoll(fds, n, next_ns > 86400000000000ull ? NULL : &wait, NULL);
	free(fds);
}

static void say_that_we_stay(const struct session *s, size_t n)
{
	if (s->quiet)
		return;
	fail_warn("%s has ended; staying for %zu process%s that it left behind (Ctrl-C here lets "
		  "them go on alone)",
		s->argv[0], n, n == 1 ? "" : "es");
}

static void watch(struct session *s, int signal_fd)
{
	bool said = false, was_last = false;
	size_t n;

	for (;;) {
		wait_for_event(s, signal_fd);
		if (!handle_signals(s, signal_fd))
			return;
		targets_discover(&s->targets);
		targets_attend(&s->targets, clock_ns(CLOCK_MONOTONIC));
		if (!has_ended(s))
			continue;
		if (s->leave_ns && clock_ns(CLOCK_MONOTONIC) >= s->leave_ns)
			return;
		reap(s);
		n = n_to_come(s);
		/* What came between the last look and its own end is in the queue by now. */
		if (!n)
			targets_discover(&s->targets);
		n += targets_n_alive(&s->targets);
		if (!n && !s->targets.n_unready) {
			/* A list of children is no more than a hint while some of them end. */
			if (was_last || !s->has_children)
				return;
			was_last = true;
			continue;
		}
		was_last = false;
		if (!said && n) {
			say_that_we_stay(s, n);
			said = true;
		}
	}
}

int session_run(struct session *s, struct fail *f)
{
	struct inheritance given;
	sigset_t all;
	int signal_fd, ret;

	if (targets_init(&s->targets, s->state_dir, f) < 0) {
		f->exit_code = SESSION_EXIT_FAILED;
		return -1;
	}
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	sigfillset(&all);
	/* All: a fault of our own kills nevertheless. SIGTTOU would stop our last words. */
	take_over(&given, &all);
	signal_fd = signalfd(-1, &all, SFD_NONBLOCK | SFD_CLOEXEC);
	s->begin_ns = clock_ns(CLOCK_MONOTONIC);
	ret = start(s, &given, f);
	if (!ret) {
		watch(s, signal_fd);
		s->n_left = n_to_come(s) + targets_n_alive(&s->targets);
	}
	targets_leave(&s->targets);
	close(signal_fd);
	return ret;
}

void session_deinit(struct session *s)
{
	targets_deinit(&s->targets);
}

int session_exit_code(const struct session *s)
{
	return WIFSIGNALED(s->wait_status) ? 128 + WTERMSIG(s->wait_status)
					   : WEXITSTATUS(s->wait_status);
}
