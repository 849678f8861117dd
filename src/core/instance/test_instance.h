/* SPDX-License-Identifier: MIT */
/*
 * For tests of the core: an instance over a machine without CPUs, whose arena is heap memory, whose
 * clock counts its readings, and which caches what test_load() and test_store() meet in page tables
 * until it is revoked.
 */
#ifndef QUIRE_CORE_INSTANCE_TEST_INSTANCE_H
#define QUIRE_CORE_INSTANCE_TEST_INSTANCE_H

#include "core/instance/instance.h"
#include "core/instance/test_shadow.h"
#include "core/vma/mm.h"

struct test_machine {
	struct quire_machine machine;
	struct quire_machine_ops ops; /* the machine's: a test may change some */
	_Atomic uint64_t clock;
	_Atomic uint64_t revokes;
	_Atomic uint64_t contexts; /* mms that live */
	_Atomic uint64_t online;   /* bytes of the arena that are online */
	struct test_shadow shadow;
};

struct test_instance {
	struct test_machine machine;
	struct quire *quire;
	uint64_t allocations; /* live ones before */
	uint64_t frames_free; /* after creation */
};

/* params: `memory` and what else matters; `size` is filled in. Fails the test when it cannot. */
void test_instance_create(struct test_instance *test, struct quire_params params);
/* The same, but a failure (of injected allocations) is returned. */
int test_instance_try_create(struct test_instance *test, struct quire_params params);
/* Swap in memory. */
void test_instance_add_swap(struct test_instance *test, uint64_t pages);
/* Aborts the test with the first violation if the instance does not validate, or a translation is
 * cached that should have been revoked. Nothing is under way. */
void test_instance_check(struct test_instance *test);
/* Every mm is gone and every file closed: validates, destroys, and fails the test when an
 * allocation or frame is left. */
void test_instance_destroy(struct test_instance *test);

/* One access of the program itself: the byte at the address, or the fault's error bits (enum
 * vm_fault_result) in *error. */
uint8_t test_load(struct mm_struct *mm, uint64_t address, uint32_t *error);
void test_store(struct mm_struct *mm, uint64_t address, uint8_t value, uint32_t *error);

#endif
