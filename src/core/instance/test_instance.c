/* SPDX-License-Identifier: MIT */
/*
 * The instance that tests of the core use; see test_instance.h.
 */
#include "core/instance/test_instance.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "core/fault/fault.h"
#include "core/reclaim/vmscan.h"

#include <quire/memory_store.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct test_machine *to_test_machine(struct quire_machine *machine)
{
	return container_of(machine, struct test_machine, machine);
}

static int arena_create(struct quire_machine *machine, uint64_t bytes, void **base)
{
	(void)machine;
	*base = aligned_alloc(PAGE_SIZE, bytes);
	if (!*base)
		return -ENOMEM;
	memset(*base, 0, bytes);
	return 0;
}

static void arena_destroy(struct quire_machine *machine, void *base, uint64_t bytes)
{
	(void)machine;
	(void)bytes;
	free(base);
}

/* Sections come in order, none twice. */
static int arena_online(struct quire_machine *machine, uint64_t offset, uint64_t bytes)
{
	if (quire_should_fail(FAIL_MACHINE))
		return -ENOMEM;
	assert_int_equal(atomic_fetch_add(&to_test_machine(machine)->online, bytes), offset);
	return 0;
}

static int mm_create(struct quire_machine *machine, uint64_t root, void **context)
{
	if (quire_should_fail(FAIL_MACHINE))
		return -ENOMEM;
	atomic_fetch_add(&to_test_machine(machine)->contexts, 1);
	*context = (void *)(uintptr_t)root;
	return 0;
}

static void mm_context_destroy(struct quire_machine *machine, void *context)
{
	test_shadow_drop_mm(&to_test_machine(machine)->shadow, context);
	atomic_fetch_sub(&to_test_machine(machine)->contexts, 1);
}

static void revoke(struct quire_machine *machine, void *context, const struct quire_revoke *what)
{
	(void)context;
	assert_true(what->start < what->end);
	test_shadow_revoke(&to_test_machine(machine)->shadow, what);
	atomic_fetch_add(&to_test_machine(machine)->revokes, 1);
}

static uint64_t now(struct quire_machine *machine)
{
	return atomic_fetch_add(&to_test_machine(machine)->clock, 1) + 1;
}

static const struct quire_machine_ops test_machine_ops = {
	.name = "test",
	.arena_create = arena_create,
	.arena_destroy = arena_destroy,
	.arena_online = arena_online,
	.mm_create = mm_create,
	.mm_destroy = mm_context_destroy,
	.revoke = revoke,
	.now = now,
};

int test_instance_try_create(struct test_instance *test, struct quire_params params)
{
	*test = (struct test_instance){.machine.ops = test_machine_ops};
	test->machine.machine.ops = &test->machine.ops;
	test_shadow_init(&test->machine.shadow);
	test->allocations = quire_alloc_live();
	params.size = sizeof(params);
	if (quire_create(&test->machine.machine, &params, &test->quire))
		return -errno;
	test->frames_free = zone_nr_free(&test->quire->zone);
	return 0;
}

void test_instance_create(struct test_instance *test, struct quire_params params)
{
	assert_int_equal(test_instance_try_create(test, params), 0);
}

void test_instance_add_swap(struct test_instance *test, uint64_t pages)
{
	struct quire_store *store;

	assert_int_equal(quire_memory_store_create(pages << PAGE_SHIFT, &store), 0);
	assert_int_equal(quire_swapon(test->quire, store, pages << PAGE_SHIFT), 0);
}

void test_instance_check(struct test_instance *test)
{
	char message[256];

	if (quire_check(test->quire, message, sizeof(message)))
		fail_msg("%s", message);
	test_shadow_check(&test->machine.shadow);
}

void test_instance_destroy(struct test_instance *test)
{
	test_instance_check(test);
	assert_int_equal(quire_destroy(test->quire), 0);
	assert_int_equal(atomic_load(&test->machine.contexts), 0);
	assert_int_equal(quire_alloc_live(), test->allocations);
}

/* False: a fault that cannot be served, in *error. */
static bool access_byte(struct mm_struct *mm, uint64_t address, uint32_t flags, uint8_t *value,
			uint32_t *error)
{
	struct test_shadow *shadow = &to_test_machine(mm->quire->machine)->shadow;

	while (!test_shadow_access(shadow, mm, address, flags & FAULT_WRITE, value)) {
		uint32_t result = handle_user_fault(mm, address, flags);

		if (result & VM_FAULT_ERROR) {
			assert_non_null(error);
			*error = result & VM_FAULT_ERROR;
			return false;
		}
	}
	return true;
}

uint8_t test_load(struct mm_struct *mm, uint64_t address, uint32_t *error)
{
	uint8_t value = 0;

	return access_byte(mm, address, 0, &value, error) ? value : 0;
}

void test_store(struct mm_struct *mm, uint64_t address, uint8_t value, uint32_t *error)
{
	access_byte(mm, address, FAULT_WRITE, &value, error);
}
