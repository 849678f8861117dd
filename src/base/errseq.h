/* SPDX-License-Identifier: MIT */
/*
 * Sticky write errors that are reported once to each opener: the idea of Linux's errseq_t. One
 * 32-bit value holds the last error, whether anyone has seen it, and a counter that moves on when a
 * new error follows one that was seen. Each opener keeps a sample and compares.
 *
 * An error nobody has seen yet is also reported to those who open later. Zero-filled means no error
 * ever. All functions are thread-safe and wait-free but for contention on the one word; `since`
 * belongs to the caller, who guards it.
 */
#ifndef QUIRE_BASE_ERRSEQ_H
#define QUIRE_BASE_ERRSEQ_H

#include "base/types.h"

typedef _Atomic uint32_t errseq_t;

/* Notes that writing back failed with `error`, -1 to -4095. 0 and other values are ignored. */
void errseq_set(errseq_t *eseq, int error);

/* What a new opener keeps as its point of comparison. */
uint32_t errseq_sample(errseq_t *eseq);

/* The last error when one was set after `since`, else 0. Does not count as seen. */
int errseq_check(errseq_t *eseq, uint32_t since);

/* As errseq_check(), marks the error seen and moves *since past it, so that the same opener gets it
 * once. */
int errseq_check_and_advance(errseq_t *eseq, uint32_t *since);

#endif
