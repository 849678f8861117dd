/* SPDX-License-Identifier: MIT */
/*
 * The tree of groups: walks, hierarchical charges against a model, budgets, stocks, and what
 * becomes of the pages of a group that ends.
 */
#include "base/prng.h"
#include "core/instance/test_instance.h"
#include "core/reclaim/vmscan.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MEMORY ((uint64_t)4 << 20)

struct fixture {
	struct test_instance test;
	struct quire *quire;
	struct mem_cgroup *root;
};

static void begin(struct fixture *f)
{
	test_instance_create(&f->test, (struct quire_params){.memory = MEMORY});
	f->quire = f->test.quire;
	f->root = f->quire->root_memcg;
}

static void end(struct fixture *f)
{
	assert_int_equal(zone_nr_free(&f->quire->zone), f->test.frames_free);
	test_instance_destroy(&f->test);
}

static struct mem_cgroup *create(struct fixture *f, struct mem_cgroup *parent, const char *name)
{
	struct mem_cgroup *memcg;

	assert_int_equal(memcg_create(f->quire, parent, name, NULL, &memcg), 0);
	return memcg;
}

/* A charged page on its group's lists that nobody can reclaim: there is one reference too many.
 * NULL: the charge was refused. */
static struct page *charge_page(struct fixture *f, struct mem_cgroup *memcg)
{
	struct page *page = zone_alloc(&f->quire->zone, 0, GFP_NOWAIT);
	int error;

	assert_non_null(page);
	error = memcg_charge(f->quire, memcg, page, GFP_NOWAIT);
	if (error) {
		assert_int_equal(error, -ENOMEM);
		put_page(f->quire, page);
		return NULL;
	}
	get_page(page);
	lru_add_page(f->quire, page);
	return page;
}

static void free_page(struct fixture *f, struct page *page)
{
	lru_add_drain_all(f->quire);
	put_page_many(f->quire, page, 2);
}

static uint64_t exact_usage(struct mem_cgroup *memcg)
{
	memcg_drain_stocks(memcg->quire);
	return memcg_usage(memcg);
}

static void expect_valid(struct fixture *f)
{
	struct check_report report = {0};

	memcg_validate(f->root, &report);
	if (report.violations)
		fail_msg("%s", report.first);
}

static void groups_are_walked_parents_first(void **state)
{
	const char *const expected[] = {"instance", "a", "a1", "a2", "b"};
	struct fixture f;
	struct mem_cgroup *a, *a1, *a2, *b, *memcg;
	size_t i = 0;

	(void)state;
	begin(&f);
	a = create(&f, f.root, "a");
	a1 = create(&f, a, "a1");
	b = create(&f, f.root, "b");
	a2 = create(&f, a, "a2");
	for (memcg = memcg_iter(f.root, NULL); memcg; memcg = memcg_iter(f.root, memcg)) {
		assert_true(i < ARRAY_SIZE(expected));
		assert_string_equal(memcg->name, expected[i++]);
	}
	assert_int_equal(i, ARRAY_SIZE(expected));

	i = 1;
	for (memcg = memcg_iter(a, NULL); memcg; memcg = memcg_iter(a, memcg))
		assert_string_equal(memcg->name, expected[i++]);
	assert_int_equal(i, 4);

	/* A group that ends during the walk stays until the walk has left it. */
	memcg = memcg_iter(a, NULL);
	memcg = memcg_iter(a, memcg);
	assert_ptr_equal(memcg, a1);
	memcg_put(a1);
	memcg = memcg_iter(a, memcg);
	assert_ptr_equal(memcg, a2);
	memcg_iter_break(memcg);
	assert_true(memcg_is_descendant(a2, f.root));
	assert_true(memcg_is_descendant(a2, a2));
	assert_false(memcg_is_descendant(a2, b));
	memcg_put(a);
	memcg_put(a2);
	memcg_put(b);
	end(&f);
}

