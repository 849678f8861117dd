/* SPDX-License-Identifier: MIT */
/*
 * What the soft machine's tests stand on: an instance, one mm, and a CPU of the main thread on it.
 */
#ifndef QUIRE_MACHINE_SOFT_FIXTURE_TEST_H
#define QUIRE_MACHINE_SOFT_FIXTURE_TEST_H

#include "base/alloc.h"
#include "core/instance/instance.h"
#include "core/vma/mm.h"
#include "machine/soft/soft.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct fixture {
	uint64_t allocations;
	struct quire_machine *machine;
	struct quire *quire;
	quire_mm *mm;
	struct soft_cpu *cpu;
	struct soft_outcome outcome;
};

static inline void fixture_create(struct fixture *f, const struct soft_params *params,
				  uint64_t memory)
{
	struct quire_params quire_params = {.size = sizeof(quire_params), .memory = memory};

	*f = (struct fixture){.allocations = quire_alloc_live()};
	assert_int_equal(soft_machine_create(params, &f->machine), 0);
	assert_int_equal(quire_create(f->machine, &quire_params, &f->quire), 0);
	assert_int_equal(quire_mm_create(f->quire, "main", NULL, &f->mm), 0);
	assert_int_equal(soft_cpu_create(f->machine, &f->cpu), 0);
	soft_cpu_switch(f->cpu, f->mm);
}

static inline void fixture_check(struct fixture *f)
{
	char message[256];

	if (quire_check(f->quire, message, sizeof(message)))
		fail_msg("%s", message);
}

static inline void fixture_destroy(struct fixture *f)
{
	soft_cpu_destroy(f->cpu);
	fixture_check(f);
	quire_mm_exit(f->mm);
	fixture_check(f);
	assert_int_equal(quire_destroy(f->quire), 0);
	soft_machine_destroy(f->machine);
	assert_int_equal(quire_alloc_live(), f->allocations);
}

/* Private anonymous memory, readable and writable. */
static inline uint64_t fixture_mmap(struct fixture *f, uint64_t pages)
{
	uint64_t address =
		quire_mmap(f->mm, 0, pages * PAGE_SIZE, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
			   QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, NULL, 0);

	assert_true(address != QUIRE_MAP_FAILED);
	return address;
}

#endif
