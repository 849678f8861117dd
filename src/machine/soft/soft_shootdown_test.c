/* SPDX-License-Identifier: MIT */
/*
 * Tests of shootdown: CPUs of other threads access memory without a pause while the main thread
 * takes it away. Once a revocation has returned, no CPU may touch the frame.
 */
#include "machine/shootdown_test.h"
#include "machine/soft/fixture_test.h"

#include <errno.h>
#include <stdlib.h>

#define THREADS 3
#define EVICTED_ACCESSES 4000

/* The runner's CPU; NULL, which is an error of the runner's. */
static struct soft_cpu *begin(struct runner *runner)
{
	struct soft_cpu *cpu;

	if (soft_cpu_create(runner->f->machine, &cpu)) {
		runner->errors++;
		return NULL;
	}
	soft_cpu_switch(cpu, runner->f->mm);
	return cpu;
}

/* Makes accesses until the runner is stopped, and counts those that `access` says were served. */
static void *keep_accessing(struct runner *runner,
			    bool (*access)(struct runner *runner, struct soft_cpu *cpu,
					   struct prng *prng))
{
	struct soft_cpu *cpu = begin(runner);
	struct prng prng;

	if (!cpu)
		return NULL;
	prng_seed(&prng, runner->number);
	while (!atomic_load_explicit(runner->stop, memory_order_relaxed))
		runner->done += access(runner, cpu, &prng);
	soft_cpu_destroy(cpu);
	return NULL;
}

/* A word anywhere in the range; never poison. */
static bool access_raw(struct runner *runner, struct soft_cpu *cpu, struct prng *prng)
{
	const uint64_t word = prng_below(prng, runner->pages * WORDS);
	const uint64_t address = runner->base + word * 8;
	struct soft_outcome outcome;
	uint64_t value = 0;

	if (prng_below(prng, 2))
		return !soft_store_u64(cpu, address, runner->number << 32 | word, &outcome);
	if (soft_load_u64(cpu, address, &value, &outcome))
		return false;
	runner->errors += value == POISON;
	return true;
}

static void *hammer_raw(void *runner)
{
	return keep_accessing(runner, access_raw);
}

static void frames_are_quiet_after_revocation(bool fenced, uint32_t rounds)
{
	struct soft_params params = {.fenced = fenced};
	struct runners runners = {.count = THREADS, .rounds = rounds};
	struct fixture f;

	fixture_create(&f, &params, 4 << 20);
	revoke_under(&runners, &f, f.mm, hammer_raw);
	fixture_destroy(&f);
}

static void quiet_with_membarrier(void **state)
{
	(void)state;
	frames_are_quiet_after_revocation(false, 2000);
}

static void quiet_with_fences(void **state)
{
	(void)state;
	frames_are_quiet_after_revocation(true, 2000);
}

/* Each word of the range may only hold 0 or what belongs there. */
static bool access_mapped(struct runner *runner, struct soft_cpu *cpu, struct prng *prng)
{
	const uint64_t address = runner->base + prng_below(prng, runner->pages * WORDS) * 8;
	struct soft_outcome outcome;
	uint64_t value = 0;
	int error = prng_below(prng, 2) ? soft_load_u64(cpu, address, &value, &outcome)
					: soft_store_u64(cpu, address, ~address, &outcome);

	if (error) {
		runner->errors += error != -EFAULT || (outcome.signal != QUIRE_SEGV_MAPERR &&
						       outcome.signal != QUIRE_SEGV_ACCERR);
		return false;
	}
	runner->errors += value && value != ~address;
	return true;
}

static void *hammer_mapped(void *runner)
{
	return keep_accessing(runner, access_mapped);
}

static void mappings_change_under_accesses(void **state)
{
	struct runners runners = {.count = THREADS, .rounds = 1500};
	struct fixture f;

	(void)state;
	fixture_create(&f, NULL, 4 << 20);
	change_mappings_under(&runners, &f, f.mm, hammer_mapped);
	fixture_destroy(&f);
}

/* Adds the runner's number to one shared counter. */
static bool add_number(struct runner *runner, struct soft_cpu *cpu, struct prng *prng)
{
	struct soft_outcome outcome;
	uint64_t value = runner->number;

	(void)prng;
	return !soft_fetch_add(cpu, runner->base, 8, &value, &outcome);
}

static void *add_shared(void *runner)
{
	return keep_accessing(runner, add_number);
}

static void atomics_lose_nothing(void **state)
{
	struct runners runners = {.count = THREADS};
	struct fixture f;
	uint64_t base, value, expected = 0;

	(void)state;
	fixture_create(&f, NULL, 4 << 20);
	base = fixture_mmap(&f, 1);
	start(&runners, &f, add_shared, base, 1);
	for (uint32_t round = 0; round < 500; round++) {
		quire_mm *child;

		/* The child makes each later addition a copy on write. */
		assert_int_equal(quire_fork(f.mm, "child", &child), 0);
		assert_int_equal(quire_mprotect(f.mm, base, PAGE_SIZE, QUIRE_PROT_READ), 0);
		assert_int_equal(
			quire_mprotect(f.mm, base, PAGE_SIZE, QUIRE_PROT_READ | QUIRE_PROT_WRITE),
			0);
		quire_mm_exit(child);
	}
	stop(&runners);
	for (uint32_t i = 0; i < THREADS; i++)
		expected += runners.runner[i].done * runners.runner[i].number;
	assert_int_equal(soft_load_u64(f.cpu, base, &value, &f.outcome), 0);
	assert_int_equal(value, expected);
	fixture_destroy(&f);
}

/* Words of which each thread owns every THREADS-th, with what the owner last stored there. */
static void *keep_own_words(void *argument)
{
	struct runner *runner = argument;
	uint64_t words = runner->pages * WORDS;
	uint64_t *shadow = calloc(words, sizeof(*shadow));
	struct soft_outcome outcome;
	struct soft_cpu *cpu = begin(runner);
	struct prng prng;

	if (!cpu || !shadow) {
		runner->errors++;
		goto out;
	}
	prng_seed(&prng, runner->number);
	while (!runner->errors && runner->done < EVICTED_ACCESSES) {
		uint64_t word = prng_below(&prng, words / THREADS) * THREADS + runner->number - 1;
		uint64_t address = runner->base + word * 8;
		uint64_t value = 0;

		if (prng_below(&prng, 2)) {
			shadow[word] = value = prng_next(&prng);
			runner->errors += soft_store_u64(cpu, address, value, &outcome) != 0;
		} else {
			runner->errors += soft_load_u64(cpu, address, &value, &outcome) != 0;
			runner->errors += value != shadow[word];
		}
		runner->done++;
	}
out:
	if (cpu)
		soft_cpu_destroy(cpu);
	free(shadow);
	return NULL;
}

static void eviction_loses_nothing(void **state)
{
	struct runners runners = {.count = THREADS};
	struct fixture f;

	(void)state;
	fixture_create(&f, NULL, 1 << 20);
	evict_under(&runners, &f, f.mm, keep_own_words);
	fixture_destroy(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quiet_with_membarrier),
		cmocka_unit_test(quiet_with_fences),
		cmocka_unit_test(mappings_change_under_accesses),
		cmocka_unit_test(atomics_lose_nothing),
		cmocka_unit_test(eviction_loses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
