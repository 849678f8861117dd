/* SPDX-License-Identifier: MIT */
/*
 * Tests of base/rbtree.h: random insertions, removals and changes of values against a sorted array,
 * for the plain and the augmented tree, with everything validated after each step; and that
 * validation finds each kind of damage.
 */
#include "base/check.h"
#include "base/prng.h"
#include "base/rbtree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define ITEMS 200

/* The sum over a subtree wraps; unlike a maximum it shows any node left out or counted twice. */
struct item {
	struct rb_node rb;
	uint64_t key;
	uint64_t weight;
	uint64_t sum;
};

#define to_item(ptr) rb_entry(ptr, struct item, rb)

static uint64_t sum_of(const struct item *item)
{
	uint64_t sum = item->weight;

	if (item->rb.rb_left)
		sum += to_item(item->rb.rb_left)->sum;
	if (item->rb.rb_right)
		sum += to_item(item->rb.rb_right)->sum;
	return sum;
}

RB_DECLARE_CALLBACKS(static, sum_callbacks, struct item, rb, sum, sum_of);

static bool keys_in_order(const struct rb_node *earlier, const struct rb_node *later)
{
	return to_item(earlier)->key <= to_item(later)->key;
}

static bool sum_right(const struct rb_node *node)
{
	return to_item(node)->sum == sum_of(to_item(node));
}

static const struct rb_check plain_check = {.in_order = keys_in_order};
static const struct rb_check sum_check = {.in_order = keys_in_order, .value_right = sum_right};

static void insert(struct rb_root *root, struct item *item, bool augmented)
{
	struct rb_node **link = &root->rb_node, *parent = NULL;

	while (*link) {
		parent = *link;
		link = item->key < to_item(parent)->key ? &parent->rb_left : &parent->rb_right;
	}
	rb_link_node(&item->rb, parent, link);
	if (augmented) {
		item->sum = item->weight;
		rb_insert_augmented(&item->rb, root, &sum_callbacks);
	} else {
		rb_insert_color(&item->rb, root);
	}
}

static void erase(struct rb_root *root, struct item *item, bool augmented)
{
	if (augmented)
		rb_erase_augmented(&item->rb, root, &sum_callbacks);
	else
		rb_erase(&item->rb, root);
}

/* The items in the tree, in order; equal keys in order of insertion. */
struct model {
	struct item *items[ITEMS];
	size_t n;
};

static void model_insert(struct model *model, struct item *item)
{
	size_t at = model->n++;

	for (; at && model->items[at - 1]->key > item->key; at--)
		model->items[at] = model->items[at - 1];
	model->items[at] = item;
}

static void model_erase(struct model *model, const struct item *item)
{
	size_t at = 0;

	while (model->items[at] != item)
		at++;
	model->n--;
	memmove(&model->items[at], &model->items[at + 1],
		(model->n - at) * sizeof(model->items[0]));
}

static void expect_model(const struct rb_root *root, const struct model *model,
			 const struct rb_check *check)
{
	struct check_report report = {0};
	const struct rb_node *node = rb_first(root);
	uint64_t sum = 0;

	assert_int_equal(rb_validate(root, check, &report), model->n);
	assert_string_equal(report.first, "");
	assert_int_equal(report.violations, 0);
	for (size_t i = 0; i < model->n; i++, node = rb_next(node)) {
		assert_ptr_equal(node, &model->items[i]->rb);
		sum += model->items[i]->weight;
	}
	assert_null(node);
	node = rb_last(root);
	for (size_t i = model->n; i > 0; i--, node = rb_prev(node))
		assert_ptr_equal(node, &model->items[i - 1]->rb);
	assert_null(node);
	assert_int_equal(RB_EMPTY_ROOT(root), model->n == 0);
	if (check->value_right && model->n)
		assert_true(to_item(root->rb_node)->sum == sum);
}

