/* SPDX-License-Identifier: MIT */
/*
 * A store that makes another one go wrong (quire/inject_store.h).
 *
 * A call that no rule hits is passed on as it is. A transfer that a rule hits gets an envelope: a
 * request of its own for the inner store, whose completion then completes the original with the
 * result that the rule wants.
 *
 * Besides its own rules it obeys FAIL_STORE of base/fail.h: the call that is hit fails with -EIO, a
 * transfer through `done`.
 */
#include <quire/inject_store.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/fail.h"
#include "base/list.h"
#include "base/lock.h"

#include <errno.h>

/* L = lock. */
struct inject_store {
	struct quire_store base;
	struct quire_store *inner;
	struct spinlock lock;
	struct quire_inject_rule rules[QUIRE_INJECT_KINDS]; /* L */
	uint64_t calls_of_rule[QUIRE_INJECT_KINDS];         /* L: since the rule was set */
	uint64_t calls[QUIRE_INJECT_KINDS];                 /* L: ever */
	struct list_head held; /* L: of envelope.held, in order of submission */
};

struct envelope {
	struct list_head held;         /* lock of the store */
	uint32_t delay;                /* lock of the store: steps to go */
	struct quire_inject_rule rule; /* fixed */
	struct quire_store *inner;
	struct quire_request *original;
	struct quire_request request; /* what the inner store sees */
	struct quire_segment segments[];
};

static struct inject_store *inject_store(struct quire_store *store)
{
	return container_of(store, struct inject_store, base);
}

/* Counts a call; true when it goes wrong, and then *rule says how. */
static bool call_is_hit(struct inject_store *store, enum quire_inject_kind kind,
			struct quire_inject_rule *rule)
{
	bool hit;

	spin_lock(&store->lock);
	store->calls[kind]++;

	uint64_t call = ++store->calls_of_rule[kind];

	*rule = store->rules[kind];
	hit = rule->nth && (call == rule->nth || (rule->from_then_on && call > rule->nth));
	spin_unlock(&store->lock);
	if (hit || !quire_should_fail(FAIL_STORE))
		return hit;
	*rule = (struct quire_inject_rule){.error = -EIO, .cut = true, .bytes = 0};
	return true;
}

/* For calls that are no transfers: 0 when the call is to be passed on, else its error. */
static int injected_error(struct inject_store *store, enum quire_inject_kind kind)
{
	struct quire_inject_rule rule;

	return call_is_hit(store, kind, &rule) ? rule.error : 0;
}

static void end_envelope(struct envelope *envelope, int64_t result)
{
	struct quire_request *original = envelope->original;

	if (result >= 0 && envelope->rule.error)
		result = envelope->rule.error;
	else if (result >= 0 && envelope->rule.cut && original->direction == QUIRE_WRITE)
		result = -ENOSPC;
	quire_free(envelope);
	original->done(original, result);
}

static void inner_done(struct quire_request *request, int64_t result)
{
	end_envelope(request->context, result);
}

static void start_envelope(struct envelope *envelope)
{
	int error;

	if (!envelope->request.nr_segments) {
		end_envelope(envelope, 0);
		return;
	}
	error = envelope->inner->ops->submit(envelope->inner, &envelope->request);
	if (error)
		end_envelope(envelope, error);
}

/* The request with as many bytes as the rule lets through. NULL when memory ran out. */
static struct envelope *make_envelope(struct inject_store *store, struct quire_request *original,
				      const struct quire_inject_rule *rule)
{
	struct envelope *envelope = quire_zalloc(
		sizeof(*envelope) + original->nr_segments * sizeof(envelope->segments[0]));
	uint64_t left = rule->cut ? rule->bytes : UINT64_MAX;

	if (!envelope)
		return NULL;
	envelope->delay = rule->delay;
	envelope->rule = *rule;
	envelope->inner = store->inner;
	envelope->original = original;
	envelope->request = (struct quire_request){
		.direction = original->direction,
		.offset = original->offset,
		.segments = envelope->segments,
		.done = inner_done,
		.context = envelope,
	};
	for (uint32_t i = 0; i < original->nr_segments && left; i++) {
		struct quire_segment *segment =
			&envelope->segments[envelope->request.nr_segments++];

		*segment = original->segments[i];
		segment->bytes = min_u64(segment->bytes, left);
		left -= segment->bytes;
	}
	return envelope;
}

