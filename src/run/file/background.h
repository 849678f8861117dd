/* SPDX-License-Identifier: MIT */
/*
 * The helper thread of a run: reclaims when memory gets scarce, before programs have to, writes
 * pages that have been dirty for a while, and gives up files that nobody uses any more.
 */
#ifndef QUIRE_RUN_FILE_BACKGROUND_H
#define QUIRE_RUN_FILE_BACKGROUND_H

#include "run/run.h"

/* What the thread and those who wake it share; before the instance is made. 0 or -ENOMEM. */
QUIRE_MUST_CHECK int background_create(struct background **background);
void background_destroy(struct background *background);
/* 0 or -errno of pthread_create(3). */
QUIRE_MUST_CHECK int background_start(struct run *run);
/* Waits until the thread is gone; it need not have been started. */
void background_stop(struct run *run);
/* struct quire_events.pressure, with the run as context. */
void background_pressure(void *run);

#endif
