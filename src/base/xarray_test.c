/* SPDX-License-Identifier: MIT */
/*
 * Tests of base/xarray.h: growing and shrinking, reservations, marks, searches, batches, memory
 * that runs out at each allocation, and random operations against a sorted array of indices near
 * all borders of the tree.
 */
#include "base/alloc.h"
#include "base/check.h"
#include "base/fail.h"
#include "base/prng.h"
#include "base/xarray.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void expect_valid(const struct xarray *xa, uint64_t entries)
{
	struct check_report report = {0};

	xa_validate(xa, &report);
	assert_string_equal(report.first, "");
	assert_int_equal(report.violations, 0);
	assert_int_equal(xa_count(xa), entries);
	assert_int_equal(xa_empty(xa), entries == 0);
}

static void store_value(struct xarray *xa, uint64_t index, uint64_t value)
{
	assert_int_equal(xa_store(xa, index, xa_mk_value(value)), 0);
}

static void test_values(void **state)
{
	(void)state;
	static int object;
	uint64_t greatest = (UINT64_C(1) << 63) - 1;

	assert_true(xa_is_value(xa_mk_value(0)));
	assert_int_equal(xa_to_value(xa_mk_value(0)), 0);
	assert_true(xa_is_value(xa_mk_value(greatest)));
	assert_true(xa_to_value(xa_mk_value(greatest)) == greatest);
	assert_false(xa_is_value(&object));
	assert_false(xa_is_value(NULL));
}

/* The number of nodes says how high the tree is. */
static void test_height_follows_indices(void **state)
{
	(void)state;
	static const uint64_t indices[] = {0, 63, 64, 4095, 4096, UINT64_C(1) << 60, UINT64_MAX};
	static const uint64_t nodes[] = {0, 1, 2, 2, 3, 11, 11};
	uint64_t before = quire_alloc_live();
	struct xarray xa;

	xa_init(&xa);
	for (size_t i = 0; i < ARRAY_SIZE(indices); i++) {
		store_value(&xa, indices[i], i);
		assert_int_equal(quire_alloc_live() - before, nodes[i]);
		expect_valid(&xa, 1);
		assert_ptr_equal(xa_load(&xa, indices[i]), xa_mk_value(i));
		assert_null(xa_load(&xa, indices[i] ^ 1));
		assert_null(xa_load(&xa, indices[i] ^ UINT64_C(1) << 63));
		assert_ptr_equal(xa_erase(&xa, indices[i]), xa_mk_value(i));
		assert_null(xa_erase(&xa, indices[i]));
		assert_int_equal(quire_alloc_live(), before);
	}
	for (size_t i = 0; i < ARRAY_SIZE(indices); i++)
		store_value(&xa, indices[i], i);
	expect_valid(&xa, ARRAY_SIZE(indices));
	for (size_t i = ARRAY_SIZE(indices); i > 0; i--) {
		assert_ptr_equal(xa_load(&xa, indices[i - 1]), xa_mk_value(i - 1));
		assert_ptr_equal(xa_erase(&xa, indices[i - 1]), xa_mk_value(i - 1));
		expect_valid(&xa, i - 1);
	}
	assert_int_equal(quire_alloc_live(), before);
}

static void test_replacing_keeps_marks(void **state)
{
	(void)state;
	struct xarray xa;

	xa_init(&xa);
	for (uint64_t index = 0; index <= 5000; index += 5000) {
		store_value(&xa, index, 1);
		xa_set_mark(&xa, index, XA_MARK_1);
		store_value(&xa, index, 2);
		assert_true(xa_get_mark(&xa, index, XA_MARK_1));
		assert_false(xa_get_mark(&xa, index, XA_MARK_0));
		assert_ptr_equal(xa_store_prepared(&xa, index, xa_mk_value(3)), xa_mk_value(2));
		assert_true(xa_get_mark(&xa, index, XA_MARK_1));
		assert_true(xa_marked(&xa, XA_MARK_1));
		xa_erase(&xa, index);
		assert_false(xa_marked(&xa, XA_MARK_1));
		store_value(&xa, index, 4);
		assert_false(xa_get_mark(&xa, index, XA_MARK_1));
		xa_erase(&xa, index);
		xa_set_mark(&xa, index, XA_MARK_1);
		assert_false(xa_marked(&xa, XA_MARK_1));
		expect_valid(&xa, 0);
	}
}

