/* SPDX-License-Identifier: MIT */
/*
 * Tests of fork: what the child gets and what it does not, sharing and copying, and a tree of
 * processes with random stores against a model of private copies.
 */
#include "core/call/fixture_test.h"
#include "core/pgtable/mmu_gather.h"

static quire_mm *fork_of(quire_mm *mm)
{
	quire_mm *child;

	assert_ok(quire_fork(mm, "child", &child));
	return child;
}

static struct page *page_at(quire_mm *mm, uint64_t page)
{
	return pfn_to_page(&mm->quire->zone, pte_pfn(pte_at(mm, page)));
}

static void test_private_pages_are_shared_until_written(void **state)
{
	struct fixture *f = *state;
	quire_mm *child;
	uint64_t before;

	map_anon(f, 0, 600);
	store_pages(f, 0, 600, 1);
	before = frames_free(f);
	child = fork_of(f->mm);
	/* Page tables, no pages. */
	assert_true(before - frames_free(f) < 12);
	assert_int_equal(rss(child, MM_ANONPAGES), 600);
	assert_ptr_equal(page_at(child, 5), page_at(f->mm, 5));
	assert_int_equal(page_mapcount(page_at(child, 5)), 2);
	assert_int_equal(store_in(child, 5, 99), 0);
	assert_int_equal(store(f, 6, 77), 0);
	assert_int_equal(load(f, 5), 6);
	assert_int_equal(load_in(child, 5), 99);
	assert_int_equal(load_in(child, 6), 7);
	assert_int_equal(load(f, 6), 77);
	test_instance_check(&f->instance);
	quire_mm_exit(child);
	assert_int_equal(frames_free(f), before);
	assert_int_equal(load(f, 5), 6);
}

static void test_last_owner_writes_in_place(void **state)
{
	struct fixture *f = *state;
	struct page *page;
	quire_mm *child;

	map_anon(f, 0, 1);
	store_pages(f, 0, 1, 1);
	page = page_at(f->mm, 0);
	child = fork_of(f->mm);
	assert_false(pte_at(f->mm, 0) & PTE_WRITE);
	assert_false(pte_at(child, 0) & PTE_WRITE);
	quire_mm_exit(child);
	assert_int_equal(store(f, 0, 2), 0);
	assert_ptr_equal(page_at(f->mm, 0), page);
}

static void test_parent_is_revoked(void **state)
{
	struct fixture *f = *state;
	uint64_t before;
	quire_mm *child;

	map_anon(f, 0, 1);
	store_pages(f, 0, 1, 1);
	before = atomic_load(&f->instance.machine.revokes);
	child = fork_of(f->mm);
	assert_true(atomic_load(&f->instance.machine.revokes) > before);
	quire_mm_exit(child);
}

static void test_shared_memory_stays_shared(void **state)
{
	struct fixture *f = *state;
	quire_mm *child;

	map_at(f, 0, 2, QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS);
	make_file(f, 2, 40);
	map_file(f, 4, 2, QUIRE_MAP_SHARED, 0);
	store_pages(f, 0, 1, 1);
	child = fork_of(f->mm);
	assert_int_equal(store_in(child, 1, 9), 0);
	assert_int_equal(store_in(child, 4, 8), 0);
	assert_int_equal(load(f, 1), 9);
	assert_int_equal(load(f, 4), 8);
	assert_int_equal(store(f, 0, 3), 0);
	assert_int_equal(load_in(child, 0), 3);
	quire_mm_exit(child);
	assert_int_equal(load(f, 4), 8);
}

static void test_private_file_pages(void **state)
{
	struct fixture *f = *state;
	quire_mm *child;

	make_file(f, 4, 40);
	map_file(f, 0, 4, QUIRE_MAP_PRIVATE, 0);
	assert_int_equal(store(f, 1, 9), 0);
	assert_int_equal(load(f, 2), 42);
	child = fork_of(f->mm);
	assert_int_equal(load_in(child, 1), 9);
	assert_int_equal(load_in(child, 0), 40);
	assert_int_equal(store_in(child, 2, 7), 0);
	assert_int_equal(load(f, 2), 42);
	test_instance_check(&f->instance);
	quire_mm_exit(child);
}

