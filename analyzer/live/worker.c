/*
 * worker.c - owns the thread, its clock, and the hand-over of figures. What it reads is
 * feed.c's, what it makes of that model.c's.
 */
#include "analyzer/live/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "analyzer/alloc.h"
#include "analyzer/clock.h"

#define NS_PER_S        1000000000ull
/* How long worker_stop() waits. A reading of a usual process takes far less. */
#define STOP_PATIENCE_S 1
#define MESSAGE_BYTES   256

struct worker {
	pthread_t thread;
	struct feed *feed;
	struct model *model;
	uint64_t every_ns;
	int pipe_fds[2]; /* a byte for each hand-over */

	pthread_mutex_t lock; /* of all below */
	pthread_cond_t wake;
	bool quit, paused, mark, has_focus, write;
	char *focus;                 /* with has_focus; NULL: none */
	char message[MESSAGE_BYTES]; /* "": none */
	struct figures *figures;
	uint64_t n_readings;
	bool failed;
	struct fail failure;
};

static void hand_over(struct worker *worker, struct figures *fig, const struct fail *f)
{
	struct figures *old;
	ssize_t n;

	pthread_mutex_lock(&worker->lock);
	old = worker->figures;
	worker->figures = fig;
	if (!fig) {
		worker->failed = true;
		worker->failure = *f;
	}
	pthread_mutex_unlock(&worker->lock);
	figures_free(old);
	/* A full pipe says it already. */
	n = write(worker->pipe_fds[1], "", 1);
	(void)n;
}

/* Waits for orders or until due_ns. Returns false for the end. Called with the lock held. */
static bool wait_for_work(struct worker *worker, uint64_t due_ns, bool ended)
{
	struct timespec due = { (time_t)(due_ns / NS_PER_S), (long)(due_ns % NS_PER_S) };

	while (!worker->quit && !worker->mark && !worker->has_focus && !worker->write) {
		if (worker->paused || ended)
			pthread_cond_wait(&worker->wake, &worker->lock);
		else if (pthread_cond_timedwait(&worker->wake, &worker->lock, &due) == ETIMEDOUT)
			break;
	}
	return !worker->quit;
}

/* Carries out orders, whose fields the lock protects. Returns whether there were any. */
static bool take_orders(struct worker *worker)
{
	bool any = worker->mark || worker->has_focus;

	if (worker->mark)
		model_mark(worker->model);
	if (worker->has_focus)
		model_set_focus(worker->model, worker->focus);
	worker->mark = worker->has_focus = false;
	return any;
}

/*
 * One reading into the model. Returns 1 for news, 0 for none, -1 when there never
 * was anything. What cannot be read later than that has ended.
 */
static int read_once(struct worker *worker, bool *endedp, struct fail *f)
{
	struct feed_reading reading;
	bool was_ended = *endedp, news;

	if (feed_read(worker->feed, &reading, f) < 0) {
		if (!worker->n_readings)
			return -1;
		reading.ended = true;
	}
	*endedp = reading.ended;
	news = reading.snapshot || reading.ended != was_ended;
	pthread_mutex_lock(&worker->lock);
	worker->n_readings += news;
	pthread_mutex_unlock(&worker->lock);
	model_add(worker->model, &reading);
	return news;
}

/* Called and left with the lock held, which a slow disk must not keep. */
static void write_snapshot(struct worker *worker)
{
	char message[MESSAGE_BYTES];
	ssize_t n;

	worker->write = false;
	pthread_mutex_unlock(&worker->lock);
	feed_write(worker->feed, message, sizeof(message));
	pthread_mutex_lock(&worker->lock);
	memcpy(worker->message, message, sizeof(message));
	n = write(worker->pipe_fds[1], "", 1);
	(void)n;
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	uint64_t due_ns = clock_ns(CLOCK_MONOTONIC);
	bool ended = false, ordered;
	struct figures *fig;
	struct fail f;
	int news;

	pthread_mutex_lock(&worker->lock);
	while (wait_for_work(worker, due_ns, ended)) {
		if (worker->write) {
			write_snapshot(worker);
			continue;
		}
		ordered = worker->n_readings && take_orders(worker);
		pthread_mutex_unlock(&worker->lock);
		news = ordered;
		if (!ordered) {
			news = read_once(worker, &ended, &f);
			due_ns += worker->every_ns;
			/* Late: no refreshes in a row to make up for it. */
			if (due_ns < clock_ns(CLOCK_MONOTONIC))
				due_ns = clock_ns(CLOCK_MONOTONIC) + worker->every_ns;
		}
		fig = news > 0 ? model_figures(worker->model, &f) : NULL;
		if (news < 0 || (news > 0 && !fig)) {
			hand_over(worker, NULL, &f);
			return NULL;
		}
		if (fig)
			hand_over(worker, fig, NULL);
		pthread_mutex_lock(&worker->lock);
	}
	pthread_mutex_unlock(&worker->lock);
	return NULL;
}