/* Index 0 without an entry, once in a tree that has no leaf for it, once in one that has. */
static void test_no_entry_at_zero(void **state)
{
	(void)state;
	for (uint64_t present = 3; present <= 100000; present += 99997) {
		struct xarray xa;
		void *entry;

		xa_init(&xa);
		store_value(&xa, present, 1);
		xa_set_mark(&xa, present, XA_MARK_0);
		xa_set_mark(&xa, 0, XA_MARK_1);
		xa_clear_mark(&xa, 0, XA_MARK_0);
		xa_release(&xa, 0);
		assert_null(xa_erase(&xa, 0));
		assert_null(xa_load(&xa, 0));
		assert_false(xa_get_mark(&xa, 0, XA_MARK_0));
		assert_false(xa_marked(&xa, XA_MARK_1));
		assert_int_equal(xa_load_batch(&xa, 0, UINT64_MAX, &entry, 1), 0);
		assert_true(xa_get_mark(&xa, present, XA_MARK_0));
		expect_valid(&xa, 1);
		xa_destroy(&xa);
	}
}

static void test_reservation(void **state)
{
	(void)state;
	uint64_t before = quire_alloc_live();
	struct xarray xa;
	uint64_t index = 0;

	xa_init(&xa);
	for (uint64_t at = 0; at <= 70000; at += 35000) {
		assert_int_equal(xa_reserve(&xa, at), 0);
		assert_int_equal(xa_reserve(&xa, at), 0);
		expect_valid(&xa, 0);
		assert_null(xa_load(&xa, at));
		assert_null(xa_find(&xa, &index, UINT64_MAX, XA_PRESENT));
		assert_int_equal(xa_load_batch(&xa, at, UINT64_MAX, (void *[1]){0}, 1), 0);
		xa_set_mark(&xa, at, XA_MARK_0);
		assert_false(xa_get_mark(&xa, at, XA_MARK_0));
		xa_release(&xa, at);
		expect_valid(&xa, 0);
		assert_int_equal(quire_alloc_live(), before);

		assert_int_equal(xa_reserve(&xa, at), 0);
		assert_null(xa_erase(&xa, at));
		assert_int_equal(quire_alloc_live(), before);

		assert_int_equal(xa_reserve(&xa, at), 0);
		quire_fail_arm(FAIL_ALLOC, 1, true);
		assert_null(xa_store_prepared(&xa, at, xa_mk_value(at)));
		assert_false(quire_fail_disarm());
		xa_release(&xa, at);
		assert_ptr_equal(xa_load(&xa, at), xa_mk_value(at));
		expect_valid(&xa, 1);
		xa_erase(&xa, at);
	}
	assert_int_equal(quire_alloc_live(), before);
}

/* A reserved slot at index 0 must survive while the tree grows above it and shrinks again. */
static void test_reserved_head(void **state)
{
	(void)state;
	uint64_t before = quire_alloc_live();
	struct xarray xa;

	xa_init(&xa);
	assert_int_equal(xa_reserve(&xa, 0), 0);
	store_value(&xa, 1000, 1);
	expect_valid(&xa, 1);
	xa_erase(&xa, 1000);
	expect_valid(&xa, 0);
	assert_int_equal(quire_alloc_live(), before);
	assert_null(xa_store_prepared(&xa, 0, xa_mk_value(7)));
	assert_ptr_equal(xa_load(&xa, 0), xa_mk_value(7));
	xa_destroy(&xa);
	expect_valid(&xa, 0);
}

