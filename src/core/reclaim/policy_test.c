/* SPDX-License-Identifier: MIT */
/*
 * Replacement policies against naive models of the same algorithms, which keep page numbers in
 * plain arrays, through random sequences of what can happen to a page.
 */
#include "base/prng.h"
#include "core/instance/test_instance.h"
#include "core/reclaim/lruvec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define MEMORY ((uint64_t)4 << 20)
#define PAGES 40
#define NO_PAGE UINT32_MAX

/* Page numbers, newest first. */
struct sequence {
	uint32_t count;
	uint32_t items[PAGES];
};

static void insert_at(struct sequence *s, uint32_t at, uint32_t item)
{
	memmove(&s->items[at + 1], &s->items[at], (s->count - at) * sizeof(item));
	s->items[at] = item;
	s->count++;
}

static void remove_at(struct sequence *s, uint32_t at)
{
	s->count--;
	memmove(&s->items[at], &s->items[at + 1], (s->count - at) * sizeof(s->items[0]));
}

static uint32_t position(const struct sequence *s, uint32_t item)
{
	for (uint32_t i = 0; i < s->count; i++)
		if (s->items[i] == item)
			return i;
	return NO_PAGE;
}

struct model {
	struct sequence inactive, active;
	bool referenced[PAGES];
	uint32_t hand; /* SIEVE: the page at the hand */
};

struct fixture {
	struct test_instance test;
	struct quire *quire;
	struct mem_cgroup *memcg;
	struct lruvec *lruvec;
	const struct reclaim_policy_ops *policy;
	struct page *pages[PAGES];
	bool isolated[PAGES];
	struct model model;
	struct prng prng;
};

static void begin(struct fixture *f, const struct reclaim_policy_ops *policy, uint64_t seed)
{
	memset(f, 0, sizeof(*f));
	test_instance_create(&f->test, (struct quire_params){.memory = MEMORY});
	f->quire = f->test.quire;
	f->policy = policy;
	f->model.hand = NO_PAGE;
	prng_seed(&f->prng, seed);
	assert_int_equal(memcg_create(f->quire, NULL, "group", policy, &f->memcg), 0);
	f->lruvec = &f->memcg->lruvec;
	for (uint32_t i = 0; i < PAGES; i++) {
		f->pages[i] = zone_alloc(&f->quire->zone, 0, GFP_NOWAIT);
		assert_non_null(f->pages[i]);
		page_set(f->pages[i], PG_uptodate);
		assert_int_equal(memcg_charge(f->quire, f->memcg, f->pages[i], GFP_NOWAIT), 0);
	}
}

static void end(struct fixture *f)
{
	for (uint32_t i = 0; i < PAGES; i++)
		put_page_many(f->quire, f->pages[i], f->isolated[i] ? 2 : 1);
	memcg_put(f->memcg);
	test_instance_destroy(&f->test);
}

static uint32_t number_of(struct fixture *f, const struct page *page)
{
	for (uint32_t i = 0; i < PAGES; i++)
		if (f->pages[i] == page)
			return i;
	fail();
	return NO_PAGE;
}

static bool listed(const struct fixture *f, uint32_t number)
{
	return position(&f->model.inactive, number) != NO_PAGE ||
	       position(&f->model.active, number) != NO_PAGE;
}

static void expect_list(struct fixture *f, enum lru_list list, const struct sequence *expected)
{
	struct page *page;
	uint32_t i = 0;

	assert_int_equal(lruvec_size(f->lruvec, LRU_FILE, list), expected->count);
	list_for_each_entry (page, &f->lruvec->lists[LRU_FILE][list], lru) {
		assert_true(i < expected->count);
		assert_int_equal(number_of(f, page), expected->items[i++]);
	}
	assert_int_equal(i, expected->count);
}

static void expect_agreement(struct fixture *f)
{
	expect_list(f, LRU_INACTIVE, &f->model.inactive);
	expect_list(f, LRU_ACTIVE, &f->model.active);
	for (uint32_t i = 0; i < PAGES; i++)
		assert_int_equal(page_test(f->pages[i], PG_referenced), f->model.referenced[i]);
}

/* The policy's side of each event. */

static void policy_add(struct fixture *f, uint32_t number, bool refault)
{
	spin_lock(&f->lruvec->lru_lock);
	page_set(f->pages[number], PG_lru);
	f->policy->add(f->lruvec, f->pages[number], refault);
	spin_unlock(&f->lruvec->lru_lock);
}

static void policy_remove(struct fixture *f, uint32_t number)
{
	spin_lock(&f->lruvec->lru_lock);
	f->policy->remove(f->lruvec, f->pages[number]);
	page_clear(f->pages[number], PG_lru);
	spin_unlock(&f->lruvec->lru_lock);
}

