/* SPDX-License-Identifier: MIT */
/*
 * Failure sweep over the calls that change much at once: the Nth allocation, frame or machine call
 * fails, N from 1 until none is reached. Each time the call succeeds or fails cleanly, every
 * structure validates, the memory holds what it must, and nothing leaks.
 */
#include "core/call/elf.h"
#include "core/call/fixture_test.h"

#include <stdio.h>

#define PAGES_MAPPED 20

/* A call under test. `run` returns what the call did: 0 or -1. */
struct scenario {
	const char *name;
	void (*prepare)(struct fixture *f);
	int (*run)(struct fixture *f);
	void (*check)(struct fixture *f, int result);
};

/* 20 private pages of bytes 1 to 20, the first half in swap, and a shared page of byte 99. */
static void prepare_pages(struct fixture *f)
{
	map_anon(f, 0, PAGES_MAPPED);
	map_at(f, 40, 1, QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS);
	store_pages(f, 0, PAGES_MAPPED, 1);
	store_pages(f, 40, 1, 99);
	assert_ok(quire_madvise(f->mm, AT(0), PAGES(PAGES_MAPPED / 2), QUIRE_MADV_PAGEOUT));
}

static void check_pages(struct fixture *f, int result)
{
	(void)result;
	assert_pages(f, 0, PAGES_MAPPED, 1);
	assert_int_equal(load(f, 40), 99);
}

static int run_move(struct fixture *f)
{
	return quire_mremap(f->mm, AT(5), PAGES(10), PAGES(12),
			    QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, AT(5000)) == QUIRE_MAP_FAILED
		       ? -1
		       : 0;
}

static void check_move(struct fixture *f, int result)
{
	if (result) {
		check_pages(f, result);
		assert_int_equal(load(f, 5000), MAPERR);
		assert_int_equal(f->mm->total_vm, PAGES_MAPPED + 1);
		return;
	}
	assert_pages(f, 0, 5, 1);
	assert_all(f, 5, 10, MAPERR);
	assert_pages(f, 15, 5, 16);
	assert_pages(f, 5000, 10, 6);
	assert_all(f, 5010, 2, 0);
}

static int run_dontunmap(struct fixture *f)
{
	return quire_mremap(f->mm, AT(5), PAGES(10), PAGES(10),
			    QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED | QUIRE_MREMAP_DONTUNMAP,
			    AT(5000)) == QUIRE_MAP_FAILED
		       ? -1
		       : 0;
}

static void check_dontunmap(struct fixture *f, int result)
{
	if (result) {
		check_pages(f, result);
		return;
	}
	assert_pages(f, 0, 5, 1);
	assert_all(f, 5, 10, 0);
	assert_pages(f, 5000, 10, 6);
}

static int run_grow(struct fixture *f)
{
	return quire_mremap(f->mm, AT(0), PAGES(20), PAGES(30), 0, 0) == QUIRE_MAP_FAILED ? -1 : 0;
}

static int run_fork(struct fixture *f)
{
	quire_mm *child;

	if (quire_fork(f->mm, "child", &child))
		return -1;
	assert_int_equal(rss(child, MM_ANONPAGES) + rss(child, MM_SWAPENTS), PAGES_MAPPED);
	quire_mm_exit(child);
	return 0;
}

/* With a page that must be copied at once. */
static int run_fork_pinned(struct fixture *f)
{
	struct page *pinned;
	int result;

	/* Failing to pin is no matter of fork. */
	if (pin_user_pages(f->mm, AT(15), 1, true, &pinned) != 1)
		return -1;
	result = run_fork(f);
	unpin_user_pages(f->quire, &pinned, 1, false);
	return result;
}

static int run_guard(struct fixture *f)
{
	return quire_madvise(f->mm, AT(8), PAGES(4), QUIRE_MADV_GUARD_INSTALL);
}

static void check_guard(struct fixture *f, int result)
{
	assert_pages(f, 0, 8, 1);
	assert_pages(f, 12, 8, 13);
	if (!result)
		assert_all(f, 8, 4, MAPERR);
}

static int run_pattern(struct fixture *f)
{
	return quire_madvise(f->mm, AT(8), PAGES(4), QUIRE_MADV_RANDOM);
}

static int run_willneed(struct fixture *f)
{
	return quire_madvise(f->mm, AT(0), PAGES(PAGES_MAPPED), QUIRE_MADV_WILLNEED);
}

static int run_mlock(struct fixture *f)
{
	return quire_mlock(f->mm, AT(3), PAGES(12));
}

static void check_mlock(struct fixture *f, int result)
{
	uint64_t locked = 0;
	struct vm_area_struct *vma;

	for_each_vma (f->mm, vma)
		locked += vma->vm_flags & VM_LOCKED ? vma_pages(vma) : 0;
	assert_int_equal(f->mm->locked_vm, locked);
	if (!result)
		assert_int_equal(locked, 12);
	check_pages(f, result);
}