static void test_searches(void **state)
{
	(void)state;
	static const uint64_t indices[] = {0, 5, 63, 64, 4096, 1000000, UINT64_MAX};
	const size_t n = ARRAY_SIZE(indices);
	struct xarray xa;
	uint64_t index;
	void *entry;
	size_t seen = 0;

	xa_init(&xa);
	for (size_t i = 0; i < n; i++)
		store_value(&xa, indices[i], i);
	xa_set_mark(&xa, 64, XA_MARK_0);
	xa_set_mark(&xa, UINT64_MAX, XA_MARK_0);

	xa_for_each (&xa, index, entry) {
		assert_int_equal(index, indices[seen]);
		assert_ptr_equal(entry, xa_mk_value(seen++));
	}
	assert_int_equal(seen, n);
	seen = 0;
	xa_for_each_range (&xa, index, entry, 5, 64)
		seen++;
	assert_int_equal(seen, 3);
	seen = 0;
	xa_for_each_marked (&xa, index, entry, XA_MARK_0)
		assert_int_equal(index, seen++ ? UINT64_MAX : 64);
	assert_int_equal(seen, 2);

	index = 65;
	assert_null(xa_find(&xa, &index, 4095, XA_PRESENT));
	assert_int_equal(index, 65);
	index = 4096;
	assert_null(xa_find_after(&xa, &index, 4096, XA_PRESENT));
	index = UINT64_MAX;
	assert_null(xa_find_after(&xa, &index, UINT64_MAX, XA_PRESENT));
	assert_null(xa_find(&xa, &index, 0, XA_PRESENT));

	xa_for_each (&xa, index, entry)
		assert_ptr_equal(xa_erase(&xa, index), entry);
	expect_valid(&xa, 0);
}

static void test_batches(void **state)
{
	(void)state;
	struct xarray xa;
	void *entries[300];

	xa_init(&xa);
	assert_int_equal(xa_load_batch(&xa, 0, UINT64_MAX, entries, 300), 0);
	store_value(&xa, 0, 0);
	assert_int_equal(xa_load_batch(&xa, 0, UINT64_MAX, entries, 300), 1);
	for (uint64_t i = 1; i < 250; i++)
		store_value(&xa, i, i);
	store_value(&xa, UINT64_MAX - 1, 1);
	store_value(&xa, UINT64_MAX, 2);

	assert_int_equal(xa_load_batch(&xa, 60, UINT64_MAX, entries, 300), 190);
	for (uint64_t i = 0; i < 190; i++)
		assert_ptr_equal(entries[i], xa_mk_value(60 + i));
	/* A batch that ends where a leaf is missing. */
	for (uint64_t i = 192; i < 250; i++)
		xa_erase(&xa, i);
	assert_int_equal(xa_load_batch(&xa, 64, UINT64_MAX, entries, 300), 128);
	assert_int_equal(xa_load_batch(&xa, 96, UINT64_MAX, entries, 300), 96);
	assert_int_equal(xa_load_batch(&xa, 60, 69, entries, 300), 10);
	assert_int_equal(xa_load_batch(&xa, 60, UINT64_MAX, entries, 7), 7);
	assert_int_equal(xa_load_batch(&xa, 60, UINT64_MAX, entries, 0), 0);
	assert_int_equal(xa_load_batch(&xa, 60, 59, entries, 300), 0);
	assert_int_equal(xa_load_batch(&xa, 250, UINT64_MAX, entries, 300), 0);
	assert_int_equal(xa_load_batch(&xa, UINT64_MAX - 1, UINT64_MAX, entries, 300), 2);
	assert_ptr_equal(entries[1], xa_mk_value(2));
	xa_destroy(&xa);
}

/* Stores and reserves at the far end with each allocation failing in turn, from arrays of several
 * shapes. */
