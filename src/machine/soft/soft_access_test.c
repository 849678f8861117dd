/* SPDX-License-Identifier: MIT */
/*
 * Tests of the soft machine's accesses as a program sees them: bytes, page borders, signals, bytes
 * stored before a fault, instruction fetch, atomics.
 */
#include "machine/soft/soft.h"

#include "base/fail.h"
#include "base/prng.h"
#include "machine/soft/fixture_test.h"

#include <errno.h>
#include <string.h>

static void assert_stopped(struct fixture *f, int error, enum quire_signal signal, uint64_t address,
			   uint64_t done)
{
	assert_int_equal(error, -EFAULT);
	assert_int_equal(f->outcome.signal, signal);
	assert_int_equal(f->outcome.address, address);
	assert_int_equal(f->outcome.done, done);
}

static void words_come_back(void **state)
{
	struct fixture f;
	uint64_t address, value;

	(void)state;
	fixture_create(&f, NULL, 4 << 20);
	address = fixture_mmap(&f, 4);
	for (uint64_t offset = 0; offset + 8 <= 4 * PAGE_SIZE; offset += 501) {
		assert_int_equal(soft_store_u64(f.cpu, address + offset, ~offset, &f.outcome), 0);
		assert_int_equal(soft_load_u64(f.cpu, address + offset, &value, &f.outcome), 0);
		assert_int_equal(value, ~offset);
	}
	/* Across a page border. */
	assert_int_equal(
		soft_store_u64(f.cpu, address + PAGE_SIZE - 3, 0x1122334455667788, &f.outcome), 0);
	assert_int_equal(soft_load_u64(f.cpu, address + PAGE_SIZE - 3, &value, &f.outcome), 0);
	assert_int_equal(value, 0x1122334455667788);
	assert_int_equal(soft_load_u64(f.cpu, address + PAGE_SIZE - 8, &value, &f.outcome), 0);
	assert_int_equal(value >> 40, 0x667788);
	fixture_destroy(&f);
}

/* Random loads, stores, fills and copies against an ordinary array. */
static void bulk_agrees_with_array(void **state)
{
	enum {
		BYTES = 5 * 4096
	};
	static uint8_t model[BYTES], buffer[BYTES];
	struct fixture f;
	struct prng prng;
	uint64_t address;

	(void)state;
	fixture_create(&f, NULL, 4 << 20);
	address = fixture_mmap(&f, 5);
	memset(model, 0, sizeof(model));
	prng_seed(&prng, 6);
	for (uint32_t step = 0; step < 3000; step++) {
		uint64_t from = prng_below(&prng, BYTES), to = prng_below(&prng, BYTES);
		uint64_t bytes = prng_below(&prng, BYTES - max_u64(from, to)) + 1;
		uint8_t value = (uint8_t)prng_next(&prng);

		switch (prng_below(&prng, 4)) {
		case 0:
			for (uint64_t i = 0; i < bytes; i++)
				buffer[i] = model[to + i] = (uint8_t)(value + i);
			assert_int_equal(soft_store(f.cpu, address + to, buffer, bytes, &f.outcome),
					 0);
			break;
		case 1:
			memset(model + to, value, bytes);
			assert_int_equal(soft_fill(f.cpu, address + to, bytes, value, &f.outcome),
					 0);
			break;
		case 2:
			bytes = min_u64(bytes, from > to ? from - to : to - from);
			memcpy(model + to, model + from, bytes);
			assert_int_equal(
				soft_copy(f.cpu, address + to, address + from, bytes, &f.outcome),
				0);
			break;
		default:
			assert_int_equal(
				soft_load(f.cpu, address + from, buffer, bytes, &f.outcome), 0);
			assert_memory_equal(buffer, model + from, bytes);
		}
	}
	fixture_destroy(&f);
}

static void stops_with_the_signal(void **state)
{
	struct fixture f;
	uint64_t address, hole, value = 0;

	(void)state;
	fixture_create(&f, NULL, 4 << 20);
	address = fixture_mmap(&f, 3);
	hole = address + 2 * PAGE_SIZE;
	assert_int_equal(quire_munmap(f.mm, hole, PAGE_SIZE), 0);
	assert_stopped(&f, soft_load_u64(f.cpu, hole, &value, &f.outcome), QUIRE_SEGV_MAPERR, hole,
		       0);
	/* The part that lies before the hole is done. */
	assert_stopped(&f, soft_load_u64(f.cpu, hole - 3, &value, &f.outcome), QUIRE_SEGV_MAPERR,
		       hole, 3);

	assert_int_equal(quire_mprotect(f.mm, address + PAGE_SIZE, PAGE_SIZE, QUIRE_PROT_READ), 0);
	assert_stopped(&f, soft_fill(f.cpu, address + 100, 8000, 7, &f.outcome), QUIRE_SEGV_ACCERR,
		       address + PAGE_SIZE, PAGE_SIZE - 100);
	assert_int_equal(soft_load_u64(f.cpu, address + PAGE_SIZE - 8, &value, &f.outcome), 0);
	assert_int_equal(value, 0x0707070707070707);
	assert_int_equal(soft_load_u64(f.cpu, address + PAGE_SIZE, &value, &f.outcome), 0);
	assert_int_equal(value, 0);

	/* Addresses that no program has: high half, not canonical, the last bytes of all. */
	assert_stopped(&f, soft_load_u64(f.cpu, (uint64_t)1 << 47, &value, &f.outcome),
		       QUIRE_SEGV_MAPERR, (uint64_t)1 << 47, 0);
	assert_stopped(&f, soft_load_u64(f.cpu, address + ((uint64_t)1 << 48), &value, &f.outcome),
		       QUIRE_SEGV_MAPERR, address + ((uint64_t)1 << 48), 0);
	assert_stopped(&f, soft_load_u64(f.cpu, UINT64_MAX - 2, &value, &f.outcome),
		       QUIRE_SEGV_MAPERR, UINT64_MAX - 2, 0);
	fixture_destroy(&f);
}