static void policy_balance(struct fixture *f)
{
	spin_lock(&f->lruvec->lru_lock);
	if (f->policy->balance)
		f->policy->balance(f->lruvec, LRU_FILE);
	spin_unlock(&f->lruvec->lru_lock);
}

/* Isolates `nr`, expects these, and puts each back or drops it from the lists for good. */
static void policy_evict(struct fixture *f, uint32_t nr, const struct sequence *expected)
{
	struct list_head out;
	uint32_t taken;

	list_init(&out);
	spin_lock(&f->lruvec->lru_lock);
	taken = f->policy->isolate(f->lruvec, LRU_FILE, nr, &out);
	spin_unlock(&f->lruvec->lru_lock);
	assert_int_equal(taken, expected->count);
	for (uint32_t i = 0; i < taken; i++) {
		struct page *page = list_first_entry(&out, struct page, lru);

		list_del(&page->lru);
		assert_int_equal(number_of(f, page), expected->items[i]);
		assert_false(page_test(page, PG_lru));
		assert_int_equal(page_count(page), 2);
		f->isolated[expected->items[i]] = true;
	}
	assert_true(list_empty(&out));
}

static void policy_putback(struct fixture *f, uint32_t number, bool referenced)
{
	f->isolated[number] = false;
	lruvec_putback(f->pages[number], referenced ? PUTBACK_REFERENCED : PUTBACK_KEEP);
}

/* Two lists, naively. */

static void two_list_model_remove(struct model *m, uint32_t number)
{
	if (position(&m->inactive, number) != NO_PAGE)
		remove_at(&m->inactive, position(&m->inactive, number));
	else
		remove_at(&m->active, position(&m->active, number));
}

static void two_list_model_activate(struct model *m, uint32_t number)
{
	m->referenced[number] = false;
	insert_at(&m->active, 0, number);
}

static void two_list_model_accessed(struct model *m, uint32_t number)
{
	if (!m->referenced[number]) {
		m->referenced[number] = true;
	} else if (position(&m->active, number) == NO_PAGE) {
		two_list_model_remove(m, number);
		two_list_model_activate(m, number);
	}
}

static void two_list_model_balance(struct model *m)
{
	if (m->inactive.count >= m->active.count)
		return;
	for (int i = 0; i < 32 && m->active.count; i++) {
		uint32_t number = m->active.items[m->active.count - 1];

		remove_at(&m->active, m->active.count - 1);
		m->referenced[number] = false;
		insert_at(&m->inactive, 0, number);
	}
}

static void two_list_model_evict(struct model *m, uint32_t nr, struct sequence *victims)
{
	while (nr-- && m->inactive.count) {
		victims->items[victims->count++] = m->inactive.items[m->inactive.count - 1];
		remove_at(&m->inactive, m->inactive.count - 1);
	}
}

static void two_list_model_putback(struct model *m, uint32_t number, bool referenced)
{
	if (referenced && m->referenced[number])
		two_list_model_activate(m, number);
	else {
		m->referenced[number] |= referenced;
		insert_at(&m->inactive, 0, number);
	}
}

static void two_list_step(struct fixture *f)
{
	struct model *m = &f->model;
	const uint32_t number = (uint32_t)prng_below(&f->prng, PAGES);
	const bool flag = prng_below(&f->prng, 2);
	struct sequence victims = {0};

	if (f->isolated[number]) {
		two_list_model_putback(m, number, flag);
		policy_putback(f, number, flag);
		return;
	}
	if (!listed(f, number)) {
		if (flag)
			two_list_model_activate(m, number);
		else
			insert_at(&m->inactive, 0, number);
		policy_add(f, number, flag);
		return;
	}
	switch (prng_below(&f->prng, 8)) {
	case 0:
		two_list_model_remove(m, number);
		policy_remove(f, number);
		break;
	case 1:
		two_list_model_remove(m, number);
		m->referenced[number] = false;
		insert_at(&m->inactive, m->inactive.count, number);
		deactivate_page(f->quire, f->pages[number]);
		break;
	case 2:
		two_list_model_balance(m);
		policy_balance(f);
		break;
	case 3:
		two_list_model_evict(m, 1 + number % 5, &victims);
		policy_evict(f, 1 + number % 5, &victims);
		break;
	default:
		two_list_model_accessed(m, number);
		mark_page_accessed(f->pages[number]);
	}
}

static void two_lists_agree_with_the_model(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 10; seed++) {
		struct fixture f;
		bool was_active = false;

		begin(&f, &policy_two_list, seed);
		for (uint32_t step = 0; step < 2000; step++) {
			two_list_step(&f);
			expect_agreement(&f);
			was_active |= f.model.active.count > f.model.inactive.count;
		}
		assert_true(was_active);
		end(&f);
	}
}

