/* SPDX-License-Identifier: MIT */
/*
 * Signals: restarted and interrupted calls, order and values of queued ones, masks, nesting,
 * alternate stacks, signalfd, waiting, timers, sends to threads, and what handlers leave of the
 * program's registers.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* What handlers saw, in order. */
static struct {
	int signal, code, value;
} seen[64];
static volatile sig_atomic_t nr_seen;

static void record(int signal, siginfo_t *info, void *context)
{
	(void)context;
	if (nr_seen < 64) {
		seen[nr_seen].signal = signal;
		seen[nr_seen].code = info->si_code;
		seen[nr_seen].value = info->si_value.sival_int;
	}
	nr_seen++;
}

static void show_seen(const char *what)
{
	char line[900] = "";
	size_t length = 0;

	for (int i = 0; i < nr_seen && length < 800; i++) {
		int signal = seen[i].signal;

		if (signal >= SIGRTMIN)
			length += (size_t)snprintf(line + length, sizeof(line) - length, " RT+%d",
						   signal - SIGRTMIN);
		else
			length += (size_t)snprintf(line + length, sizeof(line) - length, " %s",
						   signal_name(signal));
		length += (size_t)snprintf(line + length, sizeof(line) - length, "/%s",
					   code_name(0, seen[i].code));
		if (seen[i].code == SI_QUEUE || seen[i].code == SI_TIMER)
			length += (size_t)snprintf(line + length, sizeof(line) - length, "/%d",
						   seen[i].value);
	}
	show("%s:%s", what, nr_seen ? line : " none");
	nr_seen = 0;
}

static void block(int how, int first, int second)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, first);
	if (second)
		sigaddset(&set, second);
	if (sigprocmask(how, &set, NULL))
		guest_die("sigprocmask");
}

static void case_order(void)
{
	union sigval value;

	for (int i = 0; i < 3; i++)
		handle(SIGRTMIN + i, record, 0);
	handle(SIGUSR1, record, 0);
	handle(SIGUSR2, record, 0);
	block(SIG_BLOCK, SIGUSR1, SIGUSR2);
	block(SIG_BLOCK, SIGRTMIN, SIGRTMIN + 1);
	block(SIG_BLOCK, SIGRTMIN + 2, 0);
	for (int i = 0; i < 3; i++) {
		for (int k = 2; k >= 0; k--) {
			value.sival_int = i * 10 + k;
			if (sigqueue(getpid(), SIGRTMIN + k, value))
				guest_die("sigqueue");
		}
	}
	value.sival_int = 99;
	sigqueue(getpid(), SIGUSR2, value);
	kill(getpid(), SIGUSR2);
	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGUSR1);
	/* One at a time, each in a handler that blocks the rest: the order is that of delivery. */
	for (int i = 0; i < 3; i++)
		block(SIG_UNBLOCK, SIGRTMIN + i, 0);
	show_seen("realtime");
	block(SIG_UNBLOCK, SIGUSR1, 0);
	show_seen("first");
	block(SIG_UNBLOCK, SIGUSR2, 0);
	show_seen("second");
	raise(SIGUSR1);
	show_seen("raise");
	kill(getpid(), SIGUSR1);
	show_seen("kill");
}

static volatile sig_atomic_t depth, deepest, runs;

static void nest(int signal, siginfo_t *info, void *context)
{
	(void)info;
	(void)context;
	depth++;
	if (depth > deepest)
		deepest = depth;
	if (++runs < 5)
		raise(signal == SIGUSR1 ? SIGUSR2 : SIGUSR1);
	depth--;
}