static int run_mseal(struct fixture *f)
{
	return quire_mseal(f->mm, AT(8), PAGES(4), 0);
}

static int run_name(struct fixture *f)
{
	return quire_set_anon_name(f->mm, AT(8), PAGES(4), "name");
}

/* A shared object too. */
static void prepare_object(struct fixture *f)
{
	prepare_pages(f);
	map_at(f, 50, 8, QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS);
	store_pages(f, 50, 8, 1);
}

static int run_remap_file_pages(struct fixture *f)
{
	return quire_remap_file_pages(f->mm, AT(54), PAGES(2), 0, 2, 0);
}

static void check_remap_file_pages(struct fixture *f, int result)
{
	assert_pages(f, 50, 4, 1);
	assert_pages(f, 54, 2, result ? 5 : 3);
	assert_pages(f, 56, 2, 7);
	check_pages(f, result);
}

/* A program in f->file. */
static void prepare_exec(struct fixture *f)
{
	struct {
		struct elf64_header header;
		struct elf64_program_header segment;
		char rest[0x2000 - 64 - 56];
	} image = {
		.header =
			{
				.e_ident = {0x7f, 'E', 'L', 'F', 2, 1, 1},
				.e_type = ELF_ET_EXEC,
				.e_machine = ELF_EM_X86_64,
				.e_version = 1,
				.e_entry = 0x400080,
				.e_phoff = 64,
				.e_phentsize = 56,
				.e_phnum = 1,
			},
		.segment =
			{
				.p_type = ELF_PT_LOAD,
				.p_flags = ELF_PF_R | ELF_PF_W | ELF_PF_X,
				.p_vaddr = 0x400000,
				.p_filesz = 0x1800,
				.p_memsz = 0x5000,
			},
	};

	prepare_pages(f);
	make_file(f, 2, 0);
	assert_int_equal(quire_pwrite(f->file, NULL, &image, sizeof(image), 0), sizeof(image));
}

static int run_exec(struct fixture *f)
{
	static char *argv[] = {"image", "argument", NULL};
	struct quire_exec exec = {
		.file = f->file, .path = "/bin/image", .argv = argv, .envp = argv};

	return quire_exec(f->mm, &exec);
}

/* The old program, the new one, or nothing. */
static void check_exec(struct fixture *f, int result)
{
	if (vma_lookup(f->mm, AT(0))) {
		assert_int_equal(result, -1);
		check_pages(f, result);
	} else if (result) {
		assert_int_equal(f->mm->map_count, 0);
	} else {
		assert_int_equal(f->mm->map_count, 3);
		assert_int_equal(f->mm->brk, 0x405000);
	}
}

static const struct scenario scenarios[] = {
	{"move", prepare_pages, run_move, check_move},
	{"dontunmap", prepare_pages, run_dontunmap, check_dontunmap},
	{"grow", prepare_pages, run_grow, check_pages},
	{"fork", prepare_pages, run_fork, check_pages},
	{"fork with a pinned page", prepare_pages, run_fork_pinned, check_pages},
	{"guard", prepare_pages, run_guard, check_guard},
	{"pattern", prepare_pages, run_pattern, check_pages},
	{"willneed", prepare_pages, run_willneed, check_pages},
	{"mlock", prepare_pages, run_mlock, check_mlock},
	{"mseal", prepare_pages, run_mseal, check_pages},
	{"name", prepare_pages, run_name, check_pages},
	{"remap_file_pages", prepare_object, run_remap_file_pages, check_remap_file_pages},
	{"exec", prepare_exec, run_exec, check_exec},
};

/* One run with failure number `nth`. False: it was not reached. */
static bool run_once(const struct scenario *scenario, enum fail_site site, uint64_t nth,
		     bool from_then_on)
{
	struct fixture fixture;
	void *state = &fixture;
	bool failed;
	int result;

	fixture_create(&fixture, (struct quire_params){.memory = (uint64_t)1 << 20});
	scenario->prepare(&fixture);
	quire_fail_arm(site, nth, from_then_on);
	result = scenario->run(&fixture);
	failed = quire_fail_disarm();
	if (!failed)
		assert_int_equal(result, 0);
	test_instance_check(&fixture.instance);
	scenario->check(&fixture, result);
	assert_ok(teardown(&state));
	return failed;
}

static void sweep(enum fail_site site)
{
	for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++)
		for (int from_then_on = 0; from_then_on < 2; from_then_on++)
			for (uint64_t nth = 1; run_once(&scenarios[i], site, nth, from_then_on);
			     nth++)
				assert_in_range(nth, 1, 2000);
}

static void test_allocations(void **state)
{
	(void)state;
	sweep(FAIL_ALLOC);
}

static void test_frames(void **state)
{
	(void)state;
	sweep(FAIL_FRAME);
}

static void test_machine(void **state)
{
	(void)state;
	sweep(FAIL_MACHINE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_allocations),
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