/* SIEVE, naively: the queue, visited marks, and the page at the hand. */

static void sieve_model_forget(struct model *m, uint32_t number)
{
	uint32_t at = position(&m->inactive, number);

	if (m->hand == number)
		m->hand = at ? m->inactive.items[at - 1] : NO_PAGE;
	remove_at(&m->inactive, at);
}

/* As in the paper, but for evicting several at once and ending after two rounds. */
static void sieve_model_evict(struct model *m, uint32_t nr, struct sequence *victims)
{
	uint32_t steps = 2 * m->inactive.count;

	while (victims->count < nr && steps-- && m->inactive.count) {
		uint32_t at = m->hand == NO_PAGE ? m->inactive.count - 1
						 : position(&m->inactive, m->hand);
		uint32_t number = m->inactive.items[at];

		m->hand = at ? m->inactive.items[at - 1] : NO_PAGE;
		if (m->referenced[number]) {
			m->referenced[number] = false;
			continue;
		}
		remove_at(&m->inactive, at);
		victims->items[victims->count++] = number;
	}
}

static void sieve_model_putback(struct model *m, uint32_t number)
{
	uint32_t at = m->hand == NO_PAGE ? 0 : position(&m->inactive, m->hand) + 1;

	insert_at(&m->inactive, at, number);
}

static void sieve_model_deactivate(struct model *m, uint32_t number)
{
	sieve_model_forget(m, number);
	m->referenced[number] = false;
	if (m->hand == NO_PAGE) {
		insert_at(&m->inactive, m->inactive.count, number);
	} else {
		insert_at(&m->inactive, position(&m->inactive, m->hand) + 1, number);
		m->hand = number;
	}
}

static void sieve_step(struct fixture *f)
{
	struct model *m = &f->model;
	const uint32_t number = (uint32_t)prng_below(&f->prng, PAGES);
	struct sequence victims = {0};

	if (f->isolated[number]) {
		sieve_model_putback(m, number);
		policy_putback(f, number, number % 2);
		return;
	}
	if (!listed(f, number)) {
		insert_at(&m->inactive, 0, number);
		policy_add(f, number, number % 2);
		return;
	}
	switch (prng_below(&f->prng, 8)) {
	case 0:
		sieve_model_forget(m, number);
		policy_remove(f, number);
		break;
	case 1:
		sieve_model_deactivate(m, number);
		deactivate_page(f->quire, f->pages[number]);
		break;
	case 2:
	case 3:
		sieve_model_evict(m, 1 + number % 5, &victims);
		policy_evict(f, 1 + number % 5, &victims);
		break;
	default:
		m->referenced[number] = true;
		mark_page_accessed(f->pages[number]);
	}
}

static void sieve_agrees_with_the_model(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 10; seed++) {
		struct fixture f;

		begin(&f, &policy_sieve, seed);
		for (uint32_t step = 0; step < 2000; step++) {
			sieve_step(&f);
			expect_agreement(&f);
		}
		end(&f);
	}
}

/* The example that tells SIEVE from CLOCK: a page that was visited keeps its place. */
static void sieve_keeps_survivors_in_place(void **state)
{
	struct fixture f;
	struct sequence victim;

	(void)state;
	begin(&f, &policy_sieve, 1);
	/* From new to old: 6 5 4 3 2 1 0, of which 0 and 1 were visited. */
	for (uint32_t i = 0; i < 7; i++)
		policy_add(&f, i, false);
	mark_page_accessed(f.pages[0]);
	mark_page_accessed(f.pages[1]);
	victim = (struct sequence){.count = 1, .items = {2}};
	policy_evict(&f, 1, &victim);
	/* The hand goes on from there; a new page at the head is not met before the old ones. */
	policy_add(&f, 7, false);
	victim.items[0] = 3;
	policy_evict(&f, 1, &victim);
	mark_page_accessed(f.pages[0]);
	for (uint32_t i = 4; i < 8; i++) {
		victim.items[0] = i;
		policy_evict(&f, 1, &victim);
	}
	/* Round again: 0 was visited meanwhile, 1 was not. */
	victim.items[0] = 1;
	policy_evict(&f, 1, &victim);
	end(&f);
}

static void policies_are_found_by_name(void **state)
{
	(void)state;
	assert_ptr_equal(reclaim_policy_find("two-list"), &policy_two_list);
	assert_ptr_equal(reclaim_policy_find("sieve"), &policy_sieve);
	assert_null(reclaim_policy_find("sieves"));
	assert_null(reclaim_policy_find(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_lists_agree_with_the_model),
		cmocka_unit_test(sieve_agrees_with_the_model),
		cmocka_unit_test(sieve_keeps_survivors_in_place),
		cmocka_unit_test(policies_are_found_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
