/* SPDX-License-Identifier: MIT */
/*
 * Tests of base/list.h: each operation on its own, then random ones on two lists against arrays.
 */
#include "base/list.h"
#include "base/prng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct item {
	int id;
	struct list_head link;
};

/* Compares a list with the ids expected, forward and backward. */
static void expect_ids(struct list_head *head, const int *ids, size_t n)
{
	struct item *item;
	size_t seen = 0;

	list_for_each_entry (item, head, link) {
		assert_true(seen < n);
		assert_int_equal(item->id, ids[seen++]);
	}
	assert_int_equal(seen, n);
	list_for_each_entry_reverse (item, head, link)
		assert_int_equal(item->id, ids[--seen]);
	assert_int_equal(seen, 0);
	assert_int_equal(list_empty(head), n == 0);
}

static void test_add_and_delete(void **state)
{
	(void)state;
	struct list_head head = LIST_HEAD_INIT(head);
	struct item a = {.id = 1}, b = {.id = 2}, c = {.id = 3};

	expect_ids(&head, NULL, 0);
	list_add(&a.link, &head);
	list_add(&b.link, &head);
	list_add_tail(&c.link, &head);
	expect_ids(&head, (int[]){2, 1, 3}, 3);
	assert_ptr_equal(list_first_entry(&head, struct item, link), &b);
	assert_ptr_equal(list_last_entry(&head, struct item, link), &c);
	assert_ptr_equal(list_next_entry(&b, link), &a);
	assert_ptr_equal(list_prev_entry(&c, link), &a);
	assert_true(list_entry_is_head(list_next_entry(&c, link), &head, link));

	list_del(&a.link);
	assert_ptr_equal(a.link.prev, LIST_POISON_PREV);
	assert_ptr_equal(a.link.next, LIST_POISON_NEXT);
	expect_ids(&head, (int[]){2, 3}, 2);
	list_add(&a.link, &b.link);
	expect_ids(&head, (int[]){2, 1, 3}, 3);
	list_del_init(&b.link);
	assert_true(list_empty(&b.link));
	list_del_init(&b.link);
	expect_ids(&head, (int[]){1, 3}, 2);
}

static void test_move_and_splice(void **state)
{
	(void)state;
	struct list_head head, other;
	struct item items[4] = {{.id = 0}, {.id = 1}, {.id = 2}, {.id = 3}};

	list_init(&head);
	list_init(&other);
	list_splice_tail_init(&other, &head);
	expect_ids(&head, NULL, 0);
	for (int i = 0; i < 4; i++)
		list_add_tail(&items[i].link, i < 2 ? &head : &other);
	list_splice_tail_init(&other, &head);
	expect_ids(&head, (int[]){0, 1, 2, 3}, 4);
	expect_ids(&other, NULL, 0);
	list_splice_tail_init(&head, &other);
	expect_ids(&other, (int[]){0, 1, 2, 3}, 4);

	list_move(&items[2].link, &other);
	list_move_tail(&items[0].link, &other);
	expect_ids(&other, (int[]){2, 1, 3, 0}, 4);
	list_move(&items[3].link, &head);
	expect_ids(&head, (int[]){3}, 1);
	expect_ids(&other, (int[]){2, 1, 0}, 3);
}

static void test_delete_while_looping(void **state)
{
	(void)state;
	struct list_head head;
	struct item items[10], *item, *next;

	list_init(&head);
	for (int i = 0; i < 10; i++) {
		items[i].id = i;
		list_add_tail(&items[i].link, &head);
	}
	list_for_each_entry_safe (item, next, &head, link) {
		if (item->id % 3)
			list_del(&item->link);
	}
	expect_ids(&head, (int[]){0, 3, 6, 9}, 4);
}

#define ITEMS 40

/* Two lists of ids, of which each id is on at most one. */
struct model {
	int ids[2][ITEMS];
	size_t n[2];
};

static void model_remove(struct model *model, int id)
{
	for (int which = 0; which < 2; which++) {
		for (size_t i = 0; i < model->n[which]; i++) {
			int *at = &model->ids[which][i];

			if (*at != id)
				continue;
			memmove(at, at + 1, (--model->n[which] - i) * sizeof(*at));
			return;
		}
	}
}

static void model_insert(struct model *model, int which, bool tail, int id)
{
	int *at = &model->ids[which][tail ? model->n[which] : 0];

	memmove(at + 1, at, tail ? 0 : model->n[which] * sizeof(*at));
	*at = id;
	model->n[which]++;
}

static void test_random(void **state)
{
	(void)state;
	struct list_head heads[2];
	struct item items[ITEMS];
	struct model model = {0};
	struct prng prng;

	prng_seed(&prng, 1);
	for (int which = 0; which < 2; which++)
		list_init(&heads[which]);
	for (int i = 0; i < ITEMS; i++) {
		items[i].id = i;
		list_init(&items[i].link);
	}
	for (int step = 0; step < 50000; step++) {
		int id = (int)prng_below(&prng, ITEMS);
		int which = (int)prng_below(&prng, 2);
		bool tail = prng_below(&prng, 2);

		if (prng_below(&prng, 50) == 0) {
			list_splice_tail_init(&heads[!which], &heads[which]);
			memcpy(model.ids[which] + model.n[which], model.ids[!which],
			       model.n[!which] * sizeof(int));
			model.n[which] += model.n[!which];
			model.n[!which] = 0;
		} else if (prng_below(&prng, 3) == 0) {
			list_del_init(&items[id].link);
			model_remove(&model, id);
		} else {
			if (tail)
				list_move_tail(&items[id].link, &heads[which]);
			else
				list_move(&items[id].link, &heads[which]);
			model_remove(&model, id);
			model_insert(&model, which, tail, id);
		}
		for (int i = 0; i < 2; i++)
			expect_ids(&heads[i], model.ids[i], model.n[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add_and_delete),
		cmocka_unit_test(test_move_and_splice),
		cmocka_unit_test(test_delete_while_looping),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
