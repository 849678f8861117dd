/* SPDX-License-Identifier: MIT */
/*
 * Tests of the vDSO: the image is one that C libraries can use where it lies, and the clocks follow
 * the host's, never backwards.
 */
#include "run/exec/vdso/clock_update.h"

#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <cmocka.h>

#include "base/types.h"

extern const unsigned char vdso_image[];
extern const uint64_t vdso_image_size;

/* The mapped image, with its clock page in the page before it. */
struct mapped {
	unsigned char *image;
	struct clock_page *page;
	const Elf64_Dyn *dynamic;
	const char *strings;
	const Elf64_Sym *symbols;
	const Elf64_Half *versions;
	const uint32_t *hash;
};

static const void *dynamic_pointer(const struct mapped *mapped, int64_t tag)
{
	for (const Elf64_Dyn *at = mapped->dynamic; at->d_tag != DT_NULL; at++)
		if (at->d_tag == tag)
			return mapped->image + at->d_un.d_ptr;
	return NULL;
}

static void map_image(struct mapped *mapped)
{
	const Elf64_Ehdr *header = (const void *)vdso_image;
	const Elf64_Phdr *segments = (const void *)(vdso_image + header->e_phoff);
	const size_t bytes = PAGE_SIZE + PAGE_ALIGN(vdso_image_size);
	unsigned char *memory =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(memory, MAP_FAILED);
	*mapped = (struct mapped){.image = memory + PAGE_SIZE, .page = (void *)memory};
	memcpy(mapped->image, vdso_image, vdso_image_size);
	assert_int_equal(mprotect(mapped->image, bytes - PAGE_SIZE, PROT_READ | PROT_EXEC), 0);
	for (unsigned i = 0; i < header->e_phnum; i++)
		if (segments[i].p_type == PT_DYNAMIC)
			mapped->dynamic = (const void *)(mapped->image + segments[i].p_vaddr);
	assert_non_null(mapped->dynamic);
	mapped->strings = dynamic_pointer(mapped, DT_STRTAB);
	mapped->symbols = dynamic_pointer(mapped, DT_SYMTAB);
	mapped->versions = dynamic_pointer(mapped, DT_VERSYM);
	mapped->hash = dynamic_pointer(mapped, DT_HASH);
}

static void unmap_image(struct mapped *mapped)
{
	munmap(mapped->page, PAGE_SIZE + PAGE_ALIGN(vdso_image_size));
}

static void *find_function(const struct mapped *mapped, const char *name)
{
	/* The second word of the table is the number of symbols. */
	for (uint32_t i = 0; i < mapped->hash[1]; i++) {
		const Elf64_Sym *symbol = &mapped->symbols[i];

		if (strcmp(mapped->strings + symbol->st_name, name) == 0) {
			assert_int_equal(ELF64_ST_TYPE(symbol->st_info), STT_FUNC);
			assert_int_equal(ELF64_ST_BIND(symbol->st_info), STB_GLOBAL);
			assert_true(symbol->st_value + symbol->st_size <= vdso_image_size);
			/* The version behind the file's own. */
			assert_int_equal(mapped->versions[i], 2);
			return mapped->image + symbol->st_value;
		}
	}
	fail_msg("%s is missing", name);
	return NULL;
}