static void copy_stops_where_either_side_does(void **state)
{
	struct fixture f;
	uint64_t address, value;

	(void)state;
	fixture_create(&f, NULL, 4 << 20);
	address = fixture_mmap(&f, 8);
	assert_int_equal(soft_fill(f.cpu, address, 3 * PAGE_SIZE, 9, &f.outcome), 0);
	assert_int_equal(quire_munmap(f.mm, address + 3 * PAGE_SIZE, PAGE_SIZE), 0);
	/* The source ends. */
	assert_stopped(&f,
		       soft_copy(f.cpu, address + 4 * PAGE_SIZE, address + 2 * PAGE_SIZE + 96,
				 2 * PAGE_SIZE, &f.outcome),
		       QUIRE_SEGV_MAPERR, address + 3 * PAGE_SIZE, 4000);
	assert_int_equal(soft_load_u64(f.cpu, address + 4 * PAGE_SIZE + 3992, &value, &f.outcome),
			 0);
	assert_int_equal(value, 0x0909090909090909);
	/* The destination ends. */
	assert_stopped(
		&f,
		soft_copy(f.cpu, address + 3 * PAGE_SIZE - 96, address, 2 * PAGE_SIZE, &f.outcome),
		QUIRE_SEGV_MAPERR, address + 3 * PAGE_SIZE, 96);
	fixture_destroy(&f);
}

static void fetch_needs_exec(void **state)
{
	static const uint8_t code[] = {0x90, 0xc3};
	struct fixture f;
	uint8_t bytes[2] = {0};
	uint64_t address;

	(void)state;
	fixture_create(&f, NULL, 4 << 20);
	address = fixture_mmap(&f, 1);
	assert_int_equal(soft_store(f.cpu, address, code, sizeof(code), &f.outcome), 0);
	assert_stopped(&f, soft_fetch(f.cpu, address, bytes, 2, &f.outcome), QUIRE_SEGV_ACCERR,
		       address, 0);
	assert_int_equal(
		quire_mprotect(f.mm, address, PAGE_SIZE, QUIRE_PROT_READ | QUIRE_PROT_EXEC), 0);
	assert_int_equal(soft_fetch(f.cpu, address, bytes, 2, &f.outcome), 0);
	assert_memory_equal(bytes, code, sizeof(code));
	assert_stopped(&f, soft_store(f.cpu, address, code, 1, &f.outcome), QUIRE_SEGV_ACCERR,
		       address, 0);
	assert_int_equal(quire_mprotect(f.mm, address, PAGE_SIZE, QUIRE_PROT_READ), 0);
	assert_stopped(&f, soft_fetch(f.cpu, address, bytes, 2, &f.outcome), QUIRE_SEGV_ACCERR,
		       address, 0);
	fixture_destroy(&f);
}

static void atomics_of_each_size(void **state)
{
	struct fixture f;
	uint64_t address;

	(void)state;
	fixture_create(&f, NULL, 4 << 20);
	address = fixture_mmap(&f, 2);
	for (uint32_t size = 1; size <= 8; size *= 2) {
		uint64_t mask = size == 8 ? UINT64_MAX : ((uint64_t)1 << 8 * size) - 1;
		uint64_t word = 0, value = 0x8182838485868788, expected = 1;

		address += 8;
		assert_int_equal(soft_fetch_add(f.cpu, address, size, &value, &f.outcome), 0);
		assert_int_equal(value, 0);
		value = 0xff;
		assert_int_equal(soft_fetch_add(f.cpu, address, size, &value, &f.outcome), 0);
		assert_int_equal(value, 0x8182838485868788 & mask);
		/* Bytes beside it stay. */
		assert_int_equal(soft_load_u64(f.cpu, address, &word, &f.outcome), 0);
		assert_int_equal(word, (0x8182838485868788 + 0xff) & mask);

		assert_int_equal(soft_cmpxchg(f.cpu, address, size, &expected, 5, &f.outcome), 0);
		assert_int_equal(expected, word);
		assert_int_equal(soft_cmpxchg(f.cpu, address, size, &expected, 5, &f.outcome), 0);
		assert_int_equal(expected, word);
		assert_int_equal(soft_load_u64(f.cpu, address, &word, &f.outcome), 0);
		assert_int_equal(word, 5);
		assert_int_equal(soft_fetch_add(f.cpu, address + 1, size, &value, &f.outcome),
				 size == 1 ? 0 : -EINVAL);
	}
	uint64_t value = 0;

	assert_int_equal(soft_cmpxchg(f.cpu, address, 3, &value, 5, &f.outcome), -EINVAL);
	assert_int_equal(soft_fetch_add(f.cpu, address, 16, &value, &f.outcome), -EINVAL);
	/* An exchange needs write permission even if it would not store. */
	assert_int_equal(quire_mprotect(f.mm, PAGE_ALIGN_DOWN(address), PAGE_SIZE, QUIRE_PROT_READ),
			 0);
	value = 77;
	assert_stopped(&f, soft_cmpxchg(f.cpu, address, 8, &value, 5, &f.outcome),
		       QUIRE_SEGV_ACCERR, address, 0);
	assert_stopped(&f, soft_fetch_add(f.cpu, address, 8, &value, &f.outcome), QUIRE_SEGV_ACCERR,
		       address, 0);
	fixture_destroy(&f);
}

