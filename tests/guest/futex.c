/* SPDX-License-Identifier: MIT */
/*
 * The futex call itself: every operation the C library uses, with its errors and time-outs; robust
 * lists, set_tid_address, rseq.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long futex(void *word, int operation, uint32_t value, const struct timespec *timeout)
{
	return syscall(SYS_futex, word, operation, value, timeout, NULL, 0);
}

static long futex2(void *word, int operation, uint32_t value, unsigned long value2, void *word2,
		   uint32_t value3)
{
	return syscall(SYS_futex, word, operation, value, value2, word2, value3);
}

static struct timespec in_ms(int clock, long milliseconds)
{
	struct timespec time;

	clock_gettime(clock, &time);
	time.tv_nsec += milliseconds * 1000000;
	time.tv_sec += time.tv_nsec / 1000000000;
	time.tv_nsec %= 1000000000;
	return time;
}

static void case_errors(void)
{
	static uint32_t word = 5;
	struct timespec wrong = {.tv_nsec = 1000000000}, negative = {.tv_sec = -1};
	char *gone = map_pages(1, PROT_NONE);

	show("WAIT, another value: %s", answer(futex(&word, FUTEX_WAIT, 6, NULL)));
	show("WAIT, private, another value: %s", answer(futex(&word, FUTEX_WAIT_PRIVATE, 6, NULL)));
	show("WAIT, unaligned: %s", answer(futex((char *)&word + 1, FUTEX_WAIT_PRIVATE, 5, NULL)));
	show("WAIT, bad time: %s", answer(futex(&word, FUTEX_WAIT_PRIVATE, 5, &wrong)));
	show("WAIT, negative time: %s", answer(futex(&word, FUTEX_WAIT_PRIVATE, 5, &negative)));
	show("WAIT, bad pointer to the time: %s",
	     answer(futex(&word, FUTEX_WAIT_PRIVATE, 5, (void *)gone)));
	show("WAIT, PROT_NONE: %s", answer(futex(gone, FUTEX_WAIT_PRIVATE, 0, NULL)));
	show("WAIT, no memory: %s", answer(futex((void *)16, FUTEX_WAIT, 0, NULL)));
	show("WAIT_BITSET, no bits: %s",
	     answer(futex2(&word, FUTEX_WAIT_BITSET_PRIVATE, 5, 0, NULL, 0)));
	show("WAKE, no memory, private: %s",
	     answer(futex((void *)16, FUTEX_WAKE_PRIVATE, 1, NULL)));
	show("WAKE, nobody: %s", answer(futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL)));
	show("WAKE, unaligned: %s", answer(futex((char *)&word + 2, FUTEX_WAKE_PRIVATE, 1, NULL)));
	show("WAKE_BITSET, no bits: %s",
	     answer(futex2(&word, FUTEX_WAKE_BITSET_PRIVATE, 1, 0, NULL, 0)));
	show("CMP_REQUEUE, another value: %s",
	     answer(futex2(&word, FUTEX_CMP_REQUEUE_PRIVATE, 1, 1, (char *)gone + 8, 7)));
	show("an operation that is none: %s", answer(futex(&word, 99, 0, NULL)));
	munmap(gone, PAGE);
}

static void case_timeouts(void)
{
	static uint32_t word;
	struct timespec relative = {.tv_nsec = 20000000}, zero = {0}, until;
	uint64_t start = now_ns(CLOCK_MONOTONIC);

	show("WAIT 20 ms: %s", answer(futex(&word, FUTEX_WAIT_PRIVATE, 0, &relative)));
	show("  it took as long: %d", now_ns(CLOCK_MONOTONIC) - start >= 20000000);
	show("WAIT 0: %s", answer(futex(&word, FUTEX_WAIT, 0, &zero)));
	start = now_ns(CLOCK_MONOTONIC);
	until = in_ms(CLOCK_MONOTONIC, 20);
	show("WAIT_BITSET until: %s", answer(syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, 0,
						     &until, NULL, FUTEX_BITSET_MATCH_ANY)));
	show("  it took as long: %d", now_ns(CLOCK_MONOTONIC) - start >= 19000000);
	until = in_ms(CLOCK_REALTIME, 10);
	show("WAIT_BITSET, realtime: %s",
	     answer(syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, 0,
			    &until, NULL, FUTEX_BITSET_MATCH_ANY)));
	show("WAIT_BITSET, long past: %s",
	     answer(syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, 0, &zero, NULL,
			    FUTEX_BITSET_MATCH_ANY)));
}

/* Waiters that count themselves; `asleep` of them are known to have looked at the word. */
struct waiters {
	uint32_t *word;
	uint32_t bits;
	int operation;
	_Atomic int ready, woken;
};

