/* SPDX-License-Identifier: MIT */
/*
 * Tests of base/interval_tree.h: overlap queries at the borders, and random changes and queries
 * against an array that is searched from end to end.
 */
#include "base/check.h"
#include "base/interval_tree.h"
#include "base/prng.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ITEMS 150

struct item {
	struct interval_tree_node node;
	bool in_tree;
	bool found;
};

static void expect_valid(const struct interval_tree_root *root, uint64_t n)
{
	struct check_report report = {0};

	assert_int_equal(interval_tree_validate(root, &report), n);
	assert_string_equal(report.first, "");
	assert_int_equal(report.violations, 0);
	assert_int_equal(interval_tree_empty(root), n == 0);
}

static void test_borders(void **state)
{
	(void)state;
	struct interval_tree_root root = INTERVAL_TREE_ROOT;
	struct interval_tree_node low = {.start = 0, .last = 0};
	struct interval_tree_node middle = {.start = 10, .last = 19};
	struct interval_tree_node high = {.start = UINT64_MAX, .last = UINT64_MAX};

	assert_null(interval_tree_iter_first(&root, 0, UINT64_MAX));
	interval_tree_insert(&high, &root);
	interval_tree_insert(&low, &root);
	interval_tree_insert(&middle, &root);
	expect_valid(&root, 3);

	assert_ptr_equal(interval_tree_iter_first(&root, 0, 9), &low);
	assert_null(interval_tree_iter_next(&low, 0, 9));
	assert_ptr_equal(interval_tree_iter_next(&low, 0, 10), &middle);
	assert_null(interval_tree_iter_first(&root, 1, 9));
	assert_ptr_equal(interval_tree_iter_first(&root, 19, 19), &middle);
	assert_null(interval_tree_iter_first(&root, 20, UINT64_MAX - 1));
	assert_ptr_equal(interval_tree_iter_first(&root, 20, UINT64_MAX), &high);
	assert_null(interval_tree_iter_next(&high, 20, UINT64_MAX));

	interval_tree_remove(&middle, &root);
	assert_null(interval_tree_iter_first(&root, 10, 19));
	interval_tree_remove(&low, &root);
	interval_tree_remove(&high, &root);
	expect_valid(&root, 0);
}

static void test_equal_intervals(void **state)
{
	(void)state;
	struct interval_tree_root root = INTERVAL_TREE_ROOT;
	struct item items[20] = {0};

	for (int i = 0; i < 20; i++) {
		items[i].node.start = 5;
		items[i].node.last = 7;
		interval_tree_insert(&items[i].node, &root);
	}
	for (int left = 20; left > 0; left--) {
		struct interval_tree_node *node = interval_tree_iter_first(&root, 7, 7);
		int found = 0;

		for (; node; node = interval_tree_iter_next(node, 7, 7))
			found++;
		assert_int_equal(found, left);
		expect_valid(&root, (uint64_t)left);
		interval_tree_remove(&items[left * 7 % 20].node, &root);
	}
	assert_true(interval_tree_empty(&root));
}

/* Compares what the tree finds with what an end to end search of the array finds. */
static void expect_query(const struct interval_tree_root *root, struct item *items, uint64_t start,
			 uint64_t last)
{
	struct interval_tree_node *node = interval_tree_iter_first(root, start, last);
	uint64_t earlier = 0;

	for (int i = 0; i < ITEMS; i++)
		items[i].found = false;
	for (; node; node = interval_tree_iter_next(node, start, last)) {
		struct item *item = container_of(node, struct item, node);

		assert_false(item->found);
		assert_true(node->start >= earlier);
		item->found = true;
		earlier = node->start;
	}
	for (int i = 0; i < ITEMS; i++) {
		const struct interval_tree_node *n = &items[i].node;

		assert_int_equal(items[i].found,
				 items[i].in_tree && n->start <= last && n->last >= start);
	}
}

static void random_interval(struct prng *prng, uint64_t *start, uint64_t *last)
{
	uint64_t longest = prng_below(prng, 4) ? 10 : 1000;

	*start = prng_below(prng, 1000);
	*last = *start + prng_below(prng, longest);
}

static void test_random(void **state)
{
	(void)state;
	static struct item items[ITEMS];
	struct interval_tree_root root = INTERVAL_TREE_ROOT;
	struct prng prng;
	uint64_t n = 0, start, last;

	prng_seed(&prng, 1);
	for (int step = 0; step < 30000; step++) {
		bool growing = step / 1000 % 2 == 0;
		struct item *item = &items[prng_below(&prng, ITEMS)];

		if (item->in_tree && (!growing || prng_below(&prng, 4) == 0)) {
			interval_tree_remove(&item->node, &root);
			item->in_tree = false;
			n--;
		} else if (!item->in_tree && (growing || prng_below(&prng, 8) == 0)) {
			random_interval(&prng, &item->node.start, &item->node.last);
			interval_tree_insert(&item->node, &root);
			item->in_tree = true;
			n++;
		}
		expect_valid(&root, n);
		random_interval(&prng, &start, &last);
		expect_query(&root, items, start, last);
	}
}

static void test_validation_finds_damage(void **state)
{
	(void)state;
	struct interval_tree_root root = INTERVAL_TREE_ROOT;
	struct interval_tree_node nodes[3];

	for (uint64_t i = 0; i < 3; i++) {
		nodes[i] = (struct interval_tree_node){.start = i * 10, .last = i * 10 + 5};
		interval_tree_insert(&nodes[i], &root);
	}
	for (int kind = 0; kind < 3; kind++) {
		struct interval_tree_node saved = nodes[2];
		struct check_report report = {0};

		if (kind == 0)
			nodes[2].last = 100;
		else if (kind == 1)
			nodes[2].start = 1;
		else
			nodes[2].start = 50;
		interval_tree_validate(&root, &report);
		assert_int_not_equal(report.violations, 0);
		nodes[2] = saved;
		expect_valid(&root, 3);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_borders),
		cmocka_unit_test(test_equal_intervals),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_validation_finds_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
