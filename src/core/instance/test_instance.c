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
	(void)context;
	atomic_fetch_sub(&to_test_machine(machine)->contexts, 1);
}

static void revoke(struct quire_machine *machine, void *context, const struct quire_revoke *what)
{
	(void)context;
	assert_true(what->start < what->end);
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
}

void test_instance_destroy(struct test_instance *test)
{
	test_instance_check(test);
	assert_int_equal(quire_destroy(test->quire), 0);
	assert_int_equal(atomic_load(&test->machine.contexts), 0);
	assert_int_equal(quire_alloc_live(), test->allocations);
}

/* The byte of the frame that the entry maps, once the entry allows the access. */
static uint8_t *access_byte(struct mm_struct *mm, uint64_t address, uint32_t flags, uint32_t *error)
{
	const pteval_t need = PTE_PRESENT | PTE_USER | (flags & FAULT_WRITE ? PTE_WRITE : 0);

	for (;;) {
		pte_t *entry = pte_find(mm, address);
		pteval_t pte = entry ? pte_load(entry) : 0;
		uint32_t result;

		if ((pte & need) == need) {
			pte_modify_bits(entry, 0,
					PTE_ACCESSED | (flags & FAULT_WRITE ? PTE_DIRTY : 0));
			return (uint8_t *)mm->quire->zone.base + (pte & PTE_FRAME_MASK) +
			       PAGE_OFFSET(address);
		}
		result = handle_user_fault(mm, address, flags);
		if (result & VM_FAULT_ERROR) {
			assert_non_null(error);
			*error = result & VM_FAULT_ERROR;
			return NULL;
		}
	}
}

uint8_t test_load(struct mm_struct *mm, uint64_t address, uint32_t *error)
{
	const uint8_t *byte = access_byte(mm, address, 0, error);

	return byte ? *byte : 0;
}

void test_store(struct mm_struct *mm, uint64_t address, uint8_t value, uint32_t *error)
{
	uint8_t *byte = access_byte(mm, address, FAULT_WRITE, error);

	if (byte)
		*byte = value;
}