static void test_dontfork_and_wipeonfork(void **state)
{
	struct fixture *f = *state;
	quire_mm *child, *grandchild;

	map_anon(f, 0, 6);
	store_pages(f, 0, 6, 1);
	assert_ok(quire_madvise(f->mm, AT(1), PAGES(1), QUIRE_MADV_DONTFORK));
	assert_ok(quire_madvise(f->mm, AT(3), PAGES(2), QUIRE_MADV_WIPEONFORK));
	assert_ok(quire_madvise(f->mm, AT(4), PAGES(1), QUIRE_MADV_GUARD_INSTALL));
	child = fork_of(f->mm);
	assert_int_equal(load_in(child, 0), 1);
	assert_int_equal(load_in(child, 1), MAPERR);
	assert_int_equal(load_in(child, 2), 3);
	assert_int_equal(load_in(child, 3), 0);
	assert_int_equal(load_in(child, 4), 0);
	assert_int_equal(load_in(child, 5), 6);
	assert_int_equal(child->total_vm, 5);
	assert_int_equal(store_in(child, 3, 5), 0);
	grandchild = fork_of(child);
	assert_int_equal(load_in(grandchild, 3), 0);
	quire_mm_exit(grandchild);
	quire_mm_exit(child);
	assert_int_equal(load(f, 4), MAPERR);
	assert_ok(quire_madvise(f->mm, AT(1), PAGES(1), QUIRE_MADV_DOFORK));
	assert_ok(quire_madvise(f->mm, AT(3), PAGES(2), QUIRE_MADV_KEEPONFORK));
	child = fork_of(f->mm);
	assert_int_equal(load_in(child, 1), 2);
	assert_int_equal(load_in(child, 3), 4);
	assert_int_equal(load_in(child, 4), MAPERR);
	quire_mm_exit(child);
}

static void test_guards_of_file_mappings(void **state)
{
	struct fixture *f = *state;
	quire_mm *child;

	make_file(f, 4, 40);
	map_file(f, 0, 4, QUIRE_MAP_SHARED, 0);
	assert_int_equal(load(f, 0), 40);
	assert_ok(quire_madvise(f->mm, AT(1), PAGES(1), QUIRE_MADV_GUARD_INSTALL));
	child = fork_of(f->mm);
	assert_int_equal(load_in(child, 1), MAPERR);
	assert_int_equal(load_in(child, 2), 42);
	assert_int_equal(store_in(child, 0, 3), 0);
	assert_int_equal(load(f, 0), 3);
	test_instance_check(&f->instance);
	quire_mm_exit(child);
}

static void test_locks_are_not_inherited(void **state)
{
	struct fixture *f = *state;
	quire_mm *child;

	map_anon(f, 0, 2);
	assert_ok(quire_mlockall(f->mm, QUIRE_MCL_CURRENT | QUIRE_MCL_FUTURE));
	assert_int_equal(f->mm->locked_vm, 2);
	child = fork_of(f->mm);
	assert_int_equal(child->locked_vm, 0);
	assert_int_equal(child->def_flags, 0);
	assert_false(vma_lookup(child, AT(0))->vm_flags & VM_LOCKED);
	quire_mm_exit(child);
	assert_int_equal(f->mm->locked_vm, 2);
}