static void *wait_once(void *argument)
{
	struct waiters *waiters = argument;
	long result;

	atomic_fetch_add(&waiters->ready, 1);
	do {
		result = syscall(SYS_futex, waiters->word, waiters->operation, 0, NULL, NULL,
				 waiters->bits);
	} while (result && errno == EINTR);
	atomic_fetch_add(&waiters->woken, 1);
	return NULL;
}

#define WAITERS 6

static void start_waiters(struct waiters *waiters, pthread_t *threads, int count)
{
	for (int i = 0; i < count; i++)
		threads[i] = start_thread(wait_once, waiters);
	while (atomic_load(&waiters->ready) < count)
		pause_ms(1);
}

/* Wakes until as many have been woken as are wanted, and says how many calls answered more than
 * asked for. */
static int wake_in_all(uint32_t *word, int operation, uint32_t bits, int wanted)
{
	int woken = 0, excess = 0;

	while (woken < wanted) {
		long count = syscall(SYS_futex, word, operation, 1, NULL, NULL, bits);

		if (count < 0)
			guest_die("wake");
		excess += count > 1;
		woken += (int)count;
		if (!count)
			pause_ms(1);
	}
	return excess;
}

static void join(pthread_t *threads, int count)
{
	for (int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
}

static void case_wake(void)
{
	static uint32_t word;
	struct waiters waiters = {.word = &word, .operation = FUTEX_WAIT_PRIVATE};
	struct waiters first = {.word = &word, .operation = FUTEX_WAIT_BITSET_PRIVATE, .bits = 1};
	struct waiters second = {.word = &word, .operation = FUTEX_WAIT_BITSET_PRIVATE, .bits = 6};
	pthread_t threads[WAITERS], others[WAITERS];

	start_waiters(&waiters, threads, WAITERS);
	show("one by one: %d too many", wake_in_all(&word, FUTEX_WAKE_PRIVATE, 0, WAITERS));
	join(threads, WAITERS);
	show("woken: %d", atomic_load(&waiters.woken));

	start_waiters(&first, threads, 3);
	start_waiters(&second, others, 3);
	wake_in_all(&word, FUTEX_WAKE_BITSET_PRIVATE, 4, 3);
	join(others, 3);
	show("bits 4: %d and %d", atomic_load(&first.woken), atomic_load(&second.woken));
	show("bits 8: %s",
	     answer(syscall(SYS_futex, &word, FUTEX_WAKE_BITSET_PRIVATE, 9, NULL, NULL, 8)));
	wake_in_all(&word, FUTEX_WAKE_PRIVATE, 0, 3);
	join(threads, 3);
	show("all: %d and %d", atomic_load(&first.woken), atomic_load(&second.woken));
}

static void case_requeue(void)
{
	static uint32_t from, to;
	struct waiters waiters = {.word = &from, .operation = FUTEX_WAIT_PRIVATE};
	pthread_t threads[WAITERS];
	long moved = 0;

	start_waiters(&waiters, threads, WAITERS);
	while (moved < WAITERS) {
		moved += futex2(&from, FUTEX_CMP_REQUEUE_PRIVATE, 0, 100, &to, 0);
		pause_ms(1);
	}
	show("%ld moved, %d woken", moved, atomic_load(&waiters.woken));
	show("nobody is left: %s", answer(futex(&from, FUTEX_WAKE_PRIVATE, 100, NULL)));
	show("wake and move back: %s", answer(futex2(&to, FUTEX_REQUEUE_PRIVATE, 2, 2, &from, 0)));
	show("there: %s", answer(futex(&to, FUTEX_WAKE_PRIVATE, 100, NULL)));
	show("here: %s", answer(futex(&from, FUTEX_WAKE_PRIVATE, 100, NULL)));
	join(threads, WAITERS);
}

static void case_wake_op(void)
{
	static uint32_t one, two = 10;
	struct waiters waiters = {.word = &one, .operation = FUTEX_WAIT_PRIVATE};
	pthread_t threads[2];
	long woken = 0;

	start_waiters(&waiters, threads, 2);
	while (woken < 2) {
		woken += futex2(&one, FUTEX_WAKE_OP_PRIVATE, 1, 1, &two,
				FUTEX_OP(FUTEX_OP_ADD, 5, FUTEX_OP_CMP_GT, 1000));
		pause_ms(1);
	}
	join(threads, 2);
	show("woken %ld, the other word grew in steps of 5: %d", woken, two > 10 && two % 5 == 0);
	two = 0xf0;
	futex2(&one, FUTEX_WAKE_OP_PRIVATE, 1, 1, &two,
	       FUTEX_OP(FUTEX_OP_OR, 0xf, FUTEX_OP_CMP_EQ, 0));
	show("or: %#x", two);
	futex2(&one, FUTEX_WAKE_OP_PRIVATE, 1, 1, &two,
	       FUTEX_OP(FUTEX_OP_ANDN, 0x3c, FUTEX_OP_CMP_EQ, 0));
	show("andn: %#x", two);
	futex2(&one, FUTEX_WAKE_OP_PRIVATE, 1, 1, &two,
	       FUTEX_OP(FUTEX_OP_XOR, 0xff, FUTEX_OP_CMP_EQ, 0));
	show("xor: %#x", two);
	futex2(&one, FUTEX_WAKE_OP_PRIVATE, 1, 1, &two,
	       FUTEX_OP((FUTEX_OP_SET | FUTEX_OP_OPARG_SHIFT), 7, FUTEX_OP_CMP_EQ, 0));
	show("set, shifted: %#x", two);
}

/* A word is the same through two mappings of one memory file, unless the operation says private. */
static void case_shared_word(void)
{
	int fd = memfd_create("word", 0);
	uint32_t *here, *there;
	struct waiters waiters = {.operation = FUTEX_WAIT};
	pthread_t threads[2];

	if (fd < 0 || ftruncate(fd, PAGE))
		guest_die("memfd_create");
	here = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	there = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (here == MAP_FAILED || there == MAP_FAILED)
		guest_die("mmap");
	waiters.word = here;
	start_waiters(&waiters, threads, 2);
	wake_in_all(there, FUTEX_WAKE, 0, 2);
	join(threads, 2);
	show("woken through the other mapping: %d", atomic_load(&waiters.woken));
	close(fd);
}

static void case_wake_after_swap(void)
{
	uint32_t *word = (void *)map_pages(1, PROT_READ | PROT_WRITE);
	struct waiters waiters = {.word = word, .operation = FUTEX_WAIT};
	pthread_t threads[2];

	start_waiters(&waiters, threads, 2);
	pause_ms(5);
	madvise(word, PAGE, MADV_PAGEOUT);
	wake_in_all(word, FUTEX_WAKE, 0, 2);
	join(threads, 2);
	show("woken after the page went out: %d", atomic_load(&waiters.woken));
}

static void interrupt(int signal)
{
	(void)signal;
}

static _Atomic int interrupted_ready, interrupted_done;

static void *wait_interrupted(void *argument)
{
	static uint32_t word;
	struct timespec timeout = {.tv_sec = 60};
	long result;

	atomic_store(&interrupted_ready, 1);
	result = futex(&word, FUTEX_WAIT_PRIVATE, 0, argument ? &timeout : NULL);
	show("interrupted: %s", answer(result));
	atomic_store(&interrupted_done, 1);
	return NULL;
}

static void case_interrupted(void)
{
	struct sigaction action = {.sa_handler = interrupt};

	sigaction(SIGUSR1, &action, NULL);
	for (uintptr_t timed = 0; timed < 2; timed++) {
		pthread_t thread;

		atomic_store(&interrupted_ready, 0);
		atomic_store(&interrupted_done, 0);
		thread = start_thread(wait_interrupted, (void *)timed);
		while (!atomic_load(&interrupted_ready))
			pause_ms(1);
		/* Once more, should it not have slept yet. */
		while (!atomic_load(&interrupted_done)) {
			pthread_kill(thread, SIGUSR1);
			pause_ms(2);
		}
		pthread_join(thread, NULL);
	}
	signal(SIGUSR1, SIG_DFL);
}

/* A robust list of our own: the kernel marks the words of a thread that ends. */
static struct {
	struct robust_list_head head;
	struct {
		struct robust_list list;
		uint32_t word;
	} entries[3];
	uint32_t pending;
} robust;

static void *die_with_list(void *argument)
{
	uint32_t self = (uint32_t)gettid();
	size_t length = 0;
	void *head = NULL;

	robust.head.futex_offset = sizeof(struct robust_list);
	robust.head.list.next = &robust.entries[0].list;
	for (size_t i = 0; i < 3; i++) {
		robust.entries[i].list.next =
			i < 2 ? &robust.entries[i + 1].list : &robust.head.list;
		robust.entries[i].word = i == 1 ? 12345 : self; /* the second is another's */
	}
	robust.entries[2].word |= FUTEX_WAITERS;
	show("set_robust_list: %s",
	     answer(syscall(SYS_set_robust_list, &robust.head, sizeof(robust.head))));
	show("a wrong size: %s", answer(syscall(SYS_set_robust_list, &robust.head, 7)));
	show("get_robust_list: %s", answer(syscall(SYS_get_robust_list, 0, &head, &length)));
	show("  the same head: %d, length %zu", head == &robust.head, length);
	return argument;
}

static void case_robust_list(void)
{
	pthread_join(start_thread(die_with_list, NULL), NULL);
	for (size_t i = 0; i < 3; i++)
		show("word %zu: %s%s%s", i,
		     robust.entries[i].word & FUTEX_OWNER_DIED ? "owner died " : "",
		     robust.entries[i].word & FUTEX_WAITERS ? "waiters " : "",
		     robust.entries[i].word & FUTEX_TID_MASK ? "owned" : "");
}

static _Atomic uint32_t cleared = 77;

static void *clear_my_tid(void *argument)
{
	show("set_tid_address answers the thread: %d",
	     syscall(SYS_set_tid_address, argument) == (long)gettid());
	/* pthread_exit would wait for nobody, but the library's own word would never be cleared. */
	syscall(SYS_exit, 0);
	return NULL;
}

static void case_tid_address(void)
{
	long result;

	start_thread(clear_my_tid, &cleared);
	do {
		result = futex(&cleared, FUTEX_WAIT, 77, NULL);
	} while (!result && atomic_load(&cleared) == 77);
	show("the word: %u", atomic_load(&cleared));
	show("of the first thread: %d", syscall(SYS_set_tid_address, NULL) == (long)getpid());
}

/* The fields of struct rseq that the kernel fills. */
struct rseq_area {
	uint32_t cpu_id_start, cpu_id;
	uint64_t rseq_cs;
	uint32_t flags, node_id, mm_cid;
	char padding[4];
} __attribute__((aligned(32)));

#define RSEQ_SIGNATURE 0x53053053

extern const ptrdiff_t __rseq_offset;
extern const unsigned int __rseq_size;

static bool fails_with(long result, int error)
{
	return result == -1 && errno == error;
}

/* All that a registered area answers: the library's, then one of our own. */
static bool rseq_works(void)
{
	static struct rseq_area area;
	struct rseq_area *registered = (void *)((char *)__builtin_thread_pointer() + __rseq_offset);

	return registered->cpu_id < 4096 &&
	       fails_with(syscall(SYS_rseq, &area, 32, 0, RSEQ_SIGNATURE), EINVAL) &&
	       fails_with(syscall(SYS_rseq, &area, 32, 1, RSEQ_SIGNATURE), EINVAL) &&
	       fails_with(syscall(SYS_rseq, registered, 32, 1, 1), EPERM) &&
	       !syscall(SYS_rseq, registered, 32, 1, RSEQ_SIGNATURE) &&
	       !syscall(SYS_rseq, &area, 32, 0, RSEQ_SIGNATURE) && !sched_yield() &&
	       area.cpu_id < 4096 && !syscall(SYS_rseq, &area, 32, 1, RSEQ_SIGNATURE);
}

/* Where a kernel has no restartable sequences it says so, and the library does without them. */
static bool rseq_is_refused(void)
{
	static struct rseq_area area;

	return fails_with(syscall(SYS_rseq, &area, 32, 0, RSEQ_SIGNATURE), ENOSYS);
}

static void *use_rseq(void *argument)
{
	show("as the library thinks: %d", __rseq_size ? rseq_works() : rseq_is_refused());
	return argument;
}

static void case_rseq(void)
{
	pthread_join(start_thread(use_rseq, NULL), NULL);
}

int main(int argc, char **argv)
{
	static const struct guest_case cases[] = {
		{"errors", case_errors},
		{"timeouts", case_timeouts},
		{"wake", case_wake},
		{"requeue", case_requeue},
		{"wake_op", case_wake_op},
		{"shared_word", case_shared_word},
		{"wake_after_swap", case_wake_after_swap},
		{"interrupted", case_interrupted},
		{"robust_list", case_robust_list},
		{"tid_address", case_tid_address},
		{"rseq", case_rseq},
		{NULL, NULL},
	};

	return guest_main(argc, argv, cases);
}