static int inject_submit(struct quire_store *base, struct quire_request *request)
{
	struct inject_store *store = inject_store(base);
	struct quire_inject_rule rule;

	if (!call_is_hit(store,
			 request->direction == QUIRE_READ ? QUIRE_INJECT_READ : QUIRE_INJECT_WRITE,
			 &rule))
		return store->inner->ops->submit(store->inner, request);
	if (rule.at_submit && rule.error)
		return rule.error;

	struct envelope *envelope = make_envelope(store, request, &rule);

	if (!envelope)
		return -ENOMEM;
	if (rule.delay) {
		spin_lock(&store->lock);
		list_add_tail(&envelope->held, &store->held);
		spin_unlock(&store->lock);
	} else {
		start_envelope(envelope);
	}
	return 0;
}

static int64_t inject_size(struct quire_store *base)
{
	struct inject_store *store = inject_store(base);
	int error = injected_error(store, QUIRE_INJECT_SIZE);

	return error ? error : store->inner->ops->size(store->inner);
}

static int inject_resize(struct quire_store *base, uint64_t bytes)
{
	struct inject_store *store = inject_store(base);
	int error = injected_error(store, QUIRE_INJECT_RESIZE);

	return error ? error : store->inner->ops->resize(store->inner, bytes);
}

static int inject_discard(struct quire_store *base, uint64_t offset, uint64_t bytes)
{
	struct inject_store *store = inject_store(base);
	int error = injected_error(store, QUIRE_INJECT_DISCARD);

	return error ? error : store->inner->ops->discard(store->inner, offset, bytes);
}

static int inject_sync(struct quire_store *base)
{
	struct inject_store *store = inject_store(base);
	int error = injected_error(store, QUIRE_INJECT_SYNC);

	return error ? error : store->inner->ops->sync(store->inner);
}

static void inject_close(struct quire_store *base)
{
	struct inject_store *store = inject_store(base);

	while (quire_inject_step(base))
		;
	store->inner->ops->close(store->inner);
	quire_free(store);
}

static const struct quire_store_ops inject_ops = {
	.name = "inject",
	.submit = inject_submit,
	.size = inject_size,
	.resize = inject_resize,
	.discard = inject_discard,
	.sync = inject_sync,
	.close = inject_close,
};

int quire_inject_store_create(struct quire_store *inner, struct quire_store **result)
{
	struct inject_store *store = quire_zalloc(sizeof(*store));

	if (!store)
		return -ENOMEM;
	store->base.ops = &inject_ops;
	store->base.writable = inner->writable;
	store->inner = inner;
	spin_lock_init(&store->lock, LOCK_LEAF);
	list_init(&store->held);
	*result = &store->base;
	return 0;
}

void quire_inject_set(struct quire_store *base, enum quire_inject_kind kind,
		      const struct quire_inject_rule *rule)
{
	struct inject_store *store = inject_store(base);

	QUIRE_ASSERT(1, kind < QUIRE_INJECT_KINDS);
	spin_lock(&store->lock);
	store->rules[kind] = rule ? *rule : (struct quire_inject_rule){0};
	store->calls_of_rule[kind] = 0;
	spin_unlock(&store->lock);
}

uint64_t quire_inject_calls(struct quire_store *base, enum quire_inject_kind kind)
{
	struct inject_store *store = inject_store(base);

	QUIRE_ASSERT(1, kind < QUIRE_INJECT_KINDS);
	spin_lock(&store->lock);

	uint64_t calls = store->calls[kind];

	spin_unlock(&store->lock);
	return calls;
}

uint64_t quire_inject_step(struct quire_store *base)
{
	struct inject_store *store = inject_store(base);
	struct envelope *envelope, *next;
	struct list_head ready;
	uint64_t still_held = 0;

	list_init(&ready);
	spin_lock(&store->lock);
	list_for_each_entry_safe (envelope, next, &store->held, held) {
		if (--envelope->delay)
			still_held++;
		else
			list_move_tail(&envelope->held, &ready);
	}
	spin_unlock(&store->lock);
	list_for_each_entry_safe (envelope, next, &ready, held) {
		list_del(&envelope->held);
		start_envelope(envelope);
	}
	return still_held;
}
