/* SPDX-License-Identifier: MIT */
/*
 * Tests of lock ranks: right orders pass, wrong ones abort with the names of the ranks. The
 * bookkeeping itself is tested in every build, that the locks use it in those with QUIRE_CHECK
 * >= 1.
 */
#include "base/child_test.h"
#include "base/lock.h"

#include <stdlib.h>
#include <string.h>

static void right_orders(void)
{
	lock_rank_push(LOCK_MMAP, LOCK_RANK_ORDERED);
	lock_rank_push(LOCK_PTE, LOCK_RANK_ORDERED);
	lock_rank_push(LOCK_PTE, LOCK_RANK_NESTED);
	lock_rank_push(LOCK_PAGE, LOCK_RANK_TRY);
	/* Not the innermost one first: allowed. */
	lock_rank_pop(LOCK_MMAP);
	lock_rank_pop(LOCK_PTE);
	lock_rank_pop(LOCK_PAGE);
	lock_rank_pop(LOCK_PTE);
	lock_rank_check_none();
	lock_rank_push(LOCK_INSTANCE, LOCK_RANK_ORDERED);
	lock_rank_push(LOCK_NONE, LOCK_RANK_ORDERED);
	lock_rank_pop(LOCK_NONE);
	lock_rank_pop(LOCK_INSTANCE);
	lock_rank_check_none();
}

static void lower_rank(void)
{
	lock_rank_push(LOCK_PTE, LOCK_RANK_ORDERED);
	lock_rank_push(LOCK_PAGE_TABLE, LOCK_RANK_ORDERED);
}

static void same_rank(void)
{
	lock_rank_push(LOCK_PTE, LOCK_RANK_ORDERED);
	lock_rank_push(LOCK_PTE, LOCK_RANK_ORDERED);
}

static void nested_lower_rank(void)
{
	lock_rank_push(LOCK_PTE, LOCK_RANK_ORDERED);
	lock_rank_push(LOCK_MMAP, LOCK_RANK_NESTED);
}

/* The lower rank is the last one taken, but not the highest one held. */
static void between_held_ranks(void)
{
	lock_rank_push(LOCK_ZONE, LOCK_RANK_ORDERED);
	lock_rank_push(LOCK_MMAP, LOCK_RANK_TRY);
	lock_rank_push(LOCK_PTE, LOCK_RANK_ORDERED);
}

static void not_held(void)
{
	lock_rank_push(LOCK_PTE, LOCK_RANK_ORDERED);
	lock_rank_pop(LOCK_MMAP);
}

static void still_held(void)
{
	lock_rank_push(LOCK_SWAP, LOCK_RANK_ORDERED);
	lock_rank_check_none();
}

static void too_many(void)
{
	for (int i = 0; i < 1000; i++)
		lock_rank_push(LOCK_PTE, LOCK_RANK_NESTED);
}

static void test_right_orders(void **state)
{
	(void)state;
	char text[1000];

	assert_int_equal(run_in_child(right_orders, text, sizeof(text)), 0);
	assert_string_equal(text, "");
}

static void test_wrong_orders_name_both(void **state)
{
	(void)state;
	static const struct {
		void (*body)(void);
		const char *taken;
		const char *held;
	} cases[] = {
		{lower_rank, "taking PAGE_TABLE", " PTE "},
		{same_rank, "taking PTE", ": PTE "},
		{nested_lower_rank, "taking MMAP", ": PTE "},
		{between_held_ranks, "taking PTE", " ZONE "},
		{not_held, "releasing MMAP", " PTE "},
		{still_held, "still held", " SWAP "},
		{too_many, "too many", " PTE "},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[1000];

		assert_int_equal(run_in_child(cases[i].body, text, sizeof(text)), SIGABRT);
		assert_non_null(strstr(text, cases[i].taken));
		assert_non_null(strstr(text, cases[i].held));
	}
}

#if QUIRE_CHECK >= 1
static struct spinlock spin_pte, spin_pte_child;
static struct mutex mutex_swap;
static struct rwlock rwlock_i_mmap;
static struct percpu_rwlock percpu_mmap, percpu_mmap_child;

static int init_locks(void **state)
{
	(void)state;
	spin_lock_init(&spin_pte, LOCK_PTE);
	spin_lock_init(&spin_pte_child, LOCK_PTE);
	mutex_init(&mutex_swap, LOCK_SWAP);
	rwlock_init(&rwlock_i_mmap, LOCK_I_MMAP);
	percpu_rwlock_init(&percpu_mmap, LOCK_MMAP);
	percpu_rwlock_init(&percpu_mmap_child, LOCK_MMAP);
	return 0;
}

static void locks_in_order(void)
{
	percpu_write_lock(&percpu_mmap);
	percpu_write_lock_nested(&percpu_mmap_child);
	percpu_write_downgrade(&percpu_mmap);
	write_lock(&rwlock_i_mmap);
	spin_lock(&spin_pte);
	spin_lock_nested(&spin_pte_child);
	mutex_lock(&mutex_swap);
	mutex_unlock(&mutex_swap);
	spin_unlock(&spin_pte_child);
	spin_unlock(&spin_pte);
	write_unlock(&rwlock_i_mmap);
	percpu_write_unlock(&percpu_mmap_child);
	percpu_read_unlock(&percpu_mmap);
	lock_rank_assert_none();
	read_lock(&rwlock_i_mmap);
	if (!percpu_read_trylock(&percpu_mmap))
		abort();
	percpu_read_unlock(&percpu_mmap);
	read_unlock(&rwlock_i_mmap);
	lock_rank_assert_none();
}

static void spin_before_mutex(void)
{
	mutex_lock(&mutex_swap);
	spin_lock(&spin_pte);
}

static void mutex_twice(void)
{
	mutex_lock(&mutex_swap);
	mutex_lock(&mutex_swap);
}

static void percpu_after_read(void)
{
	read_lock(&rwlock_i_mmap);
	percpu_read_lock(&percpu_mmap);
}

static void second_mm_not_nested(void)
{
	percpu_write_lock(&percpu_mmap);
	percpu_write_lock(&percpu_mmap_child);
}

static void reader_recurses(void)
{
	read_lock(&rwlock_i_mmap);
	read_lock(&rwlock_i_mmap);
}

static void unlock_unheld(void)
{
	spin_unlock(&spin_pte);
}

static void test_locks_check_ranks(void **state)
{
	(void)state;
	void (*const wrong[])(void) = {spin_before_mutex,    mutex_twice,     percpu_after_read,
				       second_mm_not_nested, reader_recurses, unlock_unheld};
	char text[1000];

	assert_int_equal(run_in_child(locks_in_order, text, sizeof(text)), 0);
	assert_string_equal(text, "");
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(run_in_child(wrong[i], text, sizeof(text)), SIGABRT);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_right_orders),
		cmocka_unit_test(test_wrong_orders_name_both),
#if QUIRE_CHECK >= 1
		cmocka_unit_test_setup(test_locks_check_ranks, init_locks),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
