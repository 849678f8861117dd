/* SPDX-License-Identifier: MIT */
/*
 * Waiting for descriptors.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>

#include "run/clock.h"
#include "run/syscall/bounce.h"
#include "run/syscall/descriptor.h"
#include "run/syscall/families.h"
#include "run/syscall/rows.h"
#include "run/user/user.h"

#define BYTES_SIGSET 8
#define BYTES_EPOLL_EVENT 12
/* Sets of descriptors are passed as whole words. */
#define FD_SET_BYTES(n) (((uint64_t)(n) + 63) / 64 * 8)

/* The mask of a call that has one, as the host's argument; 0: it has none. */
static int set_call_mask(struct thread *thread, uint64_t address, uint64_t bytes,
			 uint64_t *host_mask)
{
	uint64_t mask;

	*host_mask = 0;
	if (!address)
		return 0;
	if (bytes != BYTES_SIGSET)
		return -EINVAL;
	if (copy_from_user(thread_mm(thread), &mask, address, sizeof(mask)))
		return -EFAULT;
	*host_mask = signal_set_mask_for_call(thread, mask);
	return 0;
}

/* What is left of a timeout is told also when a signal came; not being able to is no error. */
static void tell_remaining(struct thread *thread, uint64_t address, uint64_t copy, uint64_t bytes)
{
	const void *remaining = bounce_pointer(copy);

	if (remaining)
		(void)copy_some_to_user(thread_mm(thread), address, remaining, bytes);
}

/* Descriptors of Quire's must look closed: a number that nobody can have takes their place. */
static bool hide_private(const struct thread *thread, struct pollfd *fds, uint64_t nr)
{
	bool hidden = false;

	for (uint64_t i = 0; i < nr; i++)
		if (fds[i].fd >= 0 && run_fd_is_private(thread->process->run, fds[i].fd)) {
			fds[i].fd = INT_MAX;
			hidden = true;
		}
	return hidden;
}

static int store_events(struct thread *thread, uint64_t address, const struct pollfd *fds,
			uint64_t nr)
{
	for (uint64_t i = 0; i < nr; i++) {
		uint64_t at = address + i * sizeof(*fds) + offsetof(struct pollfd, revents);

		if (copy_to_user(thread_mm(thread), at, &fds[i].revents, sizeof(fds[i].revents)))
			return -EFAULT;
	}
	return 0;
}

/* poll(2) or ppoll(2) with its last arguments, timeout and mask, ready for the host. */
static int64_t poll_on_host(struct thread *thread, struct bounce *bounce, long number,
			    const uint64_t args[4])
{
	const uint64_t nr = (uint32_t)args[1];
	struct pollfd *fds;
	uint64_t copy;
	bool hidden;
	int64_t result;

	if (nr > descriptor_limit(thread))
		return -EINVAL;
	copy = bounce_in(bounce, args[0], nr * sizeof(*fds));
	fds = bounce_pointer(copy);
	hidden = fds && hide_private(thread, fds, nr);
	result = bounce_call(bounce, thread, number,
			     (const uint64_t[6]){copy, nr, args[2], args[3], BYTES_SIGSET}, true);
	if (result < 0 || !fds)
		return result;
	if (hidden)
		return store_events(thread, args[0], fds, nr) ? -EFAULT : result;
	return copy_to_user(thread_mm(thread), args[0], fds, nr * sizeof(*fds)) ? -EFAULT : result;
}

static int64_t poll_until(struct thread *thread, const struct timed_call *call, int timeout);

/* Milliseconds until the deadline, rounded up, so that none is left when it is over. */
static int remaining_ms(const struct timespec *deadline)
{
	const int64_t ns = (int64_t)(timespec_ns(deadline) - now_ns());

	return ns > 0 ? (int)((ns + 999999) / 1000000) : 0;
}

static int64_t restart_poll(struct thread *thread)
{
	const struct timed_call call = thread->restart_timed;

	return poll_until(thread, &call, remaining_ms(&call.deadline));
}

/* A poll that a signal ended goes on until its deadline when no handler runs. */
static int64_t poll_until(struct thread *thread, const struct timed_call *call, int timeout)
{
	struct bounce bounce;
	int64_t result;

	bounce_begin(&bounce, thread);
	result = poll_on_host(
		thread, &bounce, __NR_poll,
		(const uint64_t[4]){call->args[0], call->args[1], (uint64_t)(int64_t)timeout, 0});
	bounce_end(&bounce);
	if (result == -EINTR && timeout > 0) {
		thread->restart_timed = *call;
		thread->restart = restart_poll;
	}
	return result;
}

static int64_t sys_poll(struct thread *thread, const uint64_t args[6])
{
	struct timed_call call = {.args = {args[0], args[1]}};
	const int timeout = (int)args[2];
	const struct timespec span = {timeout / 1000, timeout % 1000 * 1000000l};

	if (timeout > 0)
		call.deadline = clock_after(CLOCK_MONOTONIC, &span);
	return poll_until(thread, &call, timeout);
}

static int64_t sys_ppoll(struct thread *thread, const uint64_t args[6])
{
	struct bounce bounce;
	uint64_t timeout, mask;
	int64_t result;

	bounce_begin(&bounce, thread);
	timeout = bounce_in(&bounce, args[2], BYTES_TIMESPEC);
	result = set_call_mask(thread, args[3], args[4], &mask);
	if (!result)
		result = poll_on_host(thread, &bounce, __NR_ppoll,
				      (const uint64_t[4]){args[0], args[1], timeout, mask});
	tell_remaining(thread, args[2], timeout, BYTES_TIMESPEC);
	bounce_end(&bounce);
	return result;
}