/* A parent with a group of its own: the child has one too, and copies of the mappings' budgets. */
static void test_budgets_are_inherited(void **state)
{
	struct fixture *f = *state;
	struct mem_cgroup *mapping;
	quire_mm *child;

	map_anon(f, 0, 8);
	assert_ok(quire_group_set_budget(quire_mm_group(f->mm), PAGES(99)));
	assert_ok(quire_set_mapping_budget(f->mm, AT(0), PAGES(4), PAGES(64)));
	/* One mapping in two pieces, with another one in between. */
	assert_ok(quire_set_mapping_budget(f->mm, AT(1), PAGES(2), 0));
	store_pages(f, 0, 8, 1);
	child = fork_of(f->mm);
	assert_ptr_not_equal(child->memcg, f->mm->memcg);
	assert_ptr_equal(child->memcg->parent, f->mm->memcg->parent);
	assert_int_equal(atomic_load(&child->memcg->max), 99);
	mapping = vma_lookup(child, AT(0))->vm_memcg;
	assert_ptr_not_equal(mapping, vma_lookup(f->mm, AT(0))->vm_memcg);
	assert_ptr_equal(mapping, vma_lookup(child, AT(3))->vm_memcg);
	assert_ptr_equal(mapping->parent, child->memcg);
	assert_int_equal(atomic_load(&mapping->max), 64);
	assert_null(vma_lookup(child, AT(1))->vm_memcg);

	assert_int_equal(store_in(child, 0, 9), 0);
	assert_int_equal(store_in(child, 5, 9), 0);
	assert_ptr_equal(page_at(child, 0)->memcg, mapping);
	assert_ptr_equal(page_at(child, 5)->memcg, child->memcg);
	assert_ok(quire_group_set_budget(child->memcg, PAGES(50)));
	assert_int_equal(atomic_load(&f->mm->memcg->max), 99);
	test_instance_check(&f->instance);
	quire_mm_exit(child);
}

/* A group that was chosen for the parent is the child's too. */
static void test_groups_are_shared(void **state)
{
	struct fixture *f = *state;
	struct mem_cgroup *mapping;
	quire_group *group;
	quire_mm *parent, *child;

	assert_ok(quire_group_create(f->quire, NULL, "group", 0, &group));
	assert_ok(quire_mm_create(f->quire, "parent", group, &parent));
	assert_int_equal(quire_mmap(parent, AT(0), PAGES(4), QUIRE_PROT_READ | QUIRE_PROT_WRITE,
				    QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED, NULL,
				    0),
			 AT(0));
	assert_ok(quire_set_mapping_budget(parent, AT(0), PAGES(2), PAGES(64)));
	mapping = vma_lookup(parent, AT(0))->vm_memcg;
	child = fork_of(parent);
	assert_ptr_equal(child->memcg, group);
	assert_ptr_equal(vma_lookup(child, AT(0))->vm_memcg, mapping);
	assert_int_equal(store_in(child, 0, 9), 0);
	assert_int_equal(store_in(child, 3, 9), 0);
	assert_ptr_equal(page_at(child, 0)->memcg, mapping);
	assert_ptr_equal(page_at(child, 3)->memcg, group);
	quire_mm_exit(parent);
	quire_mm_exit(child);
	quire_group_put(group);
}

static void test_swapped_pages(void **state)
{
	struct fixture *f = *state;
	quire_mm *child;

	map_anon(f, 0, 40);
	store_pages(f, 0, 40, 1);
	evict_all(f);
	assert_true(rss(f->mm, MM_SWAPENTS) > 30);
	child = fork_of(f->mm);
	assert_int_equal(rss(child, MM_SWAPENTS), rss(f->mm, MM_SWAPENTS));
	assert_int_equal(store_in(child, 3, 99), 0);
	assert_int_equal(store(f, 4, 98), 0);
	assert_int_equal(load(f, 3), 4);
	assert_int_equal(load_in(child, 4), 5);
	test_instance_check(&f->instance);
	quire_mm_exit(f->mm);
	f->mm = child;
	for (uint64_t i = 5; i < 40; i++)
		assert_int_equal(load(f, i), (int)i + 1);
}

static void test_pinned_page_is_copied_at_once(void **state)
{
	struct fixture *f = *state;
	struct page *pinned;
	quire_mm *child;

	map_anon(f, 0, 3);
	store_pages(f, 0, 3, 1);
	assert_int_equal(pin_user_pages(f->mm, AT(1), 1, true, &pinned), 1);
	child = fork_of(f->mm);
	assert_ptr_equal(page_at(f->mm, 1), pinned);
	assert_ptr_not_equal(page_at(child, 1), pinned);
	/* The parent still writes in place, where the pin looks. */
	assert_true(pte_at(f->mm, 1) & PTE_WRITE);
	assert_int_equal(store(f, 1, 50), 0);
	assert_ptr_equal(page_at(f->mm, 1), pinned);
	assert_int_equal(load_in(child, 1), 2);
	assert_int_equal(load_in(child, 0), 1);
	unpin_user_pages(f->quire, &pinned, 1, true);
	test_instance_check(&f->instance);
	quire_mm_exit(child);
}