static void test_each_allocation_fails(void **state)
{
	(void)state;
	static const uint64_t shapes[][2] = {{1, 2}, {0, 0}, {0, 1}, {4096, 4160}, {UINT64_MAX, 7}};
	const uint64_t target = UINT64_MAX - 1000000;

	for (size_t shape = 0; shape < 2 * ARRAY_SIZE(shapes); shape++) {
		uint64_t before = quire_alloc_live(), with_shape;
		const uint64_t *at = shapes[shape / 2];
		uint64_t present = shape / 2 == 0 ? 0 : at[0] == at[1] ? 1 : 2;
		bool delivered = true;
		struct xarray xa;
		uint64_t nth;

		xa_init(&xa);
		for (int i = 0; present && i < 2; i++)
			store_value(&xa, at[i], at[i] >> 1);
		with_shape = quire_alloc_live();
		for (nth = 1; delivered; nth++) {
			int error;

			quire_fail_arm(FAIL_ALLOC, nth, false);
			error = shape % 2 ? xa_reserve(&xa, target)
					  : xa_store(&xa, target, xa_mk_value(1));
			delivered = quire_fail_disarm();
			assert_int_equal(error, delivered ? -ENOMEM : 0);
			expect_valid(&xa, present + (!delivered && shape % 2 == 0));
			if (delivered)
				assert_int_equal(quire_alloc_live(), with_shape);
			for (int i = 0; present && i < 2; i++)
				assert_ptr_equal(xa_load(&xa, at[i]), xa_mk_value(at[i] >> 1));
		}
		assert_true(nth > 3);
		xa_destroy(&xa);
		assert_int_equal(quire_alloc_live(), before);
	}
}

#define MODEL_SIZE 260

/* What should be at one index; the model is sorted by index. */
struct model_slot {
	uint64_t index;
	void *entry;
	bool reserved;
	uint8_t marks;
};

static void model_init(struct model_slot *model)
{
	/* Runs of 20 around the borders of leaves, of inner nodes, and of the range of indices. */
	static const uint64_t runs[MODEL_SIZE / 20] = {0,
						       20,
						       54,
						       118,
						       4086,
						       4106,
						       (UINT64_C(1) << 18) - 10,
						       (UINT64_C(1) << 24) - 10,
						       (UINT64_C(1) << 36) + 100,
						       (UINT64_C(1) << 60) - 10,
						       UINT64_C(1) << 63,
						       UINT64_MAX - 70,
						       UINT64_MAX - 19};

	memset(model, 0, MODEL_SIZE * sizeof(*model));
	for (int i = 0; i < MODEL_SIZE; i++)
		model[i].index = runs[i / 20] + (uint64_t)(i % 20);
}

static bool slot_matches(const struct model_slot *slot, enum xa_mark filter)
{
	return slot->entry && (filter == XA_PRESENT || (slot->marks >> filter & 1));
}

/* Every entry, mark and search of the array against the model. */
static void expect_model(const struct xarray *xa, const struct model_slot *model)
{
	uint64_t entries = 0;

	for (int filter = 0; filter < XA_FILTERS; filter++) {
		uint64_t index;
		void *entry;
		int i = 0;

		xa_for_each_filtered (xa, index, entry, 0, UINT64_MAX, filter) {
			while (i < MODEL_SIZE && !slot_matches(&model[i], filter))
				i++;
			assert_in_range(i, 0, MODEL_SIZE - 1);
			assert_true(index == model[i].index);
			assert_ptr_equal(entry, model[i].entry);
			i++;
		}
		for (; i < MODEL_SIZE; i++)
			assert_false(slot_matches(&model[i], filter));
	}
	for (int i = 0; i < MODEL_SIZE; i++) {
		assert_ptr_equal(xa_load(xa, model[i].index), model[i].entry);
		entries += model[i].entry != NULL;
		for (int mark = 0; mark < XA_PRESENT; mark++)
			assert_int_equal(xa_get_mark(xa, model[i].index, mark),
					 slot_matches(&model[i], mark));
	}
	expect_valid(xa, entries);
}

