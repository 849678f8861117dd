/* SPDX-License-Identifier: MIT */
/*
 * futex(2).
 */
#include "run/task/futex.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>

#include "run/clock.h"
#include "run/task/futex_key.h"
#include "run/user/user.h"

/* An aligned word of the program in its frame, so that it can be read and changed in one step. */
struct futex_word {
	struct user_pin pin;
	_Atomic uint32_t *value;
};

static int pin_word(struct mm_struct *mm, uint64_t address, bool write, struct futex_word *word)
{
	const int error = user_pin(mm, address, sizeof(uint32_t), write, &word->pin);

	if (!error)
		word->value = (_Atomic uint32_t *)word->pin.vector[0].iov_base;
	return error;
}

static int read_word(struct mm_struct *mm, uint64_t address, uint32_t *value)
{
	struct futex_word word;
	const int error = pin_word(mm, address, false, &word);

	if (error)
		return error;
	*value = atomic_load_explicit(word.value, memory_order_seq_cst);
	user_unpin(mm, &word.pin, false);
	return 0;
}

/*
 * Sleeps until woken: 0, -ETIMEDOUT, -EINTR. The deadline is absolute, so that an early wake-up
 * does not lengthen the wait.
 */
static int64_t sleep_on(struct thread *thread, struct futex_waiter *waiter,
			const struct futex_wait *wait)
{
	const uint64_t operation =
		FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG | (wait->flags & FUTEX_CLOCK_REALTIME);
	const uint64_t args[6] = {(uintptr_t)&waiter->woken,
				  operation,
				  0,
				  wait->timed ? (uintptr_t)&wait->deadline : 0,
				  0,
				  FUTEX_BITSET_MATCH_ANY};

	while (!atomic_load_explicit(&waiter->woken, memory_order_acquire)) {
		const int64_t result = host_syscall_interruptible(thread, SYS_futex, args);

		if (result == -ETIMEDOUT || result == -EINTR)
			return result;
	}
	return 0;
}

static int64_t restart_wait(struct thread *thread);

static int64_t wait_on(struct thread *thread, const struct futex_wait *wait)
{
	struct mm_struct *mm = thread_mm(thread);
	struct futex_waiter waiter = {.bitset = wait->bitset};
	struct futex_bucket *bucket;
	uint32_t value = 0;
	int64_t result;

	result = futex_key_get(mm, wait->address, wait->flags & FUTEX_PRIVATE_FLAG, &waiter.key);
	if (result)
		return result;
	bucket = futex_bucket_of(&waiter.key);
	mutex_lock(&bucket->lock);
	result = read_word(mm, wait->address, &value);
	if (!result && value != wait->value)
		result = -EAGAIN;
	if (!result)
		futex_queue(bucket, &waiter);
	mutex_unlock(&bucket->lock);
	if (result)
		return result;
	result = sleep_on(thread, &waiter, wait);
	if (!futex_unqueue(&waiter))
		return 0;
	if (result == -EINTR && wait->timed) {
		thread->restart_futex = *wait;
		thread->restart = restart_wait;
	}
	return result;
}

static int64_t restart_wait(struct thread *thread)
{
	const struct futex_wait wait = thread->restart_futex;

	return wait_on(thread, &wait);
}

/* The time after which a wait ends; `relative` counts from now on the monotonic clock. */
static int64_t take_timeout(struct thread *thread, uint64_t address, bool relative,
			    struct futex_wait *wait)
{
	struct timespec *deadline = &wait->deadline;

	if (!address)
		return 0;
	if (copy_from_user(thread_mm(thread), deadline, address, sizeof(*deadline)) != 0)
		return -EFAULT;
	if (deadline->tv_sec < 0 || deadline->tv_nsec < 0 || deadline->tv_nsec >= NS_PER_SECOND)
		return -EINVAL;
	wait->timed = true;
	if (relative)
		*deadline = clock_after(CLOCK_MONOTONIC, deadline);
	return 0;
}