static void case_nesting(void)
{
	struct sigaction action = {.sa_sigaction = nest, .sa_flags = SA_SIGINFO | SA_NODEFER};
	sigset_t before, after;

	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGUSR2, &action, NULL);
	sigprocmask(SIG_SETMASK, NULL, &before);
	raise(SIGUSR1);
	sigprocmask(SIG_SETMASK, NULL, &after);
	show("SA_NODEFER: %d deep, the mask came back: %d", (int)deepest,
	     !memcmp(&before, &after, 8));
	deepest = runs = 0;
	action.sa_flags = SA_SIGINFO;
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGUSR2, &action, NULL);
	raise(SIGUSR1);
	show("each blocks itself: %d deep in %d runs", (int)deepest, (int)runs);
	deepest = runs = 0;
	sigfillset(&action.sa_mask);
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGUSR2, &action, NULL);
	raise(SIGUSR1);
	show("sa_mask blocks all: %d deep in %d runs", (int)deepest, (int)runs);
	action.sa_flags = SA_RESETHAND | SA_SIGINFO;
	sigaction(SIGUSR1, &action, NULL);
	raise(SIGUSR1);
	sigaction(SIGUSR1, NULL, &action);
	show("SA_RESETHAND: default again: %d", action.sa_handler == SIG_DFL);
	signal(SIGUSR2, SIG_DFL);
}

static int pipe_ends[2];

/* Interrupts the caller after a while, then lets a restarted call end. */
static void *interrupt_then_write(void *argument)
{
	pthread_t *target = argument;

	pause_ms(20);
	pthread_kill(*target, SIGUSR1);
	pause_ms(20);
	if (write(pipe_ends[1], "x", 1) != 1)
		guest_die("write to a pipe");
	return NULL;
}

static void read_interrupted(const char *what, int flags)
{
	pthread_t self = pthread_self(), thread;
	char byte = 0;
	ssize_t result;

	nr_seen = 0;
	handle(SIGUSR1, record, flags);
	thread = start_thread(interrupt_then_write, &self);
	result = read(pipe_ends[0], &byte, 1);
	show("%s: read answers %s, %d signals", what, answer(result), (int)nr_seen);
	pthread_join(thread, NULL);
	if (result == -1 && read(pipe_ends[0], &byte, 1) != 1)
		guest_die("read of a pipe");
}

static void case_restart(void)
{
	struct itimerval soon = {.it_value = {.tv_usec = 20000}};
	struct timespec second = {.tv_sec = 30}, left = {0};
	struct pollfd none = {.events = POLLIN};
	struct epoll_event event;
	int epoll = epoll_create1(0);
	sigset_t empty;

	if (pipe(pipe_ends))
		guest_die("pipe");
	none.fd = pipe_ends[0];
	read_interrupted("without SA_RESTART", 0);
	read_interrupted("with SA_RESTART", SA_RESTART);
	/* These are never restarted after a handler. */
	handle(SIGALRM, record, SA_RESTART);
	setitimer(ITIMER_REAL, &soon, NULL);
	show("nanosleep: %s", answer(nanosleep(&second, &left)));
	show("  time is left: %d", left.tv_sec >= 28);
	setitimer(ITIMER_REAL, &soon, NULL);
	show("poll: %s", answer(poll(&none, 1, 30000)));
	setitimer(ITIMER_REAL, &soon, NULL);
	show("epoll_wait: %s", answer(epoll_wait(epoll, &event, 1, 30000)));
	setitimer(ITIMER_REAL, &soon, NULL);
	show("pause: %s", answer(pause()));
	setitimer(ITIMER_REAL, &soon, NULL);
	sigemptyset(&empty);
	show("sigsuspend: %s", answer(sigsuspend(&empty)));
	setitimer(ITIMER_REAL, &soon, NULL);
	show("clock_nanosleep: %s", error_name(clock_nanosleep(CLOCK_MONOTONIC, 0, &second, NULL)));
	show_seen("alarms");
	close(epoll);
}

static void case_suspend(void)
{
	sigset_t all_but_one, mask;

	handle(SIGUSR1, record, 0);
	handle(SIGUSR2, record, 0);
	block(SIG_BLOCK, SIGUSR1, SIGUSR2);
	raise(SIGUSR1);
	raise(SIGUSR2);
	show_seen("while blocked");
	sigpending(&mask);
	show("pending: %d %d", sigismember(&mask, SIGUSR1), sigismember(&mask, SIGUSR2));
	sigfillset(&all_but_one);
	sigdelset(&all_but_one, SIGUSR2);
	show("sigsuspend: %s", answer(sigsuspend(&all_but_one)));
	show_seen("in it");
	sigprocmask(SIG_SETMASK, NULL, &mask);
	show("the mask came back: %d %d", sigismember(&mask, SIGUSR1), sigismember(&mask, SIGUSR2));
	signal(SIGUSR1, SIG_IGN);
	sigpending(&mask);
	show("ignored, so no longer pending: %d", sigismember(&mask, SIGUSR1));
	block(SIG_UNBLOCK, SIGUSR1, SIGUSR2);
	signal(SIGUSR2, SIG_DFL);
	signal(SIGUSR1, SIG_DFL);
}