/* One search between two random slots, and one batch from the first of them. */
static void compare_search(const struct xarray *xa, const struct model_slot *model,
			   struct prng *prng)
{
	int from = (int)prng_below(prng, MODEL_SIZE), to = (int)prng_below(prng, MODEL_SIZE);
	enum xa_mark filter = prng_below(prng, XA_FILTERS);
	uint64_t index = model[from].index;
	void *entries[30];
	size_t n = prng_below(prng, 31), expected = 0;
	bool after = prng_below(prng, 2);
	int i = from + after;
	void *entry = after ? xa_find_after(xa, &index, model[to].index, filter)
			    : xa_find(xa, &index, model[to].index, filter);

	while (i <= to && !slot_matches(&model[i], filter))
		i++;
	assert_ptr_equal(entry, i <= to ? model[i].entry : NULL);
	assert_true(index == model[entry ? i : from].index);

	while (expected < n && from + (int)expected <= to && model[from + expected].entry &&
	       model[from + expected].index == model[from].index + expected)
		expected++;
	n = xa_load_batch(xa, model[from].index, model[to].index, entries, n);
	assert_int_equal(n, expected);
	while (n--)
		assert_ptr_equal(entries[n], model[from + n].entry);
}

/* A store or a reservation, in which now and then an allocation fails. */
static void random_insert(struct xarray *xa, struct model_slot *slot, struct prng *prng)
{
	static uint64_t objects[8];
	void *entry = prng_below(prng, 2) ? (void *)&objects[prng_below(prng, 8)]
					  : xa_mk_value(prng_next(prng) >> 1);
	bool reserve = prng_below(prng, 4) == 0;
	int error;

	/* Of the numbers up to 40 most are never reached. */
	quire_fail_arm(FAIL_ALLOC, 1 + prng_below(prng, 40), false);
	error = reserve ? xa_reserve(xa, slot->index) : xa_store(xa, slot->index, entry);
	assert_int_equal(error, quire_fail_disarm() ? -ENOMEM : 0);
	if (error)
		return;
	if (!reserve) {
		slot->entry = entry;
		slot->reserved = false;
	} else if (!slot->entry) {
		slot->reserved = true;
	}
}

static void random_step(struct xarray *xa, struct model_slot *slot, struct prng *prng, bool growing)
{
	enum xa_mark mark = prng_below(prng, XA_PRESENT);

	switch (prng_below(prng, 8)) {
	case 0:
		xa_set_mark(xa, slot->index, mark);
		if (slot->entry)
			slot->marks |= 1U << mark;
		break;
	case 1:
		xa_clear_mark(xa, slot->index, mark);
		slot->marks &= ~(1U << mark);
		break;
	case 2:
		xa_release(xa, slot->index);
		slot->reserved = false;
		break;
	case 3:
		if (!slot->entry && !slot->reserved)
			break;
		assert_ptr_equal(xa_store_prepared(xa, slot->index, xa_mk_value(9)), slot->entry);
		slot->entry = xa_mk_value(9);
		slot->reserved = false;
		break;
	default:
		if (growing) {
			random_insert(xa, slot, prng);
			break;
		}
		assert_ptr_equal(xa_erase(xa, slot->index), slot->entry);
		*slot = (struct model_slot){.index = slot->index};
		break;
	}
}

/* `reach` is how many of the indices are used: few keep the tree low, and often down to a lone
 * entry or none. */
static void run_random(uint64_t seed, uint64_t reach)
{
	uint64_t before = quire_alloc_live();
	struct model_slot model[MODEL_SIZE];
	struct xarray xa;
	struct prng prng;

	model_init(model);
	xa_init(&xa);
	prng_seed(&prng, seed);
	for (int step = 0; step < 8000; step++) {
		bool growing = step / 250 % 2 == 0;

		random_step(&xa, &model[prng_below(&prng, reach)], &prng, growing);
		compare_search(&xa, model, &prng);
		expect_model(&xa, model);
	}
	for (int i = 0; i < MODEL_SIZE; i++)
		assert_ptr_equal(xa_erase(&xa, model[i].index), model[i].entry);
	expect_valid(&xa, 0);
	assert_int_equal(quire_alloc_live(), before);
}