struct spans {
	uint64_t sizes[8];
	uint32_t count;
	uint64_t sum;
};

static void note_span(void *context, void *memory, size_t bytes)
{
	struct spans *spans = context;

	spans->sizes[spans->count++] = bytes;
	for (size_t i = 0; i < bytes; i++)
		spans->sum += ((uint8_t *)memory)[i];
}

static void spans_end_at_pages(void **state)
{
	struct spans spans = {0};
	struct fixture f;
	uint64_t address;

	(void)state;
	fixture_create(&f, NULL, 4 << 20);
	address = fixture_mmap(&f, 3);
	assert_int_equal(soft_fill(f.cpu, address, 3 * PAGE_SIZE, 1, &f.outcome), 0);
	assert_int_equal(soft_for_each_span(f.cpu, address + 96, 2 * PAGE_SIZE, QUIRE_ACCESS_READ,
					    note_span, &spans, &f.outcome),
			 0);
	assert_int_equal(spans.count, 3);
	assert_int_equal(spans.sizes[0], 4000);
	assert_int_equal(spans.sizes[1], 4096);
	assert_int_equal(spans.sizes[2], 96);
	assert_int_equal(spans.sum, 2 * PAGE_SIZE);
	/* No bytes: no span, and no fault either. */
	assert_int_equal(
		soft_for_each_span(f.cpu, 0, 0, QUIRE_ACCESS_READ, note_span, &spans, &f.outcome),
		0);
	assert_int_equal(spans.count, 3);
	fixture_destroy(&f);
}

static void forks_do_not_mix(void **state)
{
	struct fixture f;
	quire_mm *child;
	uint64_t address, value;

	(void)state;
	fixture_create(&f, NULL, 4 << 20);
	address = fixture_mmap(&f, 1);
	assert_int_equal(soft_store_u64(f.cpu, address, 1, &f.outcome), 0);
	assert_int_equal(quire_fork(f.mm, "child", &child), 0);
	/* The parent's cached entry may write no more. */
	assert_false(soft_tlb_cached(f.cpu, address, QUIRE_ACCESS_WRITE));
	assert_int_equal(soft_store_u64(f.cpu, address, 2, &f.outcome), 0);
	soft_cpu_switch(f.cpu, child);
	assert_int_equal(soft_load_u64(f.cpu, address, &value, &f.outcome), 0);
	assert_int_equal(value, 1);
	assert_int_equal(soft_store_u64(f.cpu, address, 3, &f.outcome), 0);
	soft_cpu_switch(f.cpu, f.mm);
	assert_int_equal(soft_load_u64(f.cpu, address, &value, &f.outcome), 0);
	assert_int_equal(value, 2);
	quire_mm_exit(child);
	fixture_destroy(&f);
}

static void no_memory_ends_an_access(void **state)
{
	struct fixture f;
	uint64_t address;

	(void)state;
	fixture_create(&f, NULL, 4 << 20);
	address = fixture_mmap(&f, 1);
	quire_fail_arm(FAIL_FRAME, 1, true);

	int error = soft_store_u64(f.cpu, address, 1, &f.outcome);

	assert_true(quire_fail_disarm());
	assert_int_equal(error, f.outcome.signal == QUIRE_KILL_OOM ? -EFAULT : -ENOMEM);
	assert_int_equal(f.outcome.address, address);
	fixture_destroy(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_come_back),
		cmocka_unit_test(bulk_agrees_with_array),
		cmocka_unit_test(stops_with_the_signal),
		cmocka_unit_test(copy_stops_where_either_side_does),
		cmocka_unit_test(fetch_needs_exec),
		cmocka_unit_test(atomics_of_each_size),
		cmocka_unit_test(spans_end_at_pages),
		cmocka_unit_test(forks_do_not_mix),
		cmocka_unit_test(no_memory_ends_an_access),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
