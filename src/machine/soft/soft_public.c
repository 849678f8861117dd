/* SPDX-License-Identifier: MIT */
/*
 * The soft machine's public face (include/quire/soft.h): its functions with errno.
 */
#include <quire/soft.h>

#include "machine/soft/soft.h"

#include <errno.h>

static int public_status(int error)
{
	if (!error)
		return 0;
	errno = -error;
	return -1;
}

static int public_access(int error, const struct soft_outcome *outcome, struct quire_trap *trap)
{
	if (error)
		*trap = (struct quire_trap){
			.signal = outcome->signal,
			.address = outcome->address,
			.done = outcome->done,
		};
	return public_status(error);
}

int quire_soft_machine_create(const struct quire_soft_params *params,
			      struct quire_machine **machine)
{
	struct soft_params internal = {0};

	if (params) {
		if (params->size != sizeof(*params))
			return public_status(-EINVAL);
		internal.real_clock = params->real_clock;
		internal.populate = params->populate;
	}
	return public_status(soft_machine_create(&internal, machine));
}

void quire_soft_machine_destroy(struct quire_machine *machine)
{
	soft_machine_destroy(machine);
}

int quire_cpu_create(struct quire_machine *machine, quire_cpu **cpu)
{
	return public_status(soft_cpu_create(machine, cpu));
}

void quire_cpu_destroy(quire_cpu *cpu)
{
	soft_cpu_destroy(cpu);
}

void quire_cpu_switch(quire_cpu *cpu, quire_mm *mm)
{
	soft_cpu_switch(cpu, mm);
}

int quire_cpu_load(quire_cpu *cpu, uint64_t address, void *buffer, uint64_t bytes,
		   struct quire_trap *trap)
{
	struct soft_outcome outcome = {0};

	return public_access(soft_load(cpu, address, buffer, bytes, &outcome), &outcome, trap);
}

int quire_cpu_store(quire_cpu *cpu, uint64_t address, const void *buffer, uint64_t bytes,
		    struct quire_trap *trap)
{
	struct soft_outcome outcome = {0};

	return public_access(soft_store(cpu, address, buffer, bytes, &outcome), &outcome, trap);
}

int quire_cpu_fetch(quire_cpu *cpu, uint64_t address, void *buffer, uint64_t bytes,
		    struct quire_trap *trap)
{
	struct soft_outcome outcome = {0};

	return public_access(soft_fetch(cpu, address, buffer, bytes, &outcome), &outcome, trap);
}

int quire_cpu_cmpxchg(quire_cpu *cpu, uint64_t address, uint32_t size, uint64_t *expected,
		      uint64_t desired, struct quire_trap *trap)
{
	struct soft_outcome outcome = {0};

	return public_access(soft_cmpxchg(cpu, address, size, expected, desired, &outcome),
			     &outcome, trap);
}

int quire_cpu_fetch_add(quire_cpu *cpu, uint64_t address, uint32_t size, uint64_t *value,
			struct quire_trap *trap)
{
	struct soft_outcome outcome = {0};

	return public_access(soft_fetch_add(cpu, address, size, value, &outcome), &outcome, trap);
}