static void test_random(void **state)
{
	(void)state;
	run_random(1, 2);
	run_random(2, 60);
	run_random(3, MODEL_SIZE);
	run_random(4, MODEL_SIZE);
}

static void test_destroy(void **state)
{
	(void)state;
	uint64_t before = quire_alloc_live();
	struct xarray xa;

	xa_init(&xa);
	for (uint64_t index = 0; index < 100000; index += 37)
		store_value(&xa, index, index);
	assert_int_equal(xa_reserve(&xa, UINT64_MAX), 0);
	xa_destroy(&xa);
	expect_valid(&xa, 0);
	assert_null(xa_load(&xa, 0));
	assert_int_equal(quire_alloc_live(), before);
}

static void expect_violation(struct xarray *xa)
{
	struct check_report report = {0};

	xa_validate(xa, &report);
	assert_int_not_equal(report.violations, 0);
}

/* Checks that validation notices the wrong value in the field, and puts the right one back. */
#define EXPECT_DAMAGE(xa, field, wrong) \
	do { \
		__typeof__(field) right = field; \
\
		field = wrong; \
		expect_violation(xa); \
		field = right; \
		expect_valid(xa, 2); \
	} while (0)

static void test_validation_finds_damage(void **state)
{
	(void)state;
	struct xa_node *root, *leaf;
	struct xarray xa;

	xa_init(&xa);
	store_value(&xa, 3, 1);
	store_value(&xa, 100, 2);
	root = xa_to_node(xa.head);
	leaf = xa_to_node(root->slots[1]);

	EXPECT_DAMAGE(&xa, xa.entries, 3);
	EXPECT_DAMAGE(&xa, xa.filters, 1U << XA_PRESENT | 1U << XA_MARK_2);
	EXPECT_DAMAGE(&xa, leaf->filters[XA_MARK_0], 1);
	EXPECT_DAMAGE(&xa, root->filters[XA_MARK_0], 2);
	EXPECT_DAMAGE(&xa, leaf->count, 2);
	EXPECT_DAMAGE(&xa, leaf->parent, leaf);
	EXPECT_DAMAGE(&xa, leaf->offset, 2);
	EXPECT_DAMAGE(&xa, leaf->shift, XA_SLOT_BITS);
	EXPECT_DAMAGE(&xa, leaf->slots[36], NULL);
	EXPECT_DAMAGE(&xa, leaf->slots[36], XA_RESERVED_ENTRY);
	EXPECT_DAMAGE(&xa, leaf->slots[36], xa.head);
	EXPECT_DAMAGE(&xa, root->slots[1], xa_mk_value(2));
	EXPECT_DAMAGE(&xa, root->parent, leaf);

	/* A reserved slot with a mark, a tree that is too high, and marks or presence without an
	 * entry in the head. */
	assert_int_equal(xa_reserve(&xa, 101), 0);
	expect_valid(&xa, 2);
	leaf->filters[XA_MARK_0] = UINT64_C(1) << 37;
	root->filters[XA_MARK_0] = 2;
	xa.filters |= 1U << XA_MARK_0;
	expect_violation(&xa);
	xa_destroy(&xa);
	store_value(&xa, 1, 1);
	root = xa_to_node(xa.head);
	memmove(root->slots, root->slots + 1, sizeof(void *));
	root->slots[1] = NULL;
	root->filters[XA_PRESENT] = 1;
	expect_violation(&xa);
	xa_destroy(&xa);
	xa.filters = 1U << XA_PRESENT;
	expect_violation(&xa);
	xa.filters = 1U << XA_MARK_0;
	expect_violation(&xa);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_height_follows_indices),
		cmocka_unit_test(test_replacing_keeps_marks),
		cmocka_unit_test(test_no_entry_at_zero),
		cmocka_unit_test(test_reservation),
		cmocka_unit_test(test_reserved_head),
		cmocka_unit_test(test_searches),
		cmocka_unit_test(test_batches),
		cmocka_unit_test(test_each_allocation_fails),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_destroy),
		cmocka_unit_test(test_validation_finds_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