/* One call with a mask while SIGUSR1 is blocked and perhaps pending: what it answers, what was
 * handled, what is pending still. */
static void wait_with_mask(const char *what, const sigset_t *mask, bool pending, int fd, int epoll)
{
	const struct timespec moment = {.tv_nsec = 10000000};
	struct pollfd poll = {.fd = fd, .events = POLLIN};
	struct epoll_event event;
	sigset_t left;
	fd_set set;

	for (int call = 0; call < 3; call++) {
		const char *result;

		if (pending)
			raise(SIGUSR1);
		FD_ZERO(&set);
		FD_SET(fd, &set);
		if (call == 0)
			result = answer(pselect(fd + 1, &set, NULL, NULL, &moment, mask));
		else if (call == 1)
			result = answer(ppoll(&poll, 1, &moment, mask));
		else
			result = answer(epoll_pwait(epoll, &event, 1, 10, mask));
		sigpending(&left);
		show("%s, call %d: %s, pending %d", what, call, result,
		     sigismember(&left, SIGUSR1));
		show_seen("handled");
		block(SIG_UNBLOCK, SIGUSR1, 0);
		block(SIG_BLOCK, SIGUSR1, 0);
		nr_seen = 0;
	}
}

/* What is ready counts before a signal that the call's mask lets through. */
static void case_masks_of_calls(void)
{
	struct epoll_event event = {.events = EPOLLIN};
	const int epoll = epoll_create1(0);
	sigset_t none, blocked;
	int ends[2];

	if (epoll < 0 || pipe(ends) || epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event))
		guest_die("epoll");
	handle(SIGUSR1, record, 0);
	sigemptyset(&none);
	blocked = none;
	sigaddset(&blocked, SIGUSR1);
	block(SIG_BLOCK, SIGUSR1, 0);
	wait_with_mask("nothing ready, no signal", &none, false, ends[0], epoll);
	wait_with_mask("nothing ready, a signal", &none, true, ends[0], epoll);
	wait_with_mask("nothing ready, a blocked one", &blocked, true, ends[0], epoll);
	wait_with_mask("nothing ready, no mask", NULL, true, ends[0], epoll);
	if (write(ends[1], "x", 1) != 1)
		guest_die("write");
	wait_with_mask("ready, no signal", &none, false, ends[0], epoll);
	wait_with_mask("ready, a signal", &none, true, ends[0], epoll);
	wait_with_mask("ready, a blocked one", &blocked, true, ends[0], epoll);
	block(SIG_UNBLOCK, SIGUSR1, 0);
	signal(SIGUSR1, SIG_DFL);
	close(ends[0]);
	close(ends[1]);
	close(epoll);
}

static uintptr_t handler_stack;
static int handler_stack_flags;

static void note_stack(int signal, siginfo_t *info, void *context)
{
	stack_t now;
	char here;

	(void)signal;
	(void)info;
	(void)context;
	handler_stack = (uintptr_t)&here;
	sigaltstack(NULL, &now);
	handler_stack_flags = now.ss_flags;
	now.ss_flags = 0;
	show("change it while on it: %s", answer(sigaltstack(&now, NULL)));
}

