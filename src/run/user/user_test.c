/* SPDX-License-Identifier: MIT */
/*
 * Access to the program's memory: every boundary, what is copied before a fault, vectors, pins.
 */
#include "core/call/fixture_test.h"
#include "core/frame/page.h"
#include "run/user/user.h"

#include <limits.h>
#include <stdlib.h>

static char buffer[4 * 4096];

static void fill(char *to, size_t bytes, int first)
{
	for (size_t i = 0; i < bytes; i++)
		to[i] = (char)(first + (int)i);
}

static void test_copy_over_pages(void **state)
{
	struct fixture *f = *state;
	char back[sizeof(buffer)];
	const uint64_t at = AT(0) + 100;

	map_anon(f, 0, 4);
	fill(buffer, sizeof(buffer), 1);
	assert_ok(copy_to_user(f->mm, at, buffer, 9000));
	assert_ok(copy_from_user(f->mm, back, at, 9000));
	assert_memory_equal(buffer, back, 9000);
	/* Up to the last byte, and not one more. */
	assert_ok(copy_to_user(f->mm, AT(4) - 1, buffer, 1));
	assert_ok(copy_from_user(f->mm, back, AT(4) - 10, 10));
	assert_int_equal(copy_from_user(f->mm, back, AT(4) - 10, 11), -EFAULT);
	assert_int_equal(copy_to_user(f->mm, AT(4), buffer, 1), -EFAULT);
	assert_int_equal(copy_from_user(f->mm, back, AT(0) - 1, 1), -EFAULT);
	/* Nothing can be had anywhere. */
	assert_ok(copy_from_user(f->mm, back, 0, 0));
	assert_ok(copy_to_user(f->mm, UINT64_MAX, buffer, 0));
}

static void test_copy_to_bad_addresses(void **state)
{
	static const uint64_t bad[] = {
		0,
		1,
		4096,
		TASK_SIZE_MAX - 1,
		TASK_SIZE_MAX,
		(uint64_t)1 << 47,
		(uint64_t)1 << 63,
		0xffff800000000000,
		UINT64_MAX - 4095,
		UINT64_MAX,
	};
	struct fixture *f = *state;
	char byte[8] = {0};

	map_anon(f, 0, 1);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(copy_from_user(f->mm, byte, bad[i], sizeof(byte)), -EFAULT);
		assert_int_equal(copy_to_user(f->mm, bad[i], byte, sizeof(byte)), -EFAULT);
		assert_int_equal(strncpy_from_user(f->mm, byte, bad[i], sizeof(byte)), -EFAULT);
		assert_int_equal(user_range(f->mm, bad[i], sizeof(byte), false), 0);
		assert_int_equal(user_range(f->mm, bad[i], UINT64_MAX, true), 0);
	}
}

static void test_partial_copy(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 1);
	fill(buffer, sizeof(buffer), 7);
	assert_int_equal(copy_some_to_user(f->mm, AT(1) - 5, buffer, 10), 5);
	assert_int_equal(load(f, 0), 0);
	memset(buffer, 0, 10);
	assert_int_equal(copy_some_from_user(f->mm, buffer, AT(1) - 5, 10), 5);
	assert_int_equal(buffer[0], 7);
	assert_int_equal(buffer[4], 11);
	assert_int_equal(buffer[5], 0);
	assert_int_equal(copy_some_from_user(f->mm, buffer, AT(1), 10), 0);
}

static void test_protection(void **state)
{
	struct fixture *f = *state;
	char byte = 1;

	map_anon(f, 0, 3);
	assert_ok(quire_mprotect(f->mm, AT(1), PAGE_SIZE, QUIRE_PROT_READ));
	assert_ok(quire_mprotect(f->mm, AT(2), PAGE_SIZE, QUIRE_PROT_NONE));
	assert_ok(copy_from_user(f->mm, &byte, AT(1), 1));
	assert_int_equal(copy_to_user(f->mm, AT(1), &byte, 1), -EFAULT);
	assert_int_equal(copy_from_user(f->mm, &byte, AT(2), 1), -EFAULT);
	assert_int_equal(user_range(f->mm, AT(0) + 1, PAGES(3), true), PAGE_SIZE - 1);
	assert_int_equal(user_range(f->mm, AT(0) + 1, PAGES(3), false), PAGES(2) - 1);
	assert_int_equal(user_range(f->mm, AT(0), 5, true), 5);
	assert_int_equal(user_range(f->mm, AT(2), 5, false), 0);
	assert_int_equal(user_range(f->mm, AT(0) - 1, 5, false), 0);
}