static void ids_are_found_while_the_group_lives(void **state)
{
	struct fixture f;
	struct mem_cgroup *memcg, *found;
	uint64_t id;

	(void)state;
	begin(&f);
	memcg = create(&f, f.root, "group");
	id = memcg->id;
	found = memcg_find(f.quire, id);
	assert_ptr_equal(found, memcg);
	memcg_put(found);
	memcg_put(memcg);
	assert_null(memcg_find(f.quire, id));
	memcg = create(&f, f.root, "next");
	assert_int_not_equal(memcg->id, id);
	memcg_put(memcg);
	end(&f);
}

static void a_charge_counts_in_all_ancestors(void **state)
{
	struct fixture f;
	struct mem_cgroup *parent, *child;
	struct page *page;

	(void)state;
	begin(&f);
	parent = create(&f, f.root, "parent");
	child = create(&f, parent, "child");
	page = charge_page(&f, child);
	assert_ptr_equal(page->memcg, child);
	/* The rest of a batch is in this thread's stock. */
	assert_int_equal(memcg_usage(child), CHARGE_BATCH);
	assert_int_equal(memcg_usage(parent), CHARGE_BATCH);
	assert_int_equal(exact_usage(child), 1);
	assert_int_equal(exact_usage(parent), 1);
	assert_int_equal(exact_usage(f.root), 1);
	assert_int_equal(atomic_load(&child->peak), CHARGE_BATCH);
	expect_valid(&f);
	free_page(&f, page);
	assert_int_equal(exact_usage(child), 0);
	assert_int_equal(exact_usage(f.root), 0);
	memcg_put(child);
	memcg_put(parent);
	end(&f);
}

/* The stock of one group never stands in the way of another below the same budget. */
static void the_last_page_of_a_budget_can_be_charged(void **state)
{
	struct fixture f;
	struct mem_cgroup *parent, *children[2];
	struct page *pages[10], *extra;

	(void)state;
	begin(&f);
	parent = create(&f, f.root, "parent");
	assert_int_equal(memcg_set_max(parent, 10), 0);
	children[0] = create(&f, parent, "a");
	children[1] = create(&f, parent, "b");
	for (int i = 0; i < 10; i++) {
		pages[i] = charge_page(&f, children[i % 2]);
		assert_non_null(pages[i]);
		assert_true(memcg_usage(parent) <= 10);
	}
	extra = charge_page(&f, children[0]);
	assert_null(extra);
	assert_int_equal(atomic_load(&children[0]->failures), 1);
	assert_ptr_equal(memcg_over_budget(children[0], 1), parent);
	assert_null(memcg_over_budget(children[0], 0));
	free_page(&f, pages[9]);
	pages[9] = charge_page(&f, children[0]);
	assert_non_null(pages[9]);
	assert_int_equal(atomic_load(&parent->peak), 10);
	expect_valid(&f);
	for (int i = 0; i < 10; i++)
		free_page(&f, pages[i]);
	for (int i = 0; i < 2; i++)
		memcg_put(children[i]);
	memcg_put(parent);
	end(&f);
}

static void the_highest_group_over_budget_is_named(void **state)
{
	struct fixture f;
	struct mem_cgroup *top, *middle, *low;
	struct page *page;

	(void)state;
	begin(&f);
	top = create(&f, f.root, "top");
	middle = create(&f, top, "middle");
	low = create(&f, middle, "low");
	page = charge_page(&f, low);
	memcg_drain_stocks(f.quire);
	assert_null(memcg_over_budget(low, 1));
	assert_int_equal(memcg_set_max(low, 1), 0);
	assert_ptr_equal(memcg_over_budget(low, 1), low);
	assert_int_equal(memcg_set_max(top, 1), 0);
	assert_ptr_equal(memcg_over_budget(low, 1), top);
	assert_int_equal(memcg_set_max(top, MEMCG_UNLIMITED), 0);
	assert_int_equal(memcg_set_max(middle, 1), 0);
	assert_ptr_equal(memcg_over_budget(low, 1), middle);
	/* Held by a reference, so it cannot be reclaimed; the new budget holds all the same. */
	assert_int_equal(memcg_set_max(low, 0), -EBUSY);
	assert_int_equal(atomic_load(&low->max), 0);
	free_page(&f, page);
	memcg_put(low);
	memcg_put(middle);
	memcg_put(top);
	end(&f);
}