static void test_image(void **state)
{
	static const char *const names[] = {"__vdso_clock_gettime", "__vdso_clock_getres",
					    "__vdso_gettimeofday", "__vdso_time", "__vdso_getcpu"};
	const Elf64_Ehdr *header = (const void *)vdso_image;
	const Elf64_Phdr *segments = (const void *)(vdso_image + header->e_phoff);
	const Elf64_Verdef *version;
	const Elf64_Verdaux *version_name;
	struct mapped mapped;
	unsigned loads = 0;

	(void)state;
	map_image(&mapped);
	assert_memory_equal(header->e_ident, ELFMAG, SELFMAG);
	assert_int_equal(header->e_type, ET_DYN);
	for (unsigned i = 0; i < header->e_phnum; i++) {
		if (segments[i].p_type != PT_LOAD)
			continue;
		loads++;
		assert_int_equal(segments[i].p_flags, PF_R | PF_X);
		assert_int_equal(segments[i].p_vaddr, 0);
		assert_int_equal(segments[i].p_offset, 0);
		assert_true(segments[i].p_filesz <= vdso_image_size);
		assert_int_equal(segments[i].p_memsz, segments[i].p_filesz);
	}
	assert_int_equal(loads, 1);
	for (const Elf64_Dyn *at = mapped.dynamic; at->d_tag != DT_NULL; at++) {
		assert_int_not_equal(at->d_tag, DT_REL);
		assert_int_not_equal(at->d_tag, DT_RELA);
		assert_int_not_equal(at->d_tag, DT_JMPREL);
		assert_int_not_equal(at->d_tag, DT_TEXTREL);
		assert_int_not_equal(at->d_tag, DT_NEEDED);
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_non_null(find_function(&mapped, names[i]));
	version = dynamic_pointer(&mapped, DT_VERDEF);
	version = (const void *)((const char *)version + version->vd_next);
	version_name = (const void *)((const char *)version + version->vd_aux);
	assert_int_equal(version->vd_ndx, 2);
	assert_string_equal(mapped.strings + version_name->vda_name, "LINUX_2.6");
	unmap_image(&mapped);
}

static uint64_t ns_of(const struct timespec *time)
{
	return (uint64_t)time->tv_sec * CLOCK_PAGE_SECOND + (uint64_t)time->tv_nsec;
}

/* Without data, the functions are the system calls. */
static void test_without_data(void **state)
{
	int (*get)(int, struct timespec *);
	int64_t (*get_time)(int64_t *);
	struct timespec before, between, after;
	struct mapped mapped;

	(void)state;
	map_image(&mapped);
	get = (int (*)(int, struct timespec *))find_function(&mapped, "__vdso_clock_gettime");
	get_time = (int64_t(*)(int64_t *))find_function(&mapped, "__vdso_time");
	clock_gettime(CLOCK_MONOTONIC, &before);
	assert_int_equal(get(CLOCK_MONOTONIC, &between), 0);
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert_in_range(ns_of(&between), ns_of(&before), ns_of(&after));
	assert_int_equal(get(99, &between), -EINVAL);
	assert_true(get_time(NULL) > 1000000000);
	unmap_image(&mapped);
}

/* Far more than the clocks may differ, far less than a mistake would make them differ. */
#define SLACK_NS 1000000

/* With data, no clock runs backwards, from one data to the next either, and all agree with the
 * host's. */
static void test_clocks_run_forwards(void **state)
{
	/* A clock, and the host's that it is never ahead of: the host moves its coarse ones at
	 * ticks of a timer, which come late on a busy machine. */
	static const struct {
		int clock, limit;
	} clocks[] = {
		{CLOCK_REALTIME, CLOCK_REALTIME},          {CLOCK_MONOTONIC, CLOCK_MONOTONIC},
		{CLOCK_BOOTTIME, CLOCK_BOOTTIME},          {CLOCK_TAI, CLOCK_TAI},
		{CLOCK_MONOTONIC_COARSE, CLOCK_MONOTONIC}, {CLOCK_REALTIME_COARSE, CLOCK_REALTIME},
	};
	int (*get)(int, struct timespec *);
	uint64_t last[ARRAY_SIZE(clocks)] = {0};
	struct clock_update update;
	struct mapped mapped;
	uint32_t changes = 0;
	uint64_t ns;

	(void)state;
	map_image(&mapped);
	get = (int (*)(int, struct timespec *))find_function(&mapped, "__vdso_clock_gettime");
	clock_update_init(&update, mapped.page);
	for (uint32_t turn = 0; changes < 10; turn++) {
		const size_t i = turn % ARRAY_SIZE(clocks);
		struct timespec before, time, after;

		/* The rate is known as soon as it was measured for long enough. */
		while (!clock_page_read(mapped.page, CLOCK_MONOTONIC, &ns)) {
			clock_update(&update);
			changes++;
		}
		clock_gettime(clocks[i].clock, &before);
		assert_int_equal(get(clocks[i].clock, &time), 0);
		clock_gettime(clocks[i].limit, &after);
		/* It was the system call, whose clock Quire would have made go on from the data. */
		if (!clock_page_read(mapped.page, CLOCK_MONOTONIC, &ns))
			continue;
		assert_true(ns_of(&time) >= last[i]);
		assert_in_range(ns_of(&time),
				ns_of(&before) - SLACK_NS - atomic_load(&mapped.page->coarse),
				ns_of(&after) + SLACK_NS);
		last[i] = ns_of(&time);
	}
	clock_update_destroy(&update);
	unmap_image(&mapped);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_image),
		cmocka_unit_test(test_without_data),
		cmocka_unit_test(test_clocks_run_forwards),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