/* What a stack would grow over counts as the program's. */
static void test_range_below_stack(void **state)
{
	struct fixture *f = *state;

	map_at(f, 64, 2, QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_GROWSDOWN);
	assert_int_equal(user_range(f->mm, AT(10), PAGES(55), true), PAGES(55));
	assert_ok(quire_setlimit(f->mm, QUIRE_LIMIT_STACK, PAGES(8)));
	assert_int_equal(user_range(f->mm, AT(10), PAGES(55), true), 0);
	assert_int_equal(user_range(f->mm, AT(58), PAGES(7), true), PAGES(7));
}

static void test_strings(void **state)
{
	struct fixture *f = *state;
	char text[64];

	map_anon(f, 0, 2);
	assert_ok(copy_to_user(f->mm, AT(1) - 3, "hello", 6));
	assert_int_equal(strncpy_from_user(f->mm, text, AT(1) - 3, sizeof(text)), 5);
	assert_string_equal(text, "hello");
	/* The zero must be among the bytes. */
	assert_int_equal(strncpy_from_user(f->mm, text, AT(1) - 3, 6), 5);
	assert_int_equal(strncpy_from_user(f->mm, text, AT(1) - 3, 5), -ENAMETOOLONG);
	assert_int_equal(strncpy_from_user(f->mm, text, AT(1) - 3, 0), -ENAMETOOLONG);
	/* A string that ends with its page needs no other; one without an end does. */
	assert_ok(copy_to_user(f->mm, AT(2) - 4, "end", 4));
	assert_int_equal(strncpy_from_user(f->mm, text, AT(2) - 4, sizeof(text)), 3);
	assert_ok(copy_to_user(f->mm, AT(2) - 4, "ends", 4));
	assert_int_equal(strncpy_from_user(f->mm, text, AT(2) - 4, sizeof(text)), -EFAULT);
}

/* Writes a vector of `nr` elements at page 0; those not given are empty. */
static void put_vector(struct fixture *f, const struct iovec *vector, uint64_t nr)
{
	assert_ok(copy_to_user(f->mm, AT(0), vector, nr * sizeof(*vector)));
}

static int import(struct fixture *f, uint64_t nr, uint64_t *total)
{
	struct iovec fast[USER_IOV_FAST], *vector;
	int error = import_iovec(f->mm, AT(0), nr, fast, &vector, total);

	if (!error)
		release_iovec(fast, vector);
	return error;
}

static void test_iovec(void **state)
{
	struct fixture *f = *state;
	struct iovec vector[4] = {
		{(void *)AT(1), 10}, {NULL, 0}, {(void *)AT(2), 20}, {(void *)AT(5), 1}};
	uint64_t total;

	map_anon(f, 0, 5);
	put_vector(f, vector, 4);
	assert_ok(import(f, 0, &total));
	assert_int_equal(total, 0);
	assert_ok(import(f, 3, &total));
	assert_int_equal(total, 30);
	/* What is mapped is not looked at, only whether it can be. */
	assert_ok(import(f, 4, &total));
	assert_ok(import(f, IOV_MAX, &total));
	assert_int_equal(import(f, IOV_MAX + 1, &total), -EINVAL);
	assert_int_equal(import(f, UINT64_MAX, &total), -EINVAL);
	vector[1].iov_len = (size_t)1 << 63;
	put_vector(f, vector, 4);
	assert_int_equal(import(f, 2, &total), -EINVAL);
	assert_ok(import(f, 1, &total));
	vector[1] = (struct iovec){(void *)TASK_SIZE_MAX, 1};
	put_vector(f, vector, 4);
	assert_int_equal(import(f, 2, &total), -EFAULT);
	assert_ok(quire_munmap(f->mm, AT(0), PAGE_SIZE));
	assert_int_equal(import(f, 1, &total), -EFAULT);
}

