/* SPDX-License-Identifier: MIT */
/*
 * prctl(PR_SET_MDWE), with the results of Linux 6.18.
 */
#include "core/call/fixture_test.h"

#define RX (QUIRE_PROT_READ | QUIRE_PROT_EXEC)
#define RWX (RW | QUIRE_PROT_EXEC)

static uint64_t map_prot(struct fixture *f, uint64_t page, int prot)
{
	return quire_mmap(f->mm, AT(page), PAGE_SIZE, prot,
			  QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED, NULL, 0);
}

static int protect(struct fixture *f, uint64_t page, int prot)
{
	return quire_mprotect(f->mm, AT(page), PAGE_SIZE, prot);
}

static void test_bits(void **state)
{
	struct fixture *f = *state;

	assert_ok(quire_set_mdwe(f->mm, 0));
	assert_int_equal(quire_get_mdwe(f->mm), 0);
	assert_error(quire_set_mdwe(f->mm, 4), EINVAL);
	assert_error(quire_set_mdwe(f->mm, QUIRE_MDWE_NO_INHERIT), EINVAL);
	assert_ok(quire_set_mdwe(f->mm, 1));
	assert_ok(quire_set_mdwe(f->mm, 1));
	assert_int_equal(quire_get_mdwe(f->mm), 1);
	assert_error(quire_set_mdwe(f->mm, 0), EPERM);
	assert_error(quire_set_mdwe(f->mm, 3), EPERM);
}

static void test_refuses(void **state)
{
	struct fixture *f = *state;

	map_prot(f, 0, RW);
	map_prot(f, 2, RX);
	map_prot(f, 4, RWX);
	assert_ok(quire_set_mdwe(f->mm, 1));
	assert_error(map_prot(f, 8, RWX), EACCES);
	assert_error(map_prot(f, 0, RWX), EACCES);
	assert_int_equal(map_prot(f, 8, RX), AT(8));
	assert_int_equal(map_prot(f, 10, QUIRE_PROT_EXEC), AT(10));
	assert_error(protect(f, 0, RX), EACCES);
	assert_ok(protect(f, 0, QUIRE_PROT_READ));
	assert_error(protect(f, 0, RX), EACCES);
	assert_ok(protect(f, 2, QUIRE_PROT_READ));
	assert_error(protect(f, 2, RX), EACCES);
	assert_ok(protect(f, 4, RX));
	assert_error(protect(f, 4, RWX), EACCES);
	assert_error(protect(f, 8, RWX), EACCES);
	assert_ok(protect(f, 8, RX));
}

static void test_inheritance(void **state)
{
	struct fixture *f = *state;
	quire_mm *child, *grandchild;

	assert_ok(quire_set_mdwe(f->mm, 1));
	assert_ok(quire_fork(f->mm, "child", &child));
	assert_int_equal(quire_get_mdwe(child), 1);
	quire_mm_exit(child);
	assert_ok(quire_mm_create(f->quire, "other", NULL, &child));
	assert_ok(quire_set_mdwe(child, 3));
	assert_int_equal(quire_get_mdwe(child), 3);
	assert_ok(quire_fork(child, "grandchild", &grandchild));
	assert_int_equal(quire_get_mdwe(grandchild), 0);
	quire_mm_exit(grandchild);
	quire_mm_exit(child);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_bits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refuses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_inheritance, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
