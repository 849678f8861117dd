/* SPDX-License-Identifier: MIT */
/*
 * Clocks, sleeping and timers, all the host's.
 */
#include <errno.h>
#include <string.h>

#include "run/clock.h"
#include "run/exec/vdso.h"
#include "run/syscall/bounce.h"
#include "run/syscall/families.h"
#include "run/syscall/rows.h"
#include "run/user/user.h"

#define BYTES_ITIMERSPEC 32
#define BYTES_ITIMERVAL 32
#define BYTES_TIMEX 208

static int64_t restart_sleep(struct thread *thread);

/*
 * What remains of a relative sleep on `clock` that a signal ended: told at `address`, unless that
 * is 0, and kept, so that the sleep goes on when no handler runs.
 */
static int64_t sleep_interrupted(struct thread *thread, clockid_t clock, uint64_t address,
				 const struct timespec *remain)
{
	struct timed_call *restart = &thread->restart_timed;

	if (address && copy_to_user(thread_mm(thread), address, remain, sizeof(*remain)))
		return -EFAULT;
	restart->deadline = clock_after(clock, remain);
	restart->args[0] = (uint64_t)(int64_t)clock;
	restart->args[1] = address;
	thread->restart = restart_sleep;
	return -EINTR;
}

static int64_t restart_sleep(struct thread *thread)
{
	const struct timed_call call = thread->restart_timed;
	const clockid_t clock = (clockid_t)call.args[0];
	const uint64_t args[6] = {call.args[0], TIMER_ABSTIME, as_number(&call.deadline)};
	const int64_t result = host_call_raw(thread, __NR_clock_nanosleep, args, true);
	struct timespec now, remain = call.deadline;

	if (result != -EINTR)
		return result;
	clock_gettime(clock, &now);
	remain.tv_sec -= now.tv_sec;
	remain.tv_nsec -= now.tv_nsec;
	if (remain.tv_nsec < 0) {
		remain.tv_sec--;
		remain.tv_nsec += NS_PER_SECOND;
	}
	if (remain.tv_sec < 0)
		return 0;
	return sleep_interrupted(thread, clock, call.args[1], &remain);
}

/*
 * clock_nanosleep(2). What remains is told when a signal ends a relative sleep; when the signal
 * came before the host began to sleep, that is all of it.
 */
static int64_t sleep_on_host(struct thread *thread, const uint64_t args[4])
{
	/* A relative sleep does not notice that the time of day is set. */
	const clockid_t clock =
		(clockid_t)args[0] == CLOCK_REALTIME ? CLOCK_MONOTONIC : (clockid_t)args[0];
	struct timespec request, remain;
	int64_t result;

	if (copy_from_user(thread_mm(thread), &request, args[2], sizeof(request)))
		return -EFAULT;
	remain = request;
	result = host_call_raw(
		thread, __NR_clock_nanosleep,
		(const uint64_t[6]){args[0], args[1], as_number(&request), as_number(&remain)},
		true);
	if (result != -EINTR || args[1] & TIMER_ABSTIME)
		return result;
	return sleep_interrupted(thread, clock, args[3], &remain);
}

static int64_t sys_clock_nanosleep(struct thread *thread, const uint64_t args[6])
{
	return sleep_on_host(thread, args);
}

static int64_t sys_nanosleep(struct thread *thread, const uint64_t args[6])
{
	return sleep_on_host(thread, (const uint64_t[4]){CLOCK_MONOTONIC, 0, args[0], args[1]});
}

static const char vdso_note[] = "from the same data as the vDSO's clocks";

static const struct syscall_row rows[] = {
	ROW_OWN(time, HOW_HOST, 0, vdso_note, A_OUT(tloc, 8)),
	ROW_OWN(gettimeofday, HOW_HOST, 0, vdso_note, A_OUT(tv, BYTES_TIMEVAL), A_OUT(tz, 8)),
	ROW_HOST(settimeofday, 0, A_IN(tv, BYTES_TIMEVAL), A_IN(tz, 8)),
	ROW_HOST(adjtimex, 0, A_INOUT(buf, BYTES_TIMEX)),
	ROW_OWN(clock_gettime, HOW_HOST, 0, vdso_note, A_INT(clockid), A_OUT(tp, BYTES_TIMESPEC)),
	ROW_HOST(clock_settime, 0, A_INT(clockid), A_IN(tp, BYTES_TIMESPEC)),
	ROW_HOST(clock_getres, 0, A_INT(clockid), A_OUT(res, BYTES_TIMESPEC)),
	ROW_HOST(clock_adjtime, 0, A_INT(clockid), A_INOUT(buf, BYTES_TIMEX)),
	ROW_OWN(nanosleep, HOW_HOST, SYSCALL_BLOCKS | SYSCALL_NOHAND, NULL,
		A_IN(duration, BYTES_TIMESPEC), A_OUT(rem, BYTES_TIMESPEC)),
	ROW_OWN(clock_nanosleep, HOW_HOST, SYSCALL_BLOCKS | SYSCALL_NOHAND, NULL, A_INT(clockid),
		A_INT(flags), A_IN(t, BYTES_TIMESPEC), A_OUT(remain, BYTES_TIMESPEC)),
	ROW_HOST(alarm, 0, A_INT(seconds)),
	ROW_HOST(getitimer, 0, A_INT(which), A_OUT(curr_value, BYTES_ITIMERVAL)),
	ROW_HOST(setitimer, 0, A_INT(which), A_IN(new_value, BYTES_ITIMERVAL),
		 A_OUT(old_value, BYTES_ITIMERVAL)),
	ROW_HOST(timer_settime, 0, A_INT(timerid), A_INT(flags), A_IN(new_value, BYTES_ITIMERSPEC),
		 A_OUT(old_value, BYTES_ITIMERSPEC)),
	ROW_HOST(timer_gettime, 0, A_INT(timerid), A_OUT(curr_value, BYTES_ITIMERSPEC)),
	ROW_HOST(timer_getoverrun, 0, A_INT(timerid)),
	ROW_HOST(timer_delete, 0, A_INT(timerid)),
	ROW_HOST(timerfd_create, SYSCALL_NEW_FD, A_INT(clockid), A_INT(flags)),
	ROW_HOST(timerfd_settime, 0, A_FD(fd), A_INT(flags), A_IN(new_value, BYTES_ITIMERSPEC),
		 A_OUT(old_value, BYTES_ITIMERSPEC)),
	ROW_HOST(timerfd_gettime, 0, A_FD(fd), A_OUT(curr_value, BYTES_ITIMERSPEC)),
	ROW_HOST(times, 0, A_OUT(buf, 32)),
};
SYSCALL_FAMILY(time_calls, "Time", rows);