static void test_iovec_total_is_cut(void **state)
{
	struct fixture *f = *state;
	const uint64_t half = (uint64_t)1 << 30;
	const struct iovec vector[3] = {
		{(void *)AT(0), half}, {(void *)AT(0), half}, {(void *)AT(0), half}};
	struct iovec fast[USER_IOV_FAST], *imported;
	uint64_t total;

	map_anon(f, 0, 1);
	put_vector(f, vector, 3);
	assert_ok(import_iovec(f->mm, AT(0), 3, fast, &imported, &total));
	assert_int_equal(total, INT_MAX & PAGE_MASK);
	assert_int_equal(imported[0].iov_len, half);
	assert_int_equal(imported[1].iov_len, total - half);
	assert_int_equal(imported[2].iov_len, 0);
	release_iovec(fast, imported);
}

static void test_pins(void **state)
{
	struct fixture *f = *state;
	struct user_pin pin;
	uint64_t sum = 0;

	map_anon(f, 0, 3);
	assert_ok(user_pin(f->mm, AT(0) + 10, PAGES(1), true, &pin));
	assert_int_equal(pin.nr_pages, 2);
	assert_int_equal(pin.bytes, PAGE_SIZE);
	for (uint32_t i = 0; i < pin.nr_vectors; i++) {
		memset(pin.vector[i].iov_base, 5, pin.vector[i].iov_len);
		sum += pin.vector[i].iov_len;
	}
	assert_int_equal(sum, pin.bytes);
	/* The frames stay although everything else that can be evicted is. */
	evict_all(f);
	assert_true(page_maybe_pinned(pin.pages[0]));
	user_unpin(f->mm, &pin, true);
	evict_all(f);
	assert_ok(copy_from_user(f->mm, buffer, AT(0) + 9, PAGE_SIZE + 2));
	assert_int_equal(buffer[0], 0);
	assert_int_equal(buffer[1], 5);
	assert_int_equal(buffer[PAGE_SIZE], 5);
	assert_int_equal(buffer[PAGE_SIZE + 1], 0);
}

static void test_pins_are_bounded(void **state)
{
	struct fixture *f = *state;
	struct user_pin pin;

	map_anon(f, 0, USER_PIN_MAX + 8);
	assert_ok(user_pin(f->mm, AT(0) + 1, PAGES(USER_PIN_MAX + 8) - 1, true, &pin));
	assert_int_equal(pin.nr_pages, USER_PIN_MAX);
	assert_int_equal(pin.bytes, PAGES(USER_PIN_MAX) - 1);
	user_unpin(f->mm, &pin, false);
	/* Up to where there is memory. */
	assert_ok(user_pin(f->mm, AT(USER_PIN_MAX + 7) + 6, UINT64_MAX, false, &pin));
	assert_int_equal(pin.bytes, PAGE_SIZE - 6);
	user_unpin(f->mm, &pin, false);
	assert_int_equal(user_pin(f->mm, AT(USER_PIN_MAX + 8), 1, false, &pin), -EFAULT);
	assert_int_equal(user_pin(f->mm, AT(0), 0, false, &pin), -EFAULT);
	assert_int_equal(user_pin(f->mm, UINT64_MAX, 1, false, &pin), -EFAULT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_copy_over_pages, setup, teardown),
		cmocka_unit_test_setup_teardown(test_copy_to_bad_addresses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_partial_copy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_protection, setup, teardown),
		cmocka_unit_test_setup_teardown(test_range_below_stack, setup, teardown),
		cmocka_unit_test_setup_teardown(test_strings, setup, teardown),
		cmocka_unit_test_setup_teardown(test_iovec, setup, teardown),
		cmocka_unit_test_setup_teardown(test_iovec_total_is_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pins, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pins_are_bounded, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