static void case_alternate_stack(void)
{
	char *memory = map_pages(16, PROT_READ | PROT_WRITE);
	stack_t stack = {.ss_sp = memory, .ss_size = 16 * PAGE}, old;

	show("set: %s", answer(sigaltstack(&stack, NULL)));
	handle(SIGUSR1, note_stack, SA_ONSTACK);
	raise(SIGUSR1);
	show("on it: %d, flags %d", handler_stack - (uintptr_t)memory < 16 * PAGE,
	     handler_stack_flags);
	sigaltstack(NULL, &old);
	show("after: flags %d, the same: %d", old.ss_flags,
	     old.ss_sp == memory && old.ss_size == 16 * PAGE);
	stack.ss_flags = (int)(1u << 31); /* SS_AUTODISARM */
	show("auto-disarm: %s", answer(sigaltstack(&stack, NULL)));
	raise(SIGUSR1);
	show("on it: %d, flags inside %d", handler_stack - (uintptr_t)memory < 16 * PAGE,
	     handler_stack_flags);
	stack.ss_size = 100;
	stack.ss_flags = 0;
	show("too small: %s", answer(sigaltstack(&stack, NULL)));
	stack.ss_flags = 77;
	show("bad flags: %s", answer(sigaltstack(&stack, NULL)));
	stack.ss_flags = SS_DISABLE;
	show("disable: %s", answer(sigaltstack(&stack, NULL)));
	signal(SIGUSR1, SIG_DFL);
	munmap(memory, 16 * PAGE);
}

static void case_signalfd(void)
{
	struct signalfd_siginfo info[4];
	union sigval value = {.sival_int = 4711};
	struct pollfd pollfd;
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN + 3);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	show("empty: %s", answer(read(fd, info, sizeof(info))));
	sigqueue(getpid(), SIGRTMIN + 3, value);
	kill(getpid(), SIGUSR1);
	pollfd = (struct pollfd){.fd = fd, .events = POLLIN};
	show("poll: %s", answer(poll(&pollfd, 1, 1000)));
	show("  events %#x", (unsigned int)pollfd.revents);
	show("two: %s", answer(read(fd, info, sizeof(info)) / (ssize_t)sizeof(*info)));
	show("%s by %s of ourselves: %d", signal_name((int)info[0].ssi_signo),
	     code_name(0, info[0].ssi_code), info[0].ssi_pid == (uint32_t)getpid());
	show("%s by %s, %d", signal_name((int)info[1].ssi_signo), code_name(0, info[1].ssi_code),
	     info[1].ssi_int);
	close(fd);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void case_wait(void)
{
	struct timespec soon = {.tv_nsec = 10000000}, none = {0};
	union sigval value = {.sival_int = 5};
	siginfo_t info;
	sigset_t set;
	int signal = 0;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGRTMIN + 4);
	sigprocmask(SIG_BLOCK, &set, NULL);
	show("nothing: %s", answer(sigtimedwait(&set, NULL, &none)));
	show("nothing in 10 ms: %s", answer(sigtimedwait(&set, NULL, &soon)));
	sigqueue(getpid(), SIGRTMIN + 4, value);
	show("queued: %d", sigwaitinfo(&set, &info) == SIGRTMIN + 4);
	show("  by %s, %d", code_name(0, info.si_code), info.si_value.sival_int);
	raise(SIGUSR2);
	show("sigwait: %s", error_name(sigwait(&set, &signal)));
	show("  %s", signal_name(signal));
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void case_timers(void)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL};
	struct itimerspec in = {.it_value = {.tv_nsec = 5000000},
				.it_interval = {.tv_nsec = 5000000}},
			  left;
	struct itimerval real = {.it_value = {.tv_usec = 3000}, .it_interval = {.tv_usec = 3000}};
	timer_t timer;

	event.sigev_signo = SIGRTMIN + 1;
	event.sigev_value.sival_int = 31;
	handle(SIGRTMIN + 1, record, SA_RESTART);
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) || timer_settime(timer, 0, &in, NULL))
		guest_die("timer_create");
	while (nr_seen < 3)
		pause();
	memset(&in, 0, sizeof(in));
	timer_settime(timer, 0, &in, &left);
	show("interval: %ld, at most as long left: %d", left.it_interval.tv_nsec,
	     left.it_value.tv_nsec <= 5000000);
	show("delete: %s", answer(timer_delete(timer)));
	nr_seen = 3;
	show_seen("timer");
	handle(SIGALRM, record, SA_RESTART);
	setitimer(ITIMER_REAL, &real, NULL);
	while (nr_seen < 4)
		pause();
	memset(&real, 0, sizeof(real));
	setitimer(ITIMER_REAL, &real, NULL);
	nr_seen = 4;
	show_seen("alarm");
	show("alarm in 100 s: %u", alarm(100));
	show("  left: %d", alarm(0) > 98);
	/* A timer that reaches a program that computes. */
	real.it_value.tv_usec = 10000;
	handle(SIGVTALRM, record, 0);
	setitimer(ITIMER_REAL, &real, NULL);
	while (!nr_seen)
		__asm__ volatile("pause");
	show_seen("while computing");
}