static int64_t do_wait(struct thread *thread, const uint64_t args[6])
{
	const int operation = (int)args[1] & FUTEX_CMD_MASK;
	struct futex_wait wait = {
		.address = args[0],
		.value = (uint32_t)args[2],
		.bitset = operation == FUTEX_WAIT ? FUTEX_BITSET_MATCH_ANY : (uint32_t)args[5],
		.flags = (uint32_t)args[1] & ~(uint32_t)FUTEX_CMD_MASK,
	};
	const int64_t error = take_timeout(thread, args[3], operation == FUTEX_WAIT, &wait);

	if (error)
		return error;
	if (!wait.bitset)
		return -EINVAL;
	return wait_on(thread, &wait);
}

static int64_t do_wake(struct mm_struct *mm, uint64_t address, bool is_private, int32_t nr,
		       uint32_t bitset)
{
	struct futex_bucket *bucket;
	struct futex_key key;
	int64_t result;

	if (!bitset)
		return -EINVAL;
	result = futex_key_get(mm, address, is_private, &key);
	if (result)
		return result;
	bucket = futex_bucket_of(&key);
	mutex_lock(&bucket->lock);
	/* As on Linux, nobody asks for none: one is woken. */
	result = futex_wake_key(bucket, &key, nr > 0 ? (uint32_t)nr : 1, bitset);
	mutex_unlock(&bucket->lock);
	return result;
}

/* The two words of a call, and their buckets, which are locked together. */
struct futex_pair {
	struct futex_key key[2];
	struct futex_bucket *bucket[2];
};

static int lock_pair(struct thread *thread, const uint64_t args[6], struct futex_pair *pair)
{
	const bool is_private = args[1] & FUTEX_PRIVATE_FLAG;
	int error = futex_key_get(thread_mm(thread), args[0], is_private, &pair->key[0]);

	if (!error)
		error = futex_key_get(thread_mm(thread), args[4], is_private, &pair->key[1]);
	if (error)
		return error;
	for (int i = 0; i < 2; i++)
		pair->bucket[i] = futex_bucket_of(&pair->key[i]);
	futex_lock_two(pair->bucket[0], pair->bucket[1]);
	return 0;
}

static void unlock_pair(const struct futex_pair *pair)
{
	futex_unlock_two(pair->bucket[0], pair->bucket[1]);
}

static uint32_t wake_of(const struct futex_pair *pair, int which, uint32_t nr)
{
	return futex_wake_key(pair->bucket[which], &pair->key[which], nr, FUTEX_BITSET_MATCH_ANY);
}

static int64_t do_requeue(struct thread *thread, const uint64_t args[6], bool compare)
{
	struct mm_struct *mm = thread_mm(thread);
	const int32_t nr_wake = (int32_t)args[2];
	const int32_t nr_requeue = (int32_t)args[3];
	struct futex_pair pair;
	uint32_t value = 0;
	int64_t result;

	if (nr_wake < 0 || nr_requeue < 0)
		return -EINVAL;
	result = lock_pair(thread, args, &pair);
	if (result)
		return result;
	if (compare) {
		result = read_word(mm, args[0], &value);
		if (!result && value != (uint32_t)args[5])
			result = -EAGAIN;
	}
	if (!result) {
		result = wake_of(&pair, 0, (uint32_t)nr_wake);
		result += futex_requeue_key(pair.bucket[0], &pair.key[0], pair.bucket[1],
					    &pair.key[1], (uint32_t)nr_requeue);
	}
	unlock_pair(&pair);
	return result;
}

