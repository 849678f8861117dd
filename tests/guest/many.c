/* SPDX-License-Identifier: MIT */
/*
 * Many and large: 60,000 mappings and the limit of their number, a reservation of 1 TiB of which
 * little is touched, page-table pages of far-apart addresses, holes made and filled.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAPPINGS 60000ul
#define TIB (1ul << 40)

static size_t lines_of_maps(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	size_t lines = 0;
	int character;

	if (!maps)
		return 0;
	while ((character = getc(maps)) != EOF)
		lines += character == '\n';
	fclose(maps);
	return lines;
}

static void case_mappings(void)
{
	char *area = map_pages(MAPPINGS, PROT_NONE);
	size_t before = lines_of_maps(), wrong = 0;

	/* Every second page differs from its neighbours, so no two merge. */
	for (size_t i = 0; i < MAPPINGS; i += 2) {
		if (mprotect(area + i * PAGE, PAGE, PROT_READ | PROT_WRITE))
			guest_die("mprotect of page %zu", i);
	}
	show("%zu mappings more", lines_of_maps() - before);
	for (size_t i = 0; i < MAPPINGS; i += 64)
		*(size_t *)(area + i * PAGE) = i;
	for (size_t i = 0; i < MAPPINGS; i += 64)
		wrong += *(size_t *)(area + i * PAGE) != i;
	show("%zu wrong", wrong);
	for (size_t i = 0; i < MAPPINGS; i += 2) {
		if (mprotect(area + i * PAGE, PAGE, PROT_NONE))
			guest_die("mprotect of page %zu", i);
	}
	show("%zu mappings more when all are equal again", lines_of_maps() - before);
	munmap(area, MAPPINGS * PAGE);
}

static size_t split_until_refused(char *area, size_t pages)
{
	for (size_t i = 0; i < pages; i += 2) {
		if (munmap(area + i * PAGE, PAGE))
			return i / 2;
	}
	return pages / 2;
}

static void case_limit(void)
{
	enum {
		pages = 140000
	};
	char *area = map_pages(pages, PROT_NONE);
	size_t splits = split_until_refused(area, pages);

	show("a split is refused: %s, after %s", error_name(errno),
	     splits > 65000 && splits <= 65530 ? "about 65,530" : "another number");
	show("one more mapping: %s",
	     answer(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
			    ? -1
			    : 0));
	show("away with the area: %s", answer(munmap(area, pages * PAGE)));
	area = map_pages(1, PROT_READ);
	show("mapped again: %d", area[0]);
	munmap(area, PAGE);
}