/* select(2) or pselect6(2), whose last argument is ready for the host; both timeouts have the same
 * size. */
static int64_t select_on_host(struct thread *thread, long number, const uint64_t args[5],
			      uint64_t mask)
{
	struct bounce bounce;
	uint64_t host_args[6] = {0, 0, 0, 0, 0, mask};
	uint64_t bytes;
	int64_t result;

	if ((int32_t)args[0] < 0)
		return -EINVAL;
	host_args[0] = min_u64((uint32_t)args[0], descriptor_limit(thread));
	bytes = FD_SET_BYTES(host_args[0]);
	bounce_begin(&bounce, thread);
	for (uint32_t i = 1; i <= 3; i++)
		host_args[i] = bounce_inout(&bounce, args[i], bytes);
	host_args[4] = bounce_in(&bounce, args[4], BYTES_TIMESPEC);
	result = bounce_call(&bounce, thread, number, host_args, true);
	tell_remaining(thread, args[4], host_args[4], BYTES_TIMESPEC);
	return bounce_finish(&bounce, result);
}

static int64_t sys_select(struct thread *thread, const uint64_t args[6])
{
	return select_on_host(thread, __NR_select, args, 0);
}

static int64_t sys_pselect6(struct thread *thread, const uint64_t args[6])
{
	struct {
		uint64_t address;
		uint64_t bytes;
	} mask = {0, 0};
	int error;

	if (args[5] && copy_from_user(thread_mm(thread), &mask, args[5], sizeof(mask)))
		return -EFAULT;
	error = set_call_mask(thread, mask.address, mask.bytes, &mask.address);
	return error ? error : select_on_host(thread, __NR_pselect6, args, as_number(&mask));
}

static int64_t epoll_with_mask(struct thread *thread, long number, const uint64_t args[6])
{
	uint64_t mask;
	int error = set_call_mask(thread, args[4], args[5], &mask);

	if (error)
		return error;
	return host_call(
		thread, syscall_row(number),
		(const uint64_t[6]){args[0], args[1], args[2], args[3], mask, BYTES_SIGSET});
}

static int64_t sys_epoll_pwait(struct thread *thread, const uint64_t args[6])
{
	return epoll_with_mask(thread, __NR_epoll_pwait, args);
}

static int64_t sys_epoll_pwait2(struct thread *thread, const uint64_t args[6])
{
	return epoll_with_mask(thread, __NR_epoll_pwait2, args);
}

#define EVENTS A_OUT_BYTES(events, 2, BYTES_EPOLL_EVENT)

static const struct syscall_row rows[] = {
	ROW_OWN(poll, HOW_HOST, SYSCALL_BLOCKS | SYSCALL_NOHAND, NULL, A_INOUT_BYTES(fds, 1, 8),
		A_INT(nfds), A_INT(timeout)),
	ROW_OWN(ppoll, HOW_HOST, SYSCALL_BLOCKS | SYSCALL_NOHAND, NULL, A_INOUT_BYTES(fds, 1, 8),
		A_INT(nfds), A_INOUT(tmo_p, BYTES_TIMESPEC), A_IN(sigmask, BYTES_SIGSET),
		A_LONG(sigsetsize)),
	ROW_OWN(select, HOW_HOST, SYSCALL_BLOCKS | SYSCALL_NOHAND, NULL, A_INT(nfds),
		A_INOUT(readfds, 128), A_INOUT(writefds, 128), A_INOUT(exceptfds, 128),
		A_INOUT(timeout, BYTES_TIMEVAL)),
	ROW_OWN(pselect6, HOW_HOST, SYSCALL_BLOCKS | SYSCALL_NOHAND, NULL, A_INT(nfds),
		A_INOUT(readfds, 128), A_INOUT(writefds, 128), A_INOUT(exceptfds, 128),
		A_INOUT(timeout, BYTES_TIMESPEC), A_IN(sigmask, 16)),
	ROW_HOST(epoll_create, SYSCALL_NEW_FD, A_INT(size)),
	ROW_HOST(epoll_create1, SYSCALL_NEW_FD, A_INT(flags)),
	ROW_HOST(epoll_ctl, 0, A_FD(epfd), A_INT(op), A_FD(fd), A_IN(event, BYTES_EPOLL_EVENT)),
	ROW_HOST(epoll_wait, SYSCALL_BLOCKS, A_FD(epfd), EVENTS, A_INT(maxevents), A_INT(timeout)),
	ROW_OWN(epoll_pwait, HOW_HOST, SYSCALL_BLOCKS, NULL, A_FD(epfd), EVENTS, A_INT(maxevents),
		A_INT(timeout), A_ADDRESS(sigmask), A_LONG(sigsetsize)),
	ROW_OWN(epoll_pwait2, HOW_HOST, SYSCALL_BLOCKS, NULL, A_FD(epfd), EVENTS, A_INT(maxevents),
		A_IN(timeout, BYTES_TIMESPEC), A_ADDRESS(sigmask), A_LONG(sigsetsize)),
};
SYSCALL_FAMILY(poll_calls, "Waiting for descriptors", rows);
