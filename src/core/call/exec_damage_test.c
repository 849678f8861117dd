/* SPDX-License-Identifier: MIT */
/*
 * Tests of exec with images that are not what they should be: every header field broken in turn,
 * files cut short, and thousands of mutated images.
 */
#include "core/call/exec_fixture_test.h"

#define MUTATIONS 20000

/* One way to break the image of make_image(image, 3), the third segment being PT_INTERP. */
struct damage {
	const char *what;
	size_t offset, bytes;
	uint64_t value;
	int error; /* of exec; 0: it runs all the same */
	bool lost; /* and the old program is gone by then */
};

#define HEADER(field, value) \
#field, offsetof(struct elf64_header, field), sizeof(((struct elf64_header *)0)->field), \
		value
#define SEGMENT(i, field, value) \
#field, 64 + (i)*56 + offsetof(struct elf64_program_header, field), \
		sizeof(((struct elf64_program_header *)0)->field), value

/* clang-format off */
static const struct damage damages[] = {
	{"magic", 0, 1, 0x7e, ENOEXEC, false},
	{"class", 4, 1, 1, 0, true},
	{"byte order", 5, 1, 2, 0, true},
	{"ident version", 6, 1, 0, 0, true},
	{HEADER(e_type, 1), ENOEXEC, false},
	{HEADER(e_type, 4), ENOEXEC, false},
	{HEADER(e_machine, 3), ENOEXEC, false},
	{HEADER(e_version, 2), 0, true},
	{HEADER(e_shoff, UINT64_MAX), 0, true},
	{HEADER(e_entry, TASK_SIZE_MAX), EINVAL, true},
	{HEADER(e_phoff, IMAGE_BYTES - 100), ENOEXEC, false},
	{HEADER(e_phoff, UINT64_MAX - 10), ENOEXEC, false},
	{HEADER(e_phentsize, 64), ENOEXEC, false},
	{HEADER(e_phnum, 0), ENOEXEC, false},
	{HEADER(e_phnum, 1171), ENOEXEC, false},
	{HEADER(e_phnum, 400), ENOEXEC, false},
	{SEGMENT(0, p_vaddr, 0), ENOMEM, true},
	{SEGMENT(0, p_vaddr, TEXT + 1), EINVAL, true},
	{SEGMENT(0, p_vaddr, DATA + 0x10000 - 0xe10), 0, true},
	{SEGMENT(0, p_offset, IMAGE_BYTES), 0, true},
	{SEGMENT(0, p_offset, (uint64_t)INT64_MAX & PAGE_MASK), EINVAL, true},
	{SEGMENT(0, p_filesz, 0x1801), EINVAL, true},
	{SEGMENT(0, p_filesz, UINT64_MAX), EINVAL, true},
	{SEGMENT(0, p_memsz, DATA - TEXT + PAGE_SIZE), 0, true},
	{SEGMENT(0, p_memsz, UINT64_MAX - TEXT), EINVAL, true},
	{SEGMENT(1, p_vaddr, TASK_SIZE_MAX - 0x1f0), EINVAL, true},
	{SEGMENT(1, p_memsz, TASK_SIZE_MAX), EINVAL, true},
	{SEGMENT(1, p_align, 0x1001), 0, true},
	{SEGMENT(1, p_align, (uint64_t)1 << 63), 0, true},
	{SEGMENT(2, p_filesz, 1), ENOEXEC, false},
	{SEGMENT(2, p_filesz, 4097), ENOEXEC, false},
	{SEGMENT(2, p_filesz, 4), ENOEXEC, false},
	{SEGMENT(2, p_offset, IMAGE_BYTES - 3), EIO, false},
	{SEGMENT(2, p_offset, UINT64_MAX), EINVAL, false},
};
/* clang-format on */