static void test_commit_limit(void **state)
{
	struct fixture *f = *state;
	quire_mm *child;

	/* 50 % of 8 MiB, and as much swap as there is: the mapping fits once and a half. */
	const uint64_t pages = (((uint64_t)8 << 20 >> PAGE_SHIFT) / 2 + SWAP_PAGES) * 2 / 3;
	const int64_t before = atomic_load(&f->quire->committed);

	map_anon(f, 0, pages);
	assert_error(quire_fork(f->mm, "child", &child), ENOMEM);
	assert_int_equal(atomic_load(&f->quire->committed) - before, pages);
	assert_ok(quire_munmap(f->mm, AT(0), PAGES(pages / 2)));
	child = fork_of(f->mm);
	quire_mm_exit(child);
	assert_int_equal(atomic_load(&f->quire->committed) - before, pages - pages / 2);
}

static int setup_strict(void **state)
{
	static struct fixture f;

	fixture_create(&f, (struct quire_params){.memory = (uint64_t)8 << 20,
						 .overcommit = QUIRE_OVERCOMMIT_NEVER});
	*state = &f;
	return 0;
}

static void test_sparse_space(void **state)
{
	struct fixture *f = *state;
	const uint64_t bytes = (uint64_t)16 << 40;
	uint64_t start =
		quire_mmap(f->mm, 0, bytes, RW,
			   QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_NORESERVE, NULL, 0);
	uint32_t error = 0;
	quire_mm *child;

	assert_int_not_equal(start, QUIRE_MAP_FAILED);
	test_store(f->mm, start + bytes - 1, 5, &error);
	test_store(f->mm, start, 6, &error);
	assert_int_equal(error, 0);
	child = fork_of(f->mm);
	assert_int_equal(test_load(child, start + bytes - 1, &error), 5);
	assert_int_equal(test_load(child, start, &error), 6);
	quire_mm_exit(child);
}

/* Forks of a tree. */

#define PROCESSES 8
#define PRIVATE_PAGES 40
#define SHARED_PAGES 8

struct process {
	quire_mm *mm; /* NULL: none */
	uint8_t bytes[PRIVATE_PAGES];
};

struct tree {
	struct process processes[PROCESSES];
	uint8_t shared[SHARED_PAGES];
	struct prng prng;
};

static struct process *pick_process(struct tree *tree, bool alive)
{
	for (;;) {
		struct process *p = &tree->processes[prng_below(&tree->prng, PROCESSES)];

		if (alive == !!p->mm)
			return p;
	}
}

static uint32_t count_processes(const struct tree *tree)
{
	uint32_t count = 0;

	for (int i = 0; i < PROCESSES; i++)
		count += tree->processes[i].mm != NULL;
	return count;
}

static void tree_store(struct tree *tree)
{
	struct process *p = pick_process(tree, true);
	const uint64_t page = prng_below(&tree->prng, PRIVATE_PAGES + SHARED_PAGES);
	const uint8_t byte = (uint8_t)prng_next(&tree->prng);

	assert_int_equal(store_in(p->mm, page, byte), 0);
	if (page < PRIVATE_PAGES)
		p->bytes[page] = byte;
	else
		tree->shared[page - PRIVATE_PAGES] = byte;
}

static void tree_load(struct tree *tree)
{
	struct process *p = pick_process(tree, true);
	const uint64_t page = prng_below(&tree->prng, PRIVATE_PAGES + SHARED_PAGES);

	assert_int_equal(load_in(p->mm, page), page < PRIVATE_PAGES
						       ? p->bytes[page]
						       : tree->shared[page - PRIVATE_PAGES]);
}

static void tree_fork(struct tree *tree)
{
	struct process *parent, *child;

	if (count_processes(tree) == PROCESSES)
		return;
	parent = pick_process(tree, true);
	child = pick_process(tree, false);
	*child = *parent;
	child->mm = fork_of(parent->mm);
}

static void tree_exit(struct tree *tree)
{
	struct process *p;

	if (count_processes(tree) == 1)
		return;
	p = pick_process(tree, true);
	quire_mm_exit(p->mm);
	p->mm = NULL;
}

