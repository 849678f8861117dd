/* SPDX-License-Identifier: MIT */
/*
 * Sticky write errors (base/errseq.h).
 *
 * Bits 0-11 are the positive errno, bit 12 says that someone has seen it, bits 13-31 count. The
 * counter moves only when an error is set over one that was seen: otherwise every opener still is
 * to get the error anyway.
 */
#include "base/errseq.h"

#define ERRSEQ_ERROR 0xfffu
#define ERRSEQ_SEEN (1u << 12)
#define ERRSEQ_COUNT (1u << 13)

void errseq_set(errseq_t *eseq, int error)
{
	if (error >= 0 || error < -(int)ERRSEQ_ERROR)
		return;

	uint32_t old = atomic_load(eseq);
	uint32_t new;

	do {
		new = (old & ~(ERRSEQ_ERROR | ERRSEQ_SEEN)) | (uint32_t)-error;
		if (old & ERRSEQ_SEEN)
			new += ERRSEQ_COUNT;
	} while (new != old && !atomic_compare_exchange_weak(eseq, &old, new));
}

uint32_t errseq_sample(errseq_t *eseq)
{
	uint32_t value = atomic_load(eseq);

	return value & ERRSEQ_SEEN ? value : 0;
}

int errseq_check(errseq_t *eseq, uint32_t since)
{
	uint32_t value = atomic_load(eseq);

	return value == since ? 0 : -(int)(value & ERRSEQ_ERROR);
}

int errseq_check_and_advance(errseq_t *eseq, uint32_t *since)
{
	uint32_t value = atomic_load(eseq);

	do {
		if (value == *since)
			return 0;
	} while (!(value & ERRSEQ_SEEN) &&
		 !atomic_compare_exchange_weak(eseq, &value, value | ERRSEQ_SEEN));
	*since = value | ERRSEQ_SEEN;
	return -(int)(value & ERRSEQ_ERROR);
}
