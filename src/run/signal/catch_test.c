/* SPDX-License-Identifier: MIT */
/*
 * Tests of catching signals, with real ones on a thread that has no CPU: masks, what is caught and
 * what waits on the host, and that no signal slips between the look and the system call.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <cmocka.h>

#include "run/signal/internal.h"
#include "run/task/internal.h"

#define HANDLER 0x400000u

struct fixture {
	struct process process;
	struct thread *thread;
};

static int setup(void **state)
{
	static struct fixture fixture;

	memset(&fixture, 0, sizeof(fixture));
	assert_int_equal(signal_init(&fixture.process), 0);
	fixture.thread = thread_alloc(&fixture.process);
	assert_non_null(fixture.thread);
	fixture.thread->tid = gettid();
	set_current_thread(fixture.thread);
	signal_thread_start(fixture.thread, NULL);
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	signal_thread_end(fixture->thread);
	set_current_thread(NULL);
	thread_free(fixture->thread);
	for (int signal = 1; signal <= SIGNALS; signal++) {
		fixture->process.signals.action[signal - 1].handler = GUEST_SIG_IGN;
		if (signal != SIGKILL && signal != SIGSTOP && signal != SIGNAL_WAKE)
			assert_int_equal(host_mirror_action(&fixture->process, signal), 0);
	}
	host_set_mask(0);
	return 0;
}

/* Takes what was caught as signal_deliver() does, and lets the host deliver the next. */
static int take_caught(struct thread *thread)
{
	const int signal =
		thread->signals.caught & CAUGHT_SIGNAL ? thread->signals.info.si_signo : 0;

	thread->signals.caught = 0;
	signal_sync_mask(thread);
	return signal;
}

static void set_handler(struct fixture *fixture, int signal, uint64_t handler)
{
	fixture->process.signals.action[signal - 1].handler = handler;
	assert_int_equal(host_mirror_action(&fixture->process, signal), 0);
}

static void queue(int signal, int value)
{
	assert_int_equal(sigqueue(getpid(), signal, (union sigval){.sival_int = value}), 0);
}

static void test_one_at_a_time(void **state)
{
	struct fixture *fixture = *state;
	struct thread *thread = fixture->thread;

	set_handler(fixture, SIGRTMIN, HANDLER);
	for (int i = 0; i < 5; i++)
		queue(SIGRTMIN, i);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(thread->signals.caught, CAUGHT_SIGNAL);
		assert_int_equal(thread->signals.info.si_value.sival_int, i);
		assert_int_equal(thread->signals.info.si_code, SI_QUEUE);
		assert_int_equal(take_caught(thread), SIGRTMIN);
	}
	assert_int_equal(thread->signals.caught, 0);
}

static void test_mask_holds_on_the_host(void **state)
{
	struct fixture *fixture = *state;
	struct thread *thread = fixture->thread;

	set_handler(fixture, SIGUSR1, HANDLER);
	signal_set_mask(thread, signal_bit(SIGUSR1) | signal_bit(SIGKILL));
	assert_int_equal(thread->signals.mask, signal_bit(SIGUSR1));
	raise(SIGUSR1);
	assert_int_equal(thread->signals.caught, 0);
	signal_set_mask(thread, 0);
	assert_int_equal(take_caught(thread), SIGUSR1);
}

/* A mask that is set while a signal waits to be delivered must not let another one in. */
static void test_mask_while_caught(void **state)
{
	struct fixture *fixture = *state;
	struct thread *thread = fixture->thread;

	set_handler(fixture, SIGUSR1, HANDLER);
	set_handler(fixture, SIGUSR2, HANDLER);
	raise(SIGUSR1);
	signal_set_mask(thread, signal_bit(SIGTERM));
	raise(SIGUSR2);
	assert_int_equal(thread->signals.info.si_signo, SIGUSR1);
	assert_int_equal(take_caught(thread), SIGUSR1);
	assert_int_equal(take_caught(thread), SIGUSR2);
	signal_set_mask(thread, 0);
}

static void test_dispositions(void **state)
{
	struct fixture *fixture = *state;
	struct thread *thread = fixture->thread;

	set_handler(fixture, SIGUSR1, GUEST_SIG_IGN);
	raise(SIGUSR1);
	assert_int_equal(thread->signals.caught, 0);
	/* One that would end the program is Quire's to act on. */
	set_handler(fixture, SIGUSR1, GUEST_SIG_DFL);
	raise(SIGUSR1);
	assert_int_equal(take_caught(thread), SIGUSR1);
	/* One that is ignored by default is the host's. */
	set_handler(fixture, SIGWINCH, GUEST_SIG_DFL);
	raise(SIGWINCH);
	assert_int_equal(thread->signals.caught, 0);
	set_handler(fixture, SIGWINCH, HANDLER);
	raise(SIGWINCH);
	assert_int_equal(take_caught(thread), SIGWINCH);
}

static void test_requeue(void **state)
{
	struct fixture *fixture = *state;
	struct thread *thread = fixture->thread;

	set_handler(fixture, SIGRTMIN, HANDLER);
	queue(SIGRTMIN, 42);
	assert_int_equal(thread->signals.caught, CAUGHT_SIGNAL);
	signal_requeue(&thread->signals.info);
	memset(&thread->signals.info, 0, sizeof(thread->signals.info));
	thread->signals.caught = 0;
	signal_sync_mask(thread);
	assert_int_equal(thread->signals.info.si_value.sival_int, 42);
	assert_int_equal(take_caught(thread), SIGRTMIN);
}

