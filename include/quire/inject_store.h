/* SPDX-License-Identifier: MIT */
/*
 * A store around another one that counts calls and makes chosen ones go wrong: errors at submission
 * or at completion, transfers that stop short, completions that wait. Everything is counted in
 * calls and steps, nothing in time, so a run can be repeated.
 */
#ifndef QUIRE_INJECT_STORE_H
#define QUIRE_INJECT_STORE_H

#include <quire/store.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The operations of a store; each kind has its own count of calls and its own rule. */
enum quire_inject_kind {
	QUIRE_INJECT_READ,
	QUIRE_INJECT_WRITE,
	QUIRE_INJECT_SIZE,
	QUIRE_INJECT_RESIZE,
	QUIRE_INJECT_DISCARD,
	QUIRE_INJECT_SYNC,
	QUIRE_INJECT_KINDS
};

struct quire_inject_rule {
	uint64_t nth; /* the call that is hit, counted from the setting of the rule; 1 is the next
			 one, 0 none */
	bool from_then_on; /* all later ones too */
	int error;         /* -errno, or 0 for none */
	/* The rest is for transfers. */
	bool at_submit; /* the error is returned by submit() and nothing is transferred */
	/*
	 * Only the first `bytes` bytes are transferred. Then a read that has no `error` ends as at
	 * the end of a store that was cut there; a write reports `error`, -ENOSPC when that is 0,
	 * having changed these bytes.
	 */
	bool cut;
	uint64_t bytes;
	uint32_t delay; /* calls of quire_inject_step() before the transfer starts */
};

/*
 * Wraps `inner`, which it takes over on success. 0 and *store, or -ENOMEM. Closing starts the
 * transfers that are still held back and closes `inner`.
 */
int quire_inject_store_create(struct quire_store *inner, struct quire_store **store);

/* Replaces the rule for the kind; NULL removes it. */
void quire_inject_set(struct quire_store *store, enum quire_inject_kind kind,
		      const struct quire_inject_rule *rule);

/* Calls of the kind since the store was made, failed ones included. */
uint64_t quire_inject_calls(struct quire_store *store, enum quire_inject_kind kind);

/* One step for each transfer held back: those whose delay is over start, in the order of their
 * submission. Returns how many are still held. */
uint64_t quire_inject_step(struct quire_store *store);

#ifdef __cplusplus
}
#endif

#endif
