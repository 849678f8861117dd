/* SPDX-License-Identifier: MIT */
/*
 * From -errno inside to the POSIX way outside: -1 with errno.
 */
#ifndef QUIRE_CORE_INSTANCE_API_H
#define QUIRE_CORE_INSTANCE_API_H

#include "base/lock.h"

#include <errno.h>

/* Also the place where a call is about to return to its user, so no lock of ours may be held. */
static inline int64_t api_result(int64_t value)
{
	lock_rank_assert_none();
	if (value >= 0)
		return value;
	errno = (int)-value;
	return -1;
}

static inline int api_status(int error)
{
	return (int)api_result(error);
}

#endif
