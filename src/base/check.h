/* SPDX-License-Identifier: MIT */
/*
 * Assertions at three costs, chosen when building: QUIRE_CHECK=0 none, 1 cheap ones, 2 also those that walk whole
 * structures. A failed one prints file, line and expression on standard error and aborts.
 */
#ifndef QUIRE_BASE_CHECK_H
#define QUIRE_BASE_CHECK_H

#ifndef QUIRE_CHECK
#define QUIRE_CHECK 0
#endif

__attribute__((noreturn, cold)) void quire_assert_failed(const char *file, int line,
							 const char *expression);

#define QUIRE_ASSERT(level, expression)                                                            \
	do {                                                                                       \
		if (QUIRE_CHECK >= (level) && __builtin_expect(!(expression), 0))                  \
			quire_assert_failed(__FILE__, __LINE__, #expression);                      \
	} while (0)

/* For structure validation that reports instead of aborting: returns `false` from the enclosing function after noting why. */
struct quire_report;

#endif