static void test_wake(void **state)
{
	struct fixture *fixture = *state;
	struct thread *thread = fixture->thread;

	signal_set_mask(thread, UINT64_MAX);
	assert_true(signal_wake(thread));
	assert_int_equal(thread->signals.caught, CAUGHT_WAKE);
	take_caught(thread);
	signal_set_mask(thread, 0);
}

/* The program's own use of the number, while it blocks it and after. */
static void test_wake_number_of_the_program(void **state)
{
	struct fixture *fixture = *state;
	struct thread *thread = fixture->thread;
	const uint64_t args[6] = {(uint64_t)getpid(), (uint64_t)gettid(), SIGNAL_WAKE};

	signal_set_mask(thread, signal_bit(SIGNAL_WAKE));
	assert_int_equal(host_syscall(SYS_tgkill, args), 0);
	assert_int_equal(thread->signals.caught, 0);
	assert_int_equal(thread->signals.nr_held, 1);
	signal_set_mask(thread, 0);
	assert_int_equal(thread->signals.nr_held, 0);
	assert_int_equal(take_caught(thread), SIGNAL_WAKE);
	assert_int_equal(host_syscall(SYS_tgkill, args), 0);
	assert_int_equal(take_caught(thread), SIGNAL_WAKE);
}

static void test_caught_call_does_not_begin(void **state)
{
	struct fixture *fixture = *state;
	struct thread *thread = fixture->thread;
	int ends[2];
	char byte = 'x';

	assert_int_equal(pipe(ends), 0);
	const uint64_t args[6] = {(uint64_t)ends[1], (uintptr_t)&byte, 1};

	thread->signals.caught = CAUGHT_WAKE;
	assert_int_equal(host_syscall_interruptible(thread, SYS_write, args), -EINTR);
	thread->signals.caught = 0;
	byte = 'y';
	assert_int_equal(host_syscall_interruptible(thread, SYS_write, args), 1);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	assert_int_equal(byte, 'y');
	close(ends[0]);
	close(ends[1]);
}

static void test_window(void **state)
{
	(void)state;
	assert_false(host_syscall_in_window((uintptr_t)host_syscall_window - 1));
	assert_true(host_syscall_in_window((uintptr_t)host_syscall_window));
	assert_true(host_syscall_in_window((uintptr_t)host_syscall_instruction));
	/* The call was made: its result counts. */
	assert_false(host_syscall_in_window((uintptr_t)host_syscall_instruction + 2));
	/* SYSCALL */
	assert_memory_equal(host_syscall_instruction, "\x0f\x05", 2);
}

#define RFLAGS_TRAP 0x100

static volatile uint32_t steps, raise_at;
static volatile bool at_instruction;

/* After each instruction. At the one that is meant, and before the system call at the latest, a
 * signal comes and the stepping ends. */
static void step(int signal, siginfo_t *info, void *context)
{
	greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
	const uint64_t rip = (uint64_t)registers[REG_RIP];

	(void)signal;
	(void)info;
	at_instruction = rip == (uintptr_t)host_syscall_instruction;
	if (steps++ == raise_at || at_instruction) {
		const uint64_t args[6] = {(uint64_t)getpid(), (uint64_t)gettid(), SIGUSR1};

		registers[REG_EFL] &= ~RFLAGS_TRAP;
		(void)host_syscall(SYS_tgkill, args);
	}
}

static inline void start_stepping(void)
{
	__asm__ volatile("lea -128(%%rsp), %%rsp\n\t"
			 "pushfq\n\t"
			 "orq %0, (%%rsp)\n\t"
			 "popfq\n\t"
			 "lea 128(%%rsp), %%rsp"
			 :
			 : "i"(RFLAGS_TRAP)
			 : "memory", "cc");
}

/* A signal before any of the instructions that lead to a call ends the wait that would follow: one
 * that slipped through would leave the test waiting for ever. */
static void test_no_signal_is_slept_over(void **state)
{
	struct fixture *fixture = *state;
	struct thread *thread = fixture->thread;
	const uint64_t no_args[6] = {0};
	struct sigaction action = {.sa_sigaction = step, .sa_flags = SA_SIGINFO};

	set_handler(fixture, SIGUSR1, HANDLER);
	sigfillset(&action.sa_mask);
	assert_int_equal(sigaction(SIGTRAP, &action, NULL), 0);
	at_instruction = false;
	for (raise_at = 0; !at_instruction; raise_at++) {
		int64_t result;

		steps = 0;
		start_stepping();
		result = host_syscall_interruptible(thread, SYS_pause, no_args);
		assert_int_equal(result, -EINTR);
		assert_true(thread->signals.not_begun);
		assert_int_equal(take_caught(thread), SIGUSR1);
	}
	/* At least those of the stub. */
	assert_true(raise_at > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_at_a_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mask_holds_on_the_host, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mask_while_caught, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dispositions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_requeue, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wake, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wake_number_of_the_program, setup, teardown),
		cmocka_unit_test_setup_teardown(test_caught_call_does_not_begin, setup, teardown),
		cmocka_unit_test(test_window),
		cmocka_unit_test_setup_teardown(test_no_signal_is_slept_over, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