static pthread_t worker;
static _Atomic int worker_state;
static _Atomic bool on_worker;

static void note_thread(int signal, siginfo_t *info, void *context)
{
	record(signal, info, context);
	atomic_store(&on_worker, pthread_equal(pthread_self(), worker));
}

static void *compute(void *argument)
{
	worker = pthread_self();
	atomic_store(&worker_state, 1);
	while (atomic_load(&worker_state) == 1)
		__asm__ volatile("pause");
	return argument;
}

static void case_threads(void)
{
	pthread_t thread;
	sigset_t set;

	handle(SIGUSR1, note_thread, 0);
	thread = start_thread(compute, NULL);
	while (!atomic_load(&worker_state))
		pause_ms(1);
	pthread_kill(thread, SIGUSR1);
	while (!nr_seen)
		pause_ms(1);
	show("to the thread that computes: %d", atomic_load(&on_worker));
	show_seen("tgkill");
	/* Of the whole process, blocked here: the other thread takes it. */
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	atomic_store(&on_worker, false);
	kill(getpid(), SIGUSR1);
	while (!nr_seen)
		pause_ms(1);
	show("to the process: %d", atomic_load(&on_worker));
	show_seen("kill");
	atomic_store(&worker_state, 2);
	pthread_join(thread, NULL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	show("a thread that is not: %s",
	     answer(syscall(SYS_tgkill, getpid(), 0x3fffffff, SIGUSR1)));
	show("signal 0: %s, signal 65: %s", answer(kill(getpid(), 0)), answer(kill(getpid(), 65)));
}

static void *raise_fault(void *argument)
{
	struct caught caught = try_read((void *)((uintptr_t)argument * PAGE));

	return (void *)(uintptr_t)(caught.signal == SIGSEGV &&
				   caught.address == (uintptr_t)argument * PAGE);
}

/* Each thread's fault is its own. */
static void case_faults_of_threads(void)
{
	uintptr_t right = 0;

	for (uintptr_t i = 0; i < 8; i++) {
		void *value;

		pthread_join(start_thread(raise_fault, (void *)(i + 1)), &value);
		right += (uintptr_t)value;
	}
	show("%lu of 8 saw their own address", right);
}

static void case_limits(void)
{
	struct sigaction action = {.sa_handler = nothing_handler};

	show("SIGKILL: %s", answer(sigaction(SIGKILL, &action, NULL)));
	show("SIGSTOP: %s", answer(sigaction(SIGSTOP, &action, NULL)));
	show("signal 0: %s", answer(syscall(SYS_rt_sigaction, 0, &action, NULL, 8)));
	show("signal 65: %s", answer(syscall(SYS_rt_sigaction, 65, &action, NULL, 8)));
	block(SIG_BLOCK, SIGKILL, SIGSTOP);
	sigset_t mask;
	sigprocmask(SIG_SETMASK, NULL, &mask);
	show("blocked: %d %d", sigismember(&mask, SIGKILL), sigismember(&mask, SIGSTOP));
	show("how 9: %s", answer(sigprocmask(9, &mask, NULL)));
	signal(SIGCHLD, SIG_IGN);
	signal(SIGWINCH, SIG_DFL);
	raise(SIGCHLD);
	raise(SIGWINCH);
	raise(SIGCONT);
	show("ignored ones are ignored");
}

int main(int argc, char **argv)
{
	static const struct guest_case cases[] = {
		{"order", case_order},
		{"nesting", case_nesting},
		{"restart", case_restart},
		{"suspend", case_suspend},
		{"masks_of_calls", case_masks_of_calls},
		{"alternate_stack", case_alternate_stack},
		{"signalfd", case_signalfd},
		{"wait", case_wait},
		{"timers", case_timers},
		{"threads", case_threads},
		{"faults_of_threads", case_faults_of_threads},
		{"limits", case_limits},
		{NULL, NULL},
	};

	return guest_main(argc, argv, cases);
}