/* The change that FUTEX_WAKE_OP makes, and the old value. -ENOSYS: no such operation. */
static int change_word(struct mm_struct *mm, uint64_t address, uint32_t encoded, uint32_t *old)
{
	const uint32_t operation = encoded >> 28 & 7;
	uint32_t operand = (uint32_t)((int32_t)(encoded << 8) >> 20);
	struct futex_word word;
	int error = 0;

	if (encoded >> 28 & FUTEX_OP_OPARG_SHIFT)
		operand = 1u << (operand & 31);
	if (operation > FUTEX_OP_XOR)
		return -ENOSYS;
	error = pin_word(mm, address, true, &word);
	if (error)
		return error;
	switch (operation) {
	case FUTEX_OP_SET:
		*old = atomic_exchange(word.value, operand);
		break;
	case FUTEX_OP_ADD:
		*old = atomic_fetch_add(word.value, operand);
		break;
	case FUTEX_OP_OR:
		*old = atomic_fetch_or(word.value, operand);
		break;
	case FUTEX_OP_ANDN:
		*old = atomic_fetch_and(word.value, ~operand);
		break;
	default:
		*old = atomic_fetch_xor(word.value, operand);
		break;
	}
	user_unpin(mm, &word.pin, true);
	return 0;
}

/* Whether the old value asks for the second wake-up: 1 or 0; -ENOSYS: no such comparison. */
static int compare_word(uint32_t encoded, uint32_t old_value)
{
	const int32_t operand = (int32_t)(encoded << 20) >> 20;
	const int32_t old = (int32_t)old_value;

	switch (encoded >> 24 & 15) {
	case FUTEX_OP_CMP_EQ:
		return old == operand;
	case FUTEX_OP_CMP_NE:
		return old != operand;
	case FUTEX_OP_CMP_LT:
		return old < operand;
	case FUTEX_OP_CMP_GE:
		return old >= operand;
	case FUTEX_OP_CMP_LE:
		return old <= operand;
	case FUTEX_OP_CMP_GT:
		return old > operand;
	default:
		return -ENOSYS;
	}
}

static int64_t do_wake_op(struct thread *thread, const uint64_t args[6])
{
	struct mm_struct *mm = thread_mm(thread);
	const uint32_t encoded = (uint32_t)args[5];
	struct futex_pair pair;
	uint32_t old = 0;
	int64_t result;
	int also;

	result = lock_pair(thread, args, &pair);
	if (result)
		return result;
	result = change_word(mm, args[4], encoded, &old);
	also = result ? 0 : compare_word(encoded, old);
	if (also < 0)
		result = also;
	if (!result) {
		result = wake_of(&pair, 0, (uint32_t)args[2]);
		if (also)
			result += wake_of(&pair, 1, (uint32_t)args[3]);
	}
	unlock_pair(&pair);
	return result;
}

int64_t do_futex(struct thread *thread, const uint64_t args[6])
{
	const int operation = (int)args[1] & FUTEX_CMD_MASK;
	const bool is_private = args[1] & FUTEX_PRIVATE_FLAG;

	if (args[1] & FUTEX_CLOCK_REALTIME && operation != FUTEX_WAIT_BITSET)
		return -ENOSYS;
	switch (operation) {
	case FUTEX_WAIT:
	case FUTEX_WAIT_BITSET:
		return do_wait(thread, args);
	case FUTEX_WAKE:
		return do_wake(thread_mm(thread), args[0], is_private, (int32_t)args[2],
			       FUTEX_BITSET_MATCH_ANY);
	case FUTEX_WAKE_BITSET:
		return do_wake(thread_mm(thread), args[0], is_private, (int32_t)args[2],
			       (uint32_t)args[5]);
	case FUTEX_REQUEUE:
	case FUTEX_CMP_REQUEUE:
		return do_requeue(thread, args, operation == FUTEX_CMP_REQUEUE);
	case FUTEX_WAKE_OP:
		return do_wake_op(thread, args);
	default:
		return -ENOSYS;
	}
}

void futex_wake(struct thread *thread, uint64_t address, uint32_t nr)
{
	/* Nobody can wait on a word that is not there. */
	if (do_wake(thread_mm(thread), address, false, (int32_t)nr, FUTEX_BITSET_MATCH_ANY) < 0)
		return;
}
