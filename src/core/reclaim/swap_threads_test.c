/* SPDX-License-Identifier: MIT */
/*
 * The last use of a swap entry ends while another thread has its page locked for a moment: one of
 * the two must give up the slot, as nobody comes by later.
 */
#include "core/call/call.h"
#include "core/fault/fault.h"
#include "core/instance/test_instance.h"
#include "core/reclaim/swap_area.h"
#include "core/reclaim/vmscan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <pthread.h>

#include <cmocka.h>

#define MEMORY ((uint64_t)1 << 20)
#define SLOTS 8
#define ROUNDS 20000
#define RW (QUIRE_PROT_READ | QUIRE_PROT_WRITE)

/* Prepared by the main thread for each round; what both threads do at once follows. */
struct meeting {
	struct test_instance test;
	quire_mm *mm;
	uint64_t address;
	struct page *page;
	swp_entry_t entry;
	const struct scene *scene;
	_Atomic uint32_t prepared; /* round that may begin */
	_Atomic uint32_t begun;    /* round whose last use is about to end */
	_Atomic uint32_t over;     /* round that the other thread has ended */
	_Atomic bool failed;       /* there is no further round */
};

struct scene {
	void (*prepare)(struct meeting *meeting);
	void (*end_last_use)(struct meeting *meeting);
	void (*lock_page)(struct meeting *meeting);
	void (*clean_up)(struct meeting *meeting);
};

static void wait_for(_Atomic uint32_t *number, uint32_t round)
{
	for (uint32_t spins = 0; atomic_load(number) < round; spins++)
		quire_relax(spins);
}

static void *other_thread(void *argument)
{
	struct meeting *meeting = argument;

	for (uint32_t round = 1; round <= ROUNDS; round++) {
		wait_for(&meeting->prepared, round);
		if (atomic_load(&meeting->failed))
			break;
		meeting->scene->lock_page(meeting);
		atomic_store(&meeting->over, round);
	}
	return NULL;
}

static void play(const struct scene *scene)
{
	struct meeting meeting = {.scene = scene};
	struct quire *quire;
	pthread_t thread;

	test_instance_create(&meeting.test,
			     (struct quire_params){.memory = MEMORY, .no_zero_page = true});
	quire = meeting.test.quire;
	test_instance_add_swap(&meeting.test, SLOTS);
	assert_int_equal(quire_mm_create(quire, "main", NULL, &meeting.mm), 0);
	meeting.address = quire_mmap(meeting.mm, 0, PAGE_SIZE, RW,
				     QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, NULL, 0);
	assert_true(meeting.address != QUIRE_MAP_FAILED);
	assert_int_equal(pthread_create(&thread, NULL, other_thread, &meeting), 0);
	for (uint32_t round = 1; round <= ROUNDS && !atomic_load(&meeting.failed); round++) {
		scene->prepare(&meeting);
		atomic_store(&meeting.prepared, round);
		for (uint32_t i = 0; i < round % 64; i++)
			quire_relax(0);
		atomic_store(&meeting.begun, round);
		scene->end_last_use(&meeting);
		wait_for(&meeting.over, round);
		if (swap_cached_pages(quire) || swap_free_slots(quire) != SLOTS)
			atomic_store(&meeting.failed, true);
		else
			scene->clean_up(&meeting);
	}
	atomic_store(&meeting.prepared, ROUNDS);
	pthread_join(thread, NULL);
	assert_false(atomic_load(&meeting.failed));
	quire_mm_exit(meeting.mm);
	test_instance_destroy(&meeting.test);
}

/* A page of the swap cache whose entry has one use. */
static void prepare_entry(struct meeting *meeting)
{
	struct quire *quire = meeting->test.quire;

	meeting->page = alloc_locked_page(quire, GFP_NOWAIT);
	assert_non_null(meeting->page);
	page_set(meeting->page, PG_swapbacked);
	assert_int_equal(memcg_charge(quire, NULL, meeting->page, GFP_NOWAIT), 0);
	assert_true(add_to_swap(quire, meeting->page));
	meeting->entry = page_swap_entry(meeting->page);
	swap_duplicate(quire, meeting->entry);
	unlock_page(meeting->page);
}

static void free_entry(struct meeting *meeting)
{
	swap_free(meeting->test.quire, meeting->entry);
}

/* Again and again, so that one release is under way when the use ends. */
static void release_page(struct meeting *meeting)
{
	do {
		swap_cache_release(meeting->test.quire, meeting->page);
	} while (atomic_load(&meeting->begun) < atomic_load(&meeting->prepared));
}

static void put_entry_page(struct meeting *meeting)
{
	put_page(meeting->test.quire, meeting->page);
}

static void a_release_meets_the_last_use(void **state)
{
	static const struct scene scene = {prepare_entry, free_entry, release_page, put_entry_page};

	(void)state;
	play(&scene);
}

static void store_and_swap_out(struct meeting *meeting)
{
	uint8_t byte = 1;

	assert_int_equal(access_process_vm(meeting->mm, meeting->address, &byte, 1, true), 1);
	assert_int_equal(
		quire_madvise(meeting->mm, meeting->address, PAGE_SIZE, QUIRE_MADV_PAGEOUT), 0);
	assert_int_equal(swap_free_slots(meeting->test.quire), SLOTS - 1);
}

static void drop_contents(struct meeting *meeting)
{
	if (quire_madvise(meeting->mm, meeting->address, PAGE_SIZE, QUIRE_MADV_DONTNEED))
		abort();
}

/* Before the other thread's call or behind it: each time the slot goes with the contents. */
static void read_contents(struct meeting *meeting)
{
	uint8_t byte;

	if (access_process_vm(meeting->mm, meeting->address, &byte, 1, false) != 1)
		abort();
}

static void write_contents(struct meeting *meeting)
{
	uint8_t byte = 2;

	if (access_process_vm(meeting->mm, meeting->address, &byte, 1, true) != 1)
		abort();
}

static void a_fault_meets_the_last_use(void **state)
{
	static const struct scene scene = {store_and_swap_out, drop_contents, read_contents,
					   drop_contents};

	(void)state;
	play(&scene);
}

/* The page is back, with its copy in swap. */
static void store_and_swap_in(struct meeting *meeting)
{
	store_and_swap_out(meeting);
	read_contents(meeting);
	assert_int_equal(swap_cached_pages(meeting->test.quire), 1);
}

static void a_write_meets_the_last_mapping(void **state)
{
	static const struct scene scene = {store_and_swap_in, drop_contents, write_contents,
					   drop_contents};

	(void)state;
	play(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_release_meets_the_last_use),
		cmocka_unit_test(a_fault_meets_the_last_use),
		cmocka_unit_test(a_write_meets_the_last_mapping),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