static void pages_of_a_group_that_ends_go_to_its_parent(void **state)
{
	struct fixture f;
	struct mem_cgroup *parent, *child;
	struct page *listed[5], *batched, *locked, *isolated;

	(void)state;
	begin(&f);
	parent = create(&f, f.root, "parent");
	child = create(&f, parent, "child");
	for (int i = 0; i < 5; i++)
		listed[i] = charge_page(&f, child);
	locked = charge_page(&f, child);
	isolated = charge_page(&f, child);
	lru_add_drain_all(f.quire);
	mlock_page(f.quire, locked);
	assert_true(isolate_page(isolated));
	batched = charge_page(&f, child);
	memcg_put(child);
	for (int i = 0; i < 5; i++)
		assert_ptr_equal(listed[i]->memcg, parent);
	assert_ptr_equal(locked->memcg, parent);
	assert_true(page_test(locked, PG_unevictable));
	assert_ptr_equal(batched->memcg, parent);
	/* On no list, so it still belongs to the group; it comes along when it is put back. */
	assert_ptr_equal(isolated->memcg, child);
	putback_page(isolated);
	assert_ptr_equal(isolated->memcg, parent);
	assert_int_equal(exact_usage(parent), 8);
	expect_valid(&f);
	for (int i = 0; i < 5; i++)
		free_page(&f, listed[i]);
	free_page(&f, batched);
	free_page(&f, locked);
	free_page(&f, isolated);
	assert_int_equal(exact_usage(parent), 0);
	memcg_put(parent);
	end(&f);
}

static void swap_of_a_group_that_ended_counts_above(void **state)
{
	struct fixture f;
	struct mem_cgroup *parent, *child;

	(void)state;
	begin(&f);
	parent = create(&f, f.root, "parent");
	child = create(&f, parent, "child");
	memcg_charge_swap(child);
	memcg_charge_swap(child);
	assert_int_equal(atomic_load(&child->swap_usage), 2);
	memcg_uncharge_swap(child);
	memcg_put(child);
	assert_int_equal(atomic_load(&parent->swap_usage), 1);
	assert_int_equal(atomic_load(&f.root->swap_usage), 1);
	expect_valid(&f);
	/* Its parent lasts as long as the slot. */
	memcg_put(parent);
	memcg_uncharge_swap(child);
	assert_int_equal(atomic_load(&f.root->swap_usage), 0);
	end(&f);
}

#define MODEL_GROUPS 8
#define MODEL_PAGES 200

struct model {
	struct mem_cgroup *groups[MODEL_GROUPS]; /* 0: the root */
	uint32_t parent[MODEL_GROUPS];
	uint64_t max[MODEL_GROUPS];
	struct page *pages[MODEL_PAGES];
	uint32_t owner[MODEL_PAGES];
	uint32_t nr_pages;
};

static uint64_t model_usage(const struct model *model, uint32_t group)
{
	uint64_t usage = 0;

	for (uint32_t i = 0; i < model->nr_pages; i++)
		for (uint32_t up = model->owner[i];; up = model->parent[up]) {
			usage += up == group;
			if (!up)
				break;
		}
	return usage;
}

static bool model_allows(const struct model *model, uint32_t group)
{
	for (;; group = model->parent[group]) {
		if (model->groups[group] && model_usage(model, group) + 1 > model->max[group])
			return false;
		if (!group)
			return true;
	}
}

static void model_create(struct fixture *f, struct model *model, struct prng *prng, uint32_t group)
{
	uint32_t parent = (uint32_t)prng_below(prng, group);

	while (!model->groups[parent])
		parent = model->parent[parent];
	model->parent[group] = parent;
	model->max[group] = MEMCG_UNLIMITED;
	model->groups[group] = create(f, model->groups[parent], "model");
}