/* As on Linux: headers that cannot be are refused, segments that cannot be end the process. */
static void test_damaged_headers(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(damages); i++) {
		const struct damage *damage = &damages[i];
		struct quire_exec exec = {0};
		struct image image;
		int error;

		map_anon(f, 0, 1);
		store_pages(f, 0, 1, 33);
		make_dynamic_image(&image);
		/* What gets so far would need the interpreter. */
		if (damage->lost)
			image.segments[2].p_type = 0;
		memcpy(image.data + damage->offset, &damage->value, damage->bytes);
		errno = 0;
		error = exec_image(f, &image, &exec) ? errno : 0;
		if (error != damage->error || exec.lost != damage->lost)
			fail_msg("%s %#llx: errno %d, lost %d", damage->what,
				 (unsigned long long)damage->value, error, exec.lost);
		assert_int_equal(load(f, 0), damage->lost ? MAPERR : 33);
		free(image.data);
	}
}

static void test_short_files_are_refused(void **state)
{
	struct fixture *f = *state;
	const size_t sizes[] = {1, 16, 63, 64, 119, 175};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct quire_exec exec = {0};
		struct image image;

		make_image(&image, 2);
		image.bytes = sizes[i];
		assert_error(exec_image(f, &image, &exec), ENOEXEC);
		free(image.data);
	}
}

static void mutate(struct image *image, struct prng *prng)
{
	static const uint64_t values[] = {
		0, 1, 0xfff, 0x1000, 0x7fffffff, 0x7ffffffff000, UINT64_MAX, (uint64_t)1 << 63};
	uint64_t changes = 1 + prng_below(prng, 4);

	while (changes--) {
		const size_t at = prng_below(prng, 64 + 3 * 56);
		const size_t word = at & ~(size_t)7;

		switch (prng_below(prng, 4)) {
		case 0:
			image->data[at] = (char)prng_next(prng);
			break;
		case 1:
			image->data[at] ^= (char)(1u << prng_below(prng, 8));
			break;
		case 2:
			memcpy(image->data + word, &values[prng_below(prng, ARRAY_SIZE(values))],
			       8);
			break;
		default:
			image->bytes = 1 + prng_below(prng, IMAGE_BYTES);
		}
	}
}

static quire_file *open_file(void *context, const char *path)
{
	(void)path;
	return quire_file_get(context);
}

/* Brings the file from the last mutation's state to this one: mutations are at its beginning. */
static void write_mutant(quire_file *file, const struct image *image)
{
	if (quire_file_size(file) != IMAGE_BYTES)
		assert_int_equal(quire_pwrite(file, NULL, image->data, IMAGE_BYTES, 0),
				 IMAGE_BYTES);
	else
		assert_int_equal(quire_pwrite(file, NULL, image->data, 512, 0), 512);
	if (image->bytes != IMAGE_BYTES)
		assert_ok(quire_ftruncate(file, image->bytes));
}

static void test_mutated_images(void **state)
{
	struct fixture *f = *state;
	struct image interpreter, image;
	struct prng prng = {99};
	uint32_t loaded = 0;
	quire_file *interpreter_file, *file;

	make_image(&interpreter, 2);
	interpreter.header->e_type = ELF_ET_DYN;
	interpreter_file = file_of(f, interpreter.data, interpreter.bytes);
	file = file_of(f, interpreter.data, interpreter.bytes);
	free(interpreter.data);
	for (int i = 0; i < MUTATIONS; i++) {
		struct quire_exec exec = {.open = open_file, .context = interpreter_file};
		int result;

		make_dynamic_image(&image);
		/* A third is position independent, and a third has the third segment as bss. */
		if (i % 3 == 1)
			image.header->e_type = ELF_ET_DYN;
		if (i % 3 == 2)
			image.segments[2].p_type = ELF_PT_LOAD;
		mutate(&image, &prng);
		write_mutant(file, &image);
		free(image.data);
		result = exec_file(f, file, &exec);
		if (result && errno != ENOEXEC && errno != ENOMEM && errno != EINVAL &&
		    errno != EIO && errno != EACCES)
			fail_msg("image %d: errno %d", i, errno);
		loaded += !result;
		if (i % 2000 == 0)
			test_instance_check(&f->instance);
	}
	quire_close(interpreter_file);
	quire_close(file);
	assert_true(loaded > MUTATIONS / 20 && loaded < MUTATIONS * 19 / 20);
}

#define rule(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		rule(test_damaged_headers),
		rule(test_short_files_are_refused),
		rule(test_mutated_images),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