static void case_one_tib(void)
{
	char *area = mmap(NULL, TIB, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t wrong = 0;
	struct caught caught;

	show("1 TiB: %s", area == MAP_FAILED ? error_name(errno) : "mapped");
	if (area == MAP_FAILED)
		return;
	for (size_t i = 0; i < 500; i++)
		*(size_t *)(area + i * (TIB / 500) / 8 * 8) = i + 1;
	for (size_t i = 0; i < 500; i++)
		wrong += *(size_t *)(area + i * (TIB / 500) / 8 * 8) != i + 1;
	show("500 places: %zu wrong, the last byte %d", wrong, area[TIB - 1]);
	show("give back the upper half: %s",
	     answer(madvise(area + TIB / 2, TIB / 2, MADV_DONTNEED)));
	wrong = 0;
	for (size_t i = 0; i < 500; i++)
		wrong += *(size_t *)(area + i * (TIB / 500) / 8 * 8) != (i <= 250 ? i + 1 : 0);
	show("%zu wrong", wrong);
	show("protect a quarter: %s", answer(mprotect(area + TIB / 4, TIB / 4, PROT_READ)));
	caught = try_write(area + TIB / 4 + 5);
	show("write there: %s", describe(&caught, area));
	show("unmap the middle: %s", answer(munmap(area + TIB / 4, TIB / 2)));
	caught = try_read(area + TIB / 2);
	show("read there: %s", describe(&caught, area));
	show("the first place: %zu", *(size_t *)area);
	munmap(area, TIB);
}

/* Without the right to raw I/O, which lets root have it on the plain kernel. */
static void show_page_zero(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct old[2], fewer[2];
	const char *page;

	if (syscall(SYS_capget, &header, old))
		guest_die("capget");
	memcpy(fewer, old, sizeof(fewer));
	fewer[0].effective &= ~(1u << CAP_SYS_RAWIO);
	if (syscall(SYS_capset, &header, fewer))
		guest_die("capset");
	page = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	show("page 0: %s", answer(page == MAP_FAILED ? -1 : 0));
	syscall(SYS_capset, &header, old);
}

/* With that right, if the user has it: memory like any other. */
static void show_low_pages(void)
{
	/* mov $7, %eax; ret */
	static const char code[] = "\xb8\x07\0\0\0\xc3";
	/* The compiler knows about null pointers more than is true here. */
	volatile char *null;
	char *page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	char *other = map_pages(1, PROT_READ | PROT_WRITE);
	const int file = new_file(0);
	struct caught caught;

	__asm__("xor %k0, %k0" : "=r"(null));
	show("low pages: %s", answer(page == MAP_FAILED ? -1 : 0));
	if (page == MAP_FAILED)
		return;
	caught = try_write((char *)null);
	show("write: %s", describe(&caught, NULL));
	for (size_t i = 0; i < sizeof(code); i++)
		null[i] = code[i];
	show("called: %d", ((int (*)(void))(uintptr_t)null)());
	show("written by a call: %s", answer(syscall(SYS_pwrite64, file, null, sizeof(code), 0)));
	show("read by a call: %s", answer(syscall(SYS_pread64, file, null + 1, 3, 0)));
	show("as it should be: %d", null[1] == code[0] && null[2] == code[1]);
	*other = 'o';
	show("moved onto it: %d",
	     mremap(other, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, null) == NULL);
	show("%c", *null);
	show("protect: %s", answer(mprotect((char *)null, PAGE, PROT_NONE)));
	caught = try_read((char *)null);
	show("read: %s", describe(&caught, NULL));
	show("unmap: %s", answer(munmap((char *)null, 2 * PAGE)));
	caught = try_read((char *)null + 1);
	show("read: %s", describe(&caught, NULL));
}

static void case_far_apart(void)
{
	static const uintptr_t places[] = {0x10000, 0x40000000, 0x8000000000, 0x100000000000,
					   0x600000000000};
	size_t count = sizeof(places) / sizeof(*places);

	for (size_t i = 0; i < count; i++) {
		char *memory = mmap((void *)places[i], PAGE, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

		show("at %#lx: %s", places[i], memory == MAP_FAILED ? error_name(errno) : "mapped");
		if (memory != MAP_FAILED)
			fill(memory, PAGE, (unsigned int)i);
	}
	for (size_t i = 0; i < count; i++) {
		show("at %#lx: %zu wrong", places[i],
		     count_wrong((char *)places[i], PAGE, (unsigned int)i));
		munmap((void *)places[i], PAGE);
	}
	show_page_zero();
	show_low_pages();
	show("beyond the last page: %s",
	     answer(mmap((void *)0x7ffffffff000, PAGE, PROT_READ,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED
			    ? -1
			    : 0));
}

/* What was written stays, however much is asked for after it: with a small budget most of it has to
 * go out and in. */
static void case_working_set(void)
{
	enum {
		pages = 6000
	};
	char *area = map_pages(pages, PROT_READ | PROT_WRITE);
	size_t wrong = 0;
	uint64_t state = 1;

	for (size_t i = 0; i < pages; i++)
		fill(area + i * PAGE, 64, (unsigned int)i);
	for (size_t i = 0; i < 5000; i++) {
		size_t page;

		state = state * 6364136223846793005u + 1442695040888963407u;
		page = (state >> 33) % pages;
		wrong += count_wrong(area + page * PAGE, 64, (unsigned int)page);
	}
	for (size_t i = 0; i < pages; i++)
		wrong += count_wrong(area + i * PAGE, 64, (unsigned int)i);
	show("%zu wrong bytes", wrong);
	munmap(area, pages * PAGE);
}

int main(int argc, char **argv)
{
	static const struct guest_case cases[] = {
		{"mappings", case_mappings},       {"limit", case_limit},
		{"one_tib", case_one_tib},         {"far_apart", case_far_apart},
		{"working_set", case_working_set}, {NULL, NULL},
	};

	return guest_main(argc, argv, cases);
}
