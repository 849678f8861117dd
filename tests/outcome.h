/* SPDX-License-Identifier: MIT */
/*
 * What an access of a program that failed would be to a system call. For tests that count failures,
 * whoever hears of them.
 */
#ifndef TESTS_OUTCOME_H
#define TESTS_OUTCOME_H

#include "machine/soft/soft.h"

#include <errno.h>

/* 0: a signal that nobody should have got. */
static inline int outcome_error(const struct soft_outcome *outcome)
{
	switch (outcome->signal) {
	case QUIRE_BUS_ADRERR:
		return EIO;
	case QUIRE_KILL_OOM:
	case QUIRE_SIGNAL_NONE:
		return ENOMEM;
	default:
		return 0;
	}
}

#endif