/* Away and back: the page's place in the numbering changes, its contents do not. */
static void tree_mremap(struct tree *tree)
{
	struct process *p = pick_process(tree, true);
	const uint64_t page = prng_below(&tree->prng, PRIVATE_PAGES);
	const int flags = QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED;

	assert_int_equal(quire_mremap(p->mm, AT(page), PAGES(1), PAGES(1), flags, AT(1000)),
			 AT(1000));
	assert_int_equal(quire_mremap(p->mm, AT(1000), PAGES(1), PAGES(1), flags, AT(page)),
			 AT(page));
}

static void tree_dontneed(struct tree *tree)
{
	struct process *p = pick_process(tree, true);
	const uint64_t page = prng_below(&tree->prng, PRIVATE_PAGES);

	assert_ok(quire_madvise(p->mm, AT(page), PAGES(1), QUIRE_MADV_DONTNEED));
	p->bytes[page] = 0;
}

static void tree_step(struct fixture *f, struct tree *tree)
{
	switch (prng_below(&tree->prng, 32)) {
	case 0:
		tree_fork(tree);
		break;
	case 1:
		tree_exit(tree);
		break;
	case 2:
		tree_mremap(tree);
		break;
	case 3:
		tree_dontneed(tree);
		break;
	case 4:
		quire_reclaim(f->quire, NULL, 1 + prng_below(&tree->prng, 16));
		break;
	default:
		if (prng_below(&tree->prng, 2))
			tree_store(tree);
		else
			tree_load(tree);
	}
}

static void test_random_tree(void **state)
{
	struct fixture *f = *state;
	struct tree tree = {.prng = {7}};

	map_anon(f, 0, PRIVATE_PAGES);
	map_at(f, PRIVATE_PAGES, SHARED_PAGES, QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS);
	tree.processes[0].mm = f->mm;
	f->mm = NULL;
	for (int step = 0; step < 30000; step++) {
		tree_step(f, &tree);
		if (step % 500 == 0)
			test_instance_check(&f->instance);
	}
	for (int i = 0; i < PROCESSES; i++)
		if (tree.processes[i].mm)
			quire_mm_exit(tree.processes[i].mm);
	assert_int_equal(swap_free_slots(f->quire), swap_total(f->quire));
}

/* More scattered frames than a revocation has room to name: still none keeps its translation. */
static void test_many_scattered_frames(void **state)
{
	struct fixture *f = *state;
	const uint64_t pages = 2 * MMU_GATHER_BATCH + 10;
	quire_mm *child;

	map_anon(f, 0, pages);
	map_anon(f, 1000, pages);
	assert_ok(quire_madvise(f->mm, AT(1000), PAGES(pages), QUIRE_MADV_DONTFORK));
	for (uint64_t i = 0; i < pages; i++) {
		assert_int_equal(store(f, i, page_byte(1 + i)), 0);
		assert_int_equal(store(f, 1000 + i, 1), 0);
	}
	assert_ok(quire_fork(f->mm, "child", &child));
	test_instance_check(&f->instance);
	for (uint64_t i = 0; i < pages; i++)
		assert_int_equal(store(f, i, 0), 0);
	for (uint64_t i = 0; i < pages; i++)
		assert_int_equal(load_in(child, i), page_byte(1 + i));
	quire_mm_exit(child);
}

#define rule(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		rule(test_private_pages_are_shared_until_written),
		rule(test_last_owner_writes_in_place),
		rule(test_parent_is_revoked),
		rule(test_shared_memory_stays_shared),
		rule(test_private_file_pages),
		rule(test_dontfork_and_wipeonfork),
		rule(test_guards_of_file_mappings),
		rule(test_locks_are_not_inherited),
		rule(test_budgets_are_inherited),
		rule(test_groups_are_shared),
		rule(test_swapped_pages),
		rule(test_pinned_page_is_copied_at_once),
		cmocka_unit_test_setup_teardown(test_commit_limit, setup_strict, teardown),
		rule(test_sparse_space),
		rule(test_many_scattered_frames),
		rule(test_random_tree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