struct worker *worker_start(
	struct feed *feed, struct model *model, uint64_t every_ns, struct fail *f)
{
	static const int own[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP };
	struct worker *worker = alloc_array(1, sizeof(*worker));
	pthread_condattr_t attr;
	sigset_t all, old;
	size_t i;
	int error;

	worker->feed = feed;
	worker->model = model;
	worker->every_ns = every_ns;
	pthread_mutex_init(&worker->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&worker->wake, &attr);
	pthread_condattr_destroy(&attr);
	if (pipe2(worker->pipe_fds, O_CLOEXEC | O_NONBLOCK) < 0) {
		fail_set(f, EXIT_CODE_OTHER, "cannot make a pipe: %s", strerror(errno));
		free(worker);
		return NULL;
	}
	/* Signals are the terminal's thread's, but for a crash of the thread itself. */
	sigfillset(&all);
	for (i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		sigdelset(&all, own[i]);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	error = pthread_create(&worker->thread, NULL, work, worker);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!error)
		return worker;
	fail_set(f, EXIT_CODE_OTHER, "cannot start a thread: %s", strerror(error));
	close(worker->pipe_fds[0]);
	close(worker->pipe_fds[1]);
	free(worker);
	return NULL;
}

int worker_fd(const struct worker *worker)
{
	return worker->pipe_fds[0];
}

struct figures *worker_take(
	struct worker *worker, uint64_t *n_readingsp, bool *failedp, struct fail *f)
{
	struct figures *fig;
	char bytes[64];

	while (read(worker->pipe_fds[0], bytes, sizeof(bytes)) > 0)
		;
	pthread_mutex_lock(&worker->lock);
	fig = worker->figures;
	worker->figures = NULL;
	*n_readingsp = worker->n_readings;
	*failedp = worker->failed;
	if (worker->failed)
		*f = worker->failure;
	pthread_mutex_unlock(&worker->lock);
	return fig;
}

void worker_mark(struct worker *worker)
{
	pthread_mutex_lock(&worker->lock);
	worker->mark = true;
	pthread_cond_signal(&worker->wake);
	pthread_mutex_unlock(&worker->lock);
}

void worker_set_focus(struct worker *worker, const char *focus)
{
	pthread_mutex_lock(&worker->lock);
	free(worker->focus);
	worker->focus = focus ? alloc_text(focus, strlen(focus)) : NULL;
	worker->has_focus = true;
	pthread_cond_signal(&worker->wake);
	pthread_mutex_unlock(&worker->lock);
}

void worker_write(struct worker *worker)
{
	pthread_mutex_lock(&worker->lock);
	worker->write = true;
	pthread_cond_signal(&worker->wake);
	pthread_mutex_unlock(&worker->lock);
}

bool worker_take_message(struct worker *worker, char *text, size_t bytes)
{
	bool any;

	pthread_mutex_lock(&worker->lock);
	any = worker->message[0] != '\0';
	if (any)
		snprintf(text, bytes, "%s", worker->message);
	worker->message[0] = '\0';
	pthread_mutex_unlock(&worker->lock);
	return any;
}

void worker_pause(struct worker *worker, bool paused)
{
	pthread_mutex_lock(&worker->lock);
	worker->paused = paused;
	pthread_cond_signal(&worker->wake);
	pthread_mutex_unlock(&worker->lock);
}

bool worker_stop(struct worker *worker)
{
	struct timespec until;

	pthread_mutex_lock(&worker->lock);
	worker->quit = true;
	pthread_cond_signal(&worker->wake);
	pthread_mutex_unlock(&worker->lock);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += STOP_PATIENCE_S;
	if (pthread_timedjoin_np(worker->thread, NULL, &until))
		return false;
	figures_free(worker->figures);
	free(worker->focus);
	pthread_mutex_destroy(&worker->lock);
	pthread_cond_destroy(&worker->wake);
	close(worker->pipe_fds[0]);
	close(worker->pipe_fds[1]);
	free(worker);
	return true;
}
