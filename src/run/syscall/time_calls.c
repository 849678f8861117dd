/* SPDX-License-Identifier: MIT */
/*
 * Clocks, sleeping and timers, all the host's.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "run/exec/vdso.h"
#include "run/syscall/bounce.h"
#include "run/syscall/families.h"
#include "run/syscall/rows.h"
#include "run/user/user.h"

#define BYTES_ITIMERSPEC 32
#define BYTES_ITIMERVAL 32
#define BYTES_TIMEX 208

/*
 * clock_nanosleep(2). What remains is told when a signal ends a relative sleep; when the signal
 * came before the host began to sleep, that is all of it.
 */
static int64_t sleep_on_host(struct thread *thread, const uint64_t args[4])
{
	const bool relative = !(args[1] & TIMER_ABSTIME);
	struct timespec request, remain;
	uint64_t copy = 0;
	int64_t result;

	if (copy_from_user(thread_mm(thread), &request, args[2], sizeof(request)))
		return -EFAULT;
	remain = request;
	if (relative && args[3])
		copy = (uint64_t)(uintptr_t)&remain;
	result = host_call_raw(
		thread, __NR_clock_nanosleep,
		(const uint64_t[6]){args[0], args[1], (uint64_t)(uintptr_t)&request, copy}, true);
	if (result == -EINTR && copy &&
	    copy_to_user(thread_mm(thread), args[3], &remain, sizeof(remain)))
		return -EFAULT;
	return result;
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