static void run_random(uint64_t seed, bool augmented)
{
	static struct item items[ITEMS];
	const struct rb_check *check = augmented ? &sum_check : &plain_check;
	struct rb_root root = RB_ROOT;
	struct model model = {.n = 0};
	struct prng prng;

	prng_seed(&prng, seed);
	for (int i = 0; i < ITEMS; i++)
		RB_CLEAR_NODE(&items[i].rb);
	for (int step = 0; step < 20000; step++) {
		/* The tree grows for a while, then shrinks for a while, down to nothing. */
		bool growing = step / 1000 % 2 == 0;
		struct item *item = &items[prng_below(&prng, ITEMS)];

		if (RB_EMPTY_NODE(&item->rb)) {
			if (!growing && prng_below(&prng, 4))
				continue;
			item->key = prng_below(&prng, 100);
			item->weight = prng_next(&prng);
			insert(&root, item, augmented);
			model_insert(&model, item);
		} else if (augmented && prng_below(&prng, 3) == 0) {
			item->weight = prng_below(&prng, 3);
			rb_propagate_up(&item->rb, &sum_callbacks);
		} else if (!growing || prng_below(&prng, 4) == 0) {
			erase(&root, item, augmented);
			model_erase(&model, item);
			RB_CLEAR_NODE(&item->rb);
		}
		expect_model(&root, &model, check);
	}
	while (model.n) {
		struct item *item = model.items[prng_below(&prng, model.n)];

		erase(&root, item, augmented);
		model_erase(&model, item);
		expect_model(&root, &model, check);
	}
}

static void test_random_plain(void **state)
{
	(void)state;
	run_random(1, false);
	run_random(2, false);
}

static void test_random_augmented(void **state)
{
	(void)state;
	run_random(3, true);
	run_random(4, true);
}

/* Ascending and descending insertion are the worst cases of an unbalanced tree. */
static void test_height(void **state)
{
	(void)state;
	static struct item items[4096];

	for (int descending = 0; descending < 2; descending++) {
		struct rb_root root = RB_ROOT;
		struct check_report report = {0};

		for (uint64_t i = 0; i < ARRAY_SIZE(items); i++) {
			items[i].key = descending ? ARRAY_SIZE(items) - i : i;
			insert(&root, &items[i], false);
		}
		assert_int_equal(rb_validate(&root, &plain_check, &report), ARRAY_SIZE(items));
		assert_int_equal(report.violations, 0);
		for (uint64_t i = 0; i < ARRAY_SIZE(items); i++) {
			unsigned int depth = 0;

			for (struct rb_node *node = &items[i].rb; node; node = rb_parent(node))
				depth++;
			/* 2 log2(n + 1) */
			assert_true(depth <= 24);
		}
	}
}

static uint32_t violations(const struct rb_root *root)
{
	struct check_report report = {0};

	rb_validate(root, &sum_check, &report);
	return report.violations;
}

static void test_validation_finds_damage(void **state)
{
	(void)state;
	struct item items[20];
	struct rb_root root = RB_ROOT;
	struct rb_node *leaf, *saved;

	for (uint64_t i = 0; i < ARRAY_SIZE(items); i++) {
		items[i] = (struct item){.key = i, .weight = i};
		insert(&root, &items[i], true);
	}
	assert_int_equal(violations(&root), 0);

	items[7].key = 9;
	assert_int_not_equal(violations(&root), 0);
	items[7].key = 7;
	items[3].sum++;
	assert_int_not_equal(violations(&root), 0);
	items[3].sum--;
	root.rb_node->rb_parent_color ^= 1;
	assert_int_not_equal(violations(&root), 0);
	root.rb_node->rb_parent_color ^= 1;

	leaf = rb_first(&root);
	leaf->rb_parent_color ^= 1;
	assert_int_not_equal(violations(&root), 0);
	leaf->rb_parent_color ^= 1;
	leaf->rb_left = root.rb_node;
	assert_int_not_equal(violations(&root), 0);
	leaf->rb_left = NULL;
	saved = root.rb_node->rb_right;
	root.rb_node->rb_right = NULL;
	assert_int_not_equal(violations(&root), 0);
	root.rb_node->rb_right = saved;
	assert_int_equal(violations(&root), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_plain),
		cmocka_unit_test(test_random_augmented),
		cmocka_unit_test(test_height),
		cmocka_unit_test(test_validation_finds_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