/* Its pages become its parent's; groups below keep it in the tree. */
static void model_end(struct model *model, uint32_t group)
{
	for (uint32_t i = 1; i < MODEL_GROUPS; i++)
		if (model->groups[i] && model->parent[i] == group)
			return;
	memcg_put(model->groups[group]);
	model->groups[group] = NULL;
	for (uint32_t i = 0; i < model->nr_pages; i++)
		if (model->owner[i] == group)
			model->owner[i] = model->parent[group];
}

static void model_charge(struct fixture *f, struct model *model, uint32_t group)
{
	bool allowed = model_allows(model, group);
	struct page *page;

	if (model->nr_pages == MODEL_PAGES)
		return;
	page = charge_page(f, model->groups[group]);
	assert_int_equal(page != NULL, allowed);
	if (!page)
		return;
	model->pages[model->nr_pages] = page;
	model->owner[model->nr_pages++] = group;
}

static void model_free(struct fixture *f, struct model *model, uint32_t page)
{
	free_page(f, model->pages[page]);
	model->nr_pages--;
	model->pages[page] = model->pages[model->nr_pages];
	model->owner[page] = model->owner[model->nr_pages];
}

static void model_limit(struct model *model, uint32_t group, uint64_t max)
{
	int expected = model_usage(model, group) > max ? -EBUSY : 0;

	model->max[group] = max;
	assert_int_equal(memcg_set_max(model->groups[group], max), expected);
}

static void model_step(struct fixture *f, struct model *model, struct prng *prng)
{
	uint32_t group = (uint32_t)prng_below(prng, MODEL_GROUPS);

	if (!model->groups[group]) {
		model_create(f, model, prng, group);
		return;
	}
	switch (prng_below(prng, 10)) {
	case 0:
		if (group)
			model_end(model, group);
		break;
	case 1:
		model_limit(model, group,
			    prng_below(prng, 3) ? prng_below(prng, 60) : MEMCG_UNLIMITED);
		break;
	case 2:
	case 3:
	case 4:
		if (model->nr_pages)
			model_free(f, model, (uint32_t)prng_below(prng, model->nr_pages));
		break;
	default:
		model_charge(f, model, group);
	}
}

static void random_trees_agree_with_a_model(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 8; seed++) {
		struct model model = {0};
		struct fixture f;
		struct prng prng;

		begin(&f);
		prng_seed(&prng, seed);
		model.groups[0] = f.root;
		model.max[0] = MEMCG_UNLIMITED;
		for (uint32_t step = 0; step < 1500; step++) {
			model_step(&f, &model, &prng);
			if (step % 10)
				continue;
			for (uint32_t i = 0; i < MODEL_GROUPS; i++)
				if (model.groups[i])
					assert_int_equal(exact_usage(model.groups[i]),
							 model_usage(&model, i));
			expect_valid(&f);
		}
		assert_int_equal(memcg_set_max(f.root, MEMCG_UNLIMITED), 0);
		while (model.nr_pages)
			model_free(&f, &model, 0);
		for (uint32_t rounds = 0; rounds < MODEL_GROUPS; rounds++)
			for (uint32_t i = 1; i < MODEL_GROUPS; i++)
				if (model.groups[i])
					model_end(&model, i);
		end(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(groups_are_walked_parents_first),
		cmocka_unit_test(ids_are_found_while_the_group_lives),
		cmocka_unit_test(a_charge_counts_in_all_ancestors),
		cmocka_unit_test(the_last_page_of_a_budget_can_be_charged),
		cmocka_unit_test(the_highest_group_over_budget_is_named),
		cmocka_unit_test(pages_of_a_group_that_ends_go_to_its_parent),
		cmocka_unit_test(swap_of_a_group_that_ended_counts_above),
		cmocka_unit_test(random_trees_agree_with_a_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
