/* SPDX-License-Identifier: MIT */
/*
 * Assertions at three costs, chosen when building: QUIRE_CHECK=0 none, 1 cheap ones, 2 also those
 * that walk whole structures. A failed one prints file, line and expression on standard error and
 * aborts.
 */
#ifndef QUIRE_BASE_CHECK_H
#define QUIRE_BASE_CHECK_H

#include <stdint.h>

#ifndef QUIRE_CHECK
#define QUIRE_CHECK 0
#endif

__attribute__((noreturn, cold)) void quire_assert_failed(const char *file, int line,
							 const char *expression);

#define QUIRE_ASSERT(level, expression) \
	do { \
		if (QUIRE_CHECK >= (level) && __builtin_expect(!(expression), 0)) \
			quire_assert_failed(__FILE__, __LINE__, #expression); \
	} while (0)

/*
 * What a structure's _validate() function found. It notes every violation and goes on; `first`
 * keeps the text of the first one. Zero-fill before use.
 */
struct check_report {
	uint32_t violations;
	char first[240];
};

__attribute__((format(printf, 2, 3))) void check_violation(struct check_report *report,
							   const char *format, ...);

/* Notes a violation unless `condition` holds. */
#define CHECK_THAT(report, condition, ...) \
	do { \
		if (!(condition)) \
			check_violation((report), __VA_ARGS__); \
	} while (0)

#endif
