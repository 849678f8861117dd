/* SPDX-License-Identifier: MIT */
/*
 * Tests of exec: images made by hand, every header field broken in turn, thousands of mutated ones,
 * and real programs of the host with their interpreter, compared with what their files say.
 */
#include "core/call/elf.h"
#include "core/call/fixture_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TEXT 0x401000u
#define DATA 0x403e10u
#define BSS_BYTES 0x5000u
#define IMAGE_BYTES 0x4000u
#define MUTATIONS 20000

/* A file as it would lie on disk. */
struct image {
	size_t bytes;
	char *data;
	struct elf64_header *header;
	struct elf64_program_header *segments;
};

/* A static program: text and read-only headers in one segment, data and bss in another. */
static void make_image(struct image *image, uint32_t segments)
{
	image->bytes = IMAGE_BYTES;
	image->data = calloc(1, image->bytes);
	assert_non_null(image->data);
	image->header = (struct elf64_header *)(void *)image->data;
	image->segments = (struct elf64_program_header *)(void *)(image->data + 64);
	*image->header = (struct elf64_header){
		.e_ident = {0x7f, 'E', 'L', 'F', 2, 1, 1},
		.e_type = ELF_ET_EXEC,
		.e_machine = ELF_EM_X86_64,
		.e_version = 1,
		.e_entry = TEXT + 0x10,
		.e_phoff = 64,
		.e_ehsize = 64,
		.e_phentsize = 56,
		.e_phnum = (uint16_t)segments,
	};
	image->segments[0] = (struct elf64_program_header){
		.p_type = ELF_PT_LOAD,
		.p_flags = ELF_PF_R | ELF_PF_X,
		.p_vaddr = TEXT - 0x1000,
		.p_filesz = 0x1800,
		.p_memsz = 0x1800,
		.p_align = 0x1000,
	};
	image->segments[1] = (struct elf64_program_header){
		.p_type = ELF_PT_LOAD,
		.p_flags = ELF_PF_R | ELF_PF_W,
		.p_offset = 0x2e10,
		.p_vaddr = DATA,
		.p_filesz = 0x300,
		.p_memsz = 0x300 + BSS_BYTES,
		.p_align = 0x1000,
	};
	memset(image->data + 0x1010, 0xcc, 0x100);
	memset(image->data + 0x2e10, 0x77, 0x11f0);
}

static quire_file *file_of(struct fixture *f, const void *data, size_t bytes)
{
	static uint64_t inode = 100;
	struct quire_store *store;
	quire_file *file;

	assert_ok(quire_memory_store_create(0, &store));
	assert_ok(quire_open(f->quire, "image", 9, inode++, store, QUIRE_O_READ | QUIRE_O_WRITE,
			     &file));
	assert_int_equal(quire_pwrite(file, NULL, data, bytes, 0), bytes);
	return file;
}

static char *no_strings[] = {NULL};
static char *image_argv[] = {"image", NULL};

static int exec_file(struct fixture *f, quire_file *file, struct quire_exec *exec)
{
	exec->file = file;
	if (!exec->path)
		exec->path = "/bin/image";
	if (!exec->argv)
		exec->argv = image_argv;
	if (!exec->envp)
		exec->envp = no_strings;
	return quire_exec(f->mm, exec);
}

static int exec_image(struct fixture *f, const struct image *image, struct quire_exec *exec)
{
	quire_file *file = file_of(f, image->data, image->bytes);
	int result = exec_file(f, file, exec);
	int error = errno;

	quire_close(file);
	errno = error;
	return result;
}

static void peek(struct fixture *f, uint64_t address, void *buffer, uint64_t bytes)
{
	assert_int_equal(quire_read_memory(f->mm, address, buffer, bytes), bytes);
}

static uint64_t peek_word(struct fixture *f, uint64_t address)
{
	uint64_t word;

	peek(f, address, &word, sizeof(word));
	return word;
}

static void assert_string(struct fixture *f, uint64_t address, const char *wanted)
{
	char buffer[256];

	assert_true(strlen(wanted) < sizeof(buffer));
	peek(f, address, buffer, strlen(wanted) + 1);
	assert_string_equal(buffer, wanted);
}

/* The value of an entry of the auxiliary vector; fails when it is not there. */
static uint64_t auxv(struct fixture *f, uint64_t stack_pointer, uint64_t type)
{
	uint64_t at = stack_pointer + 8 * (peek_word(f, stack_pointer) + 2);

	while (peek_word(f, at))
		at += 8;
	for (at += 8; peek_word(f, at); at += 16)
		if (peek_word(f, at) == type)
			return peek_word(f, at + 8);
	fail_msg("no auxv entry %d", (int)type);
	return 0;
}

static void assert_empty(struct fixture *f)
{
	assert_int_equal(f->mm->map_count, 0);
	assert_int_equal(f->mm->total_vm, 0);
}

static void test_static_image(void **state)
{
	struct fixture *f = *state;
	struct quire_exec exec = {0};
	struct image image;
	uint8_t bytes[0x400];

	make_image(&image, 2);
	assert_ok(exec_image(f, &image, &exec));
	free(image.data);
	assert_int_equal(exec.entry, TEXT + 0x10);
	peek(f, TEXT + 0x10, bytes, 4);
	assert_int_equal(bytes[3], 0xcc);
	/* The file's data, then zeroes, though the file goes on. */
	peek(f, DATA, bytes, sizeof(bytes));
	assert_int_equal(bytes[0x2ff], 0x77);
	for (size_t i = 0x300; i < sizeof(bytes); i++)
		assert_int_equal(bytes[i], 0);
	assert_int_equal(peek_word(f, DATA + 0x300 + BSS_BYTES - 8), 0);
	assert_int_equal(vma_lookup(f->mm, TEXT)->vm_flags & VM_ACCESS_FLAGS, VM_READ | VM_EXEC);
	assert_int_equal(vma_lookup(f->mm, DATA)->vm_flags & VM_ACCESS_FLAGS, VM_READ | VM_WRITE);

	assert_int_equal(f->mm->start_code, TEXT - 0x1000);
	assert_int_equal(f->mm->end_code, TEXT + 0x800);
	assert_int_equal(f->mm->start_data, DATA);
	assert_int_equal(f->mm->end_data, DATA + 0x300);
	assert_int_equal(f->mm->start_brk, PAGE_ALIGN(DATA + 0x300 + BSS_BYTES));
	assert_int_equal(f->mm->brk, f->mm->start_brk);
	assert_int_equal(quire_brk(f->mm, f->mm->brk + 100), f->mm->start_brk + 100);
	/* The heap lies beside bss, in a VMA of its own. */
	assert_int_equal(vma_lookup(f->mm, f->mm->start_brk - 1)->vm_end, f->mm->start_brk);
	assert_int_equal(vma_lookup(f->mm, f->mm->start_brk)->vm_start, f->mm->start_brk);
	quire_brk(f->mm, f->mm->brk + PAGE_SIZE);
	assert_int_equal(vma_lookup(f->mm, f->mm->start_brk)->vm_end - f->mm->start_brk,
			 2 * PAGE_SIZE);
}

static void test_stack_contents(void **state)
{
	struct fixture *f = *state;
	char *argv[] = {"image", "-x", "", NULL};
	char *envp[] = {"HOME=/", "EMPTY=", NULL};
	struct quire_exec exec = {.argv = argv, .envp = envp, .path = "/usr/bin/image"};
	struct image image;
	uint64_t sp;

	make_image(&image, 2);
	assert_ok(exec_image(f, &image, &exec));
	free(image.data);
	sp = exec.stack_pointer;
	assert_int_equal(sp % 16, 0);
	assert_int_equal(f->mm->start_stack, sp);
	assert_int_equal(peek_word(f, sp), 3);
	assert_int_equal(peek_word(f, sp + 8), f->mm->arg_start);
	for (int i = 0; i < 3; i++)
		assert_string(f, peek_word(f, sp + 8 + 8 * (uint64_t)i), argv[i]);
	assert_int_equal(peek_word(f, sp + 32), 0);
	assert_int_equal(peek_word(f, sp + 40), f->mm->env_start);
	assert_string(f, peek_word(f, sp + 40), "HOME=/");
	assert_string(f, peek_word(f, sp + 48), "EMPTY=");
	assert_int_equal(peek_word(f, sp + 56), 0);
	assert_int_equal(f->mm->arg_end, f->mm->env_start);
	assert_int_equal(f->mm->arg_end - f->mm->arg_start, strlen("image") + strlen("-x") + 3);
	assert_int_equal(f->mm->env_end - f->mm->env_start, strlen("HOME=/EMPTY=") + 2);

	assert_int_equal(auxv(f, sp, 3), TEXT - 0x1000 + 64);
	assert_int_equal(auxv(f, sp, 4), 56);
	assert_int_equal(auxv(f, sp, 5), 2);
	assert_int_equal(auxv(f, sp, 6), PAGE_SIZE);
	assert_int_equal(auxv(f, sp, 7), 0);
	assert_int_equal(auxv(f, sp, 9), TEXT + 0x10);
	assert_int_equal(auxv(f, sp, 17), 100);
	assert_int_equal(auxv(f, sp, 23), 0);
	assert_true(peek_word(f, auxv(f, sp, 25)) | peek_word(f, auxv(f, sp, 25) + 8));
	assert_string(f, auxv(f, sp, 31), "/usr/bin/image");
}

static void test_stack_grows(void **state)
{
	struct fixture *f = *state;
	struct quire_exec exec = {0};
	struct vm_area_struct *vma;
	struct image image;
	uint32_t error = 0;

	make_image(&image, 2);
	assert_ok(exec_image(f, &image, &exec));
	free(image.data);
	vma = vma_lookup(f->mm, exec.stack_pointer);
	assert_true(vma->vm_flags & VM_GROWSDOWN);
	assert_false(vma->vm_flags & VM_EXEC);
	assert_int_equal(vma_pages(vma), 33);
	assert_int_equal(f->mm->stack_vm, 33);
	test_store(f->mm, vma->vm_start - PAGES(10), 7, &error);
	assert_int_equal(error, 0);
	assert_int_equal(vma_pages(vma), 43);
}

static void test_executable_stack(void **state)
{
	struct fixture *f = *state;
	struct quire_exec exec = {0};
	struct image image;

	make_image(&image, 3);
	image.segments[2] = (struct elf64_program_header){
		.p_type = ELF_PT_GNU_STACK,
		.p_flags = ELF_PF_R | ELF_PF_W | ELF_PF_X,
	};
	assert_ok(exec_image(f, &image, &exec));
	assert_true(vma_lookup(f->mm, exec.stack_pointer)->vm_flags & VM_EXEC);
	image.segments[2].p_flags = ELF_PF_R | ELF_PF_W;
	assert_ok(exec_image(f, &image, &exec));
	assert_false(vma_lookup(f->mm, exec.stack_pointer)->vm_flags & VM_EXEC);
	free(image.data);
}

static void test_strings_have_limits(void **state)
{
	struct fixture *f = *state;
	struct quire_exec exec = {0};
	struct image image;
	static char *many[2000];
	char *longest = malloc(131073);
	char *long_argv[] = {"image", longest, NULL};

	make_image(&image, 2);
	map_anon(f, 0, 1);
	assert_non_null(longest);
	memset(longest, 'x', 131072);
	longest[131072] = 0;
	exec.argv = long_argv;
	assert_error(exec_image(f, &image, &exec), E2BIG);
	longest[131071] = 0;
	exec.argv = image_argv;
	for (int i = 0; i < 20; i++)
		many[i] = longest;
	exec.envp = many;
	assert_error(exec_image(f, &image, &exec), E2BIG);
	/* The old address space is still there. */
	assert_int_equal(load(f, 0), 0);
	many[10] = NULL;
	assert_ok(exec_image(f, &image, &exec));
	assert_int_equal(f->mm->env_end - f->mm->env_start, 10 * 131072);
	free(longest);
	free(image.data);
}

static void test_no_arguments_is_one_empty(void **state)
{
	struct fixture *f = *state;
	struct quire_exec exec = {.argv = no_strings};
	struct image image;

	make_image(&image, 2);
	assert_ok(exec_image(f, &image, &exec));
	free(image.data);
	assert_int_equal(peek_word(f, exec.stack_pointer), 1);
	assert_string(f, peek_word(f, exec.stack_pointer + 8), "");
}

/* One way to break the image of make_image(image, 3), the third segment being PT_INTERP. */
struct damage {
	const char *what;
	size_t offset, bytes;
	uint64_t value;
};

#define HEADER(field, value) \
	{ \
#field, offsetof(struct elf64_header, field), \
			sizeof(((struct elf64_header *)0)->field), value \
	}
#define SEGMENT(i, field, value) \
	{ \
#field, 64 + (i)*56 + offsetof(struct elf64_program_header, field), \
			sizeof(((struct elf64_program_header *)0)->field), value \
	}

static const struct damage damages[] = {
	{"magic", 0, 1, 0x7e},
	{"class", 4, 1, 1},
	{"byte order", 5, 1, 2},
	{"ident version", 6, 1, 0},
	HEADER(e_type, 1),
	HEADER(e_type, 4),
	HEADER(e_machine, 3),
	HEADER(e_version, 2),
	HEADER(e_entry, TASK_SIZE_MAX),
	HEADER(e_phoff, IMAGE_BYTES - 100),
	HEADER(e_phoff, UINT64_MAX - 10),
	HEADER(e_phentsize, 64),
	HEADER(e_phnum, 0),
	HEADER(e_phnum, 1171),
	HEADER(e_phnum, 400),
	SEGMENT(0, p_vaddr, 0),
	SEGMENT(0, p_vaddr, TEXT + 1),
	SEGMENT(0, p_vaddr, DATA + 0x10000 - 0xe10),
	SEGMENT(0, p_offset, IMAGE_BYTES),
	SEGMENT(0, p_offset, (uint64_t)INT64_MAX &PAGE_MASK),
	SEGMENT(0, p_filesz, 0x1801),
	SEGMENT(0, p_filesz, UINT64_MAX),
	SEGMENT(0, p_memsz, 0x10000000),
	SEGMENT(0, p_memsz, UINT64_MAX - TEXT),
	SEGMENT(1, p_vaddr, TASK_SIZE_MAX - 0x1f0),
	SEGMENT(1, p_memsz, TASK_SIZE_MAX),
	SEGMENT(1, p_align, 0x1001),
	SEGMENT(1, p_align, (uint64_t)1 << 63),
	SEGMENT(2, p_filesz, 1),
	SEGMENT(2, p_filesz, 4097),
	SEGMENT(2, p_filesz, 4),
	SEGMENT(2, p_offset, IMAGE_BYTES - 3),
};

static void make_dynamic_image(struct image *image)
{
	make_image(image, 3);
	image->segments[2] = (struct elf64_program_header){
		.p_type = ELF_PT_INTERP,
		.p_offset = 0x200,
		.p_filesz = sizeof("/ld.so"),
	};
	memcpy(image->data + 0x200, "/ld.so", sizeof("/ld.so"));
}

static void test_damaged_headers_are_refused(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 1);
	store_pages(f, 0, 1, 33);
	for (size_t i = 0; i < ARRAY_SIZE(damages); i++) {
		struct quire_exec exec = {0};
		struct image image;

		make_dynamic_image(&image);
		memcpy(image.data + damages[i].offset, &damages[i].value, damages[i].bytes);
		errno = 0;
		if (exec_image(f, &image, &exec) != -1 || errno != ENOEXEC)
			fail_msg("%s %#llx: errno %d", damages[i].what,
				 (unsigned long long)damages[i].value, errno);
		assert_int_equal(load(f, 0), 33);
		free(image.data);
	}
}

static void test_short_files_are_refused(void **state)
{
	struct fixture *f = *state;
	const size_t sizes[] = {1, 16, 63, 64, 119, 175, 0x17ff, 0x2fff};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct quire_exec exec = {0};
		struct image image;

		make_image(&image, 2);
		image.bytes = sizes[i];
		assert_error(exec_image(f, &image, &exec), ENOEXEC);
		free(image.data);
	}
}

/* An interpreter that the test gives; NULL: there is none. */
struct opener {
	struct fixture *f;
	const struct image *image;
	char path[64];
};

static quire_file *open_image(void *context, const char *path)
{
	struct opener *opener = context;

	snprintf(opener->path, sizeof(opener->path), "%s", path);
	if (!opener->image) {
		errno = ENOENT;
		return NULL;
	}
	return file_of(opener->f, opener->image->data, opener->image->bytes);
}

static void test_interpreter(void **state)
{
	struct fixture *f = *state;
	struct image program, interpreter;
	struct opener opener = {.f = f};
	struct quire_exec exec = {.open = open_image, .context = &opener};
	uint64_t base;

	make_dynamic_image(&program);
	make_image(&interpreter, 2);
	interpreter.header->e_type = ELF_ET_DYN;
	interpreter.header->e_entry = 0x1020;
	interpreter.segments[0].p_vaddr = 0;
	interpreter.segments[1].p_vaddr = 0x3e10;

	assert_error(exec_image(f, &program, &exec), ENOENT);
	assert_string_equal(opener.path, "/ld.so");
	opener.image = &interpreter;
	interpreter.header->e_machine = 3;
	assert_error(exec_image(f, &program, &exec), ELIBBAD);
	interpreter.header->e_machine = ELF_EM_X86_64;
	assert_ok(exec_image(f, &program, &exec));
	base = auxv(f, exec.stack_pointer, 7);
	assert_true(base > DATA && base < f->mm->mmap_base);
	assert_int_equal(exec.entry, base + 0x1020);
	assert_int_equal(auxv(f, exec.stack_pointer, 9), TEXT + 0x10);
	assert_int_equal(peek_word(f, base + 0x3e10), 0x7777777777777777);
	/* The heap follows the program, not the interpreter. */
	assert_int_equal(f->mm->start_brk, PAGE_ALIGN(DATA + 0x300 + BSS_BYTES));
	free(program.data);
	free(interpreter.data);
}

static void test_position_independent(void **state)
{
	struct fixture *f = *state;
	struct quire_exec exec = {0};
	struct image image;

	make_image(&image, 2);
	image.header->e_type = ELF_ET_DYN;
	image.segments[0].p_vaddr = 0;
	image.segments[1].p_vaddr = 0x3e10;
	image.segments[0].p_align = 0x200000;
	image.header->e_entry = 0x1010;
	assert_ok(exec_image(f, &image, &exec));
	free(image.data);
	/* Without an interpreter: in the mmap area, aligned as asked. */
	assert_int_equal((exec.entry - 0x1010) % 0x200000, 0);
	assert_true(exec.entry < f->mm->mmap_base);
	assert_int_equal(f->mm->start_code, exec.entry - 0x1010);
	/* The heap where programs with an interpreter lie: the mmap area has no room for it. */
	assert_int_equal(f->mm->start_brk, 0x555555555000);
	assert_int_equal(f->mm->brk, f->mm->start_brk);
}

static void test_collision_leaves_the_mm_empty(void **state)
{
	struct fixture *f = *state;
	struct quire_exec exec = {0};
	struct image image;

	map_anon(f, 0, 4);
	make_image(&image, 2);
	/* Where the stack is. */
	image.segments[1].p_vaddr = TASK_SIZE_MAX - 0x10000 + 0xe10;
	assert_error(exec_image(f, &image, &exec), ENOMEM);
	assert_empty(f);
	image.segments[1].p_vaddr = DATA;
	assert_ok(exec_image(f, &image, &exec));
	free(image.data);
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
		if (result && errno != ENOEXEC && errno != ENOMEM)
			fail_msg("image %d: errno %d", i, errno);
		loaded += !result;
		if (i % 2000 == 0)
			test_instance_check(&f->instance);
	}
	quire_close(interpreter_file);
	quire_close(file);
	assert_true(loaded > MUTATIONS / 20 && loaded < MUTATIONS * 19 / 20);
}

/* Programs of the host. */

static char *read_host_file(const char *path, size_t *bytes)
{
	FILE *stream = fopen(path, "rb");
	char *data = NULL;
	long size;

	if (!stream)
		return NULL;
	if (!fseek(stream, 0, SEEK_END) && (size = ftell(stream)) > 0) {
		rewind(stream);
		data = malloc((size_t)size);
		*bytes = data ? fread(data, 1, (size_t)size, stream) : 0;
	}
	fclose(stream);
	return data;
}

static quire_file *open_host(void *context, const char *path)
{
	size_t bytes;
	char *data = read_host_file(path, &bytes);
	quire_file *file;

	if (!data) {
		errno = ENOENT;
		return NULL;
	}
	file = file_of(context, data, bytes);
	free(data);
	return file;
}

/* Every byte of every segment against the file, and zeroes behind. */
static void compare_with_file(struct fixture *f, const char *data, uint64_t bias)
{
	const struct elf64_header *header = (const void *)data;
	const struct elf64_program_header *segment = (const void *)(data + header->e_phoff);
	static char memory[1 << 16];

	for (uint16_t i = 0; i < header->e_phnum; i++, segment++) {
		if (segment->p_type != ELF_PT_LOAD)
			continue;
		for (uint64_t at = 0; at < segment->p_memsz; at += sizeof(memory)) {
			const uint64_t bytes = min_u64(sizeof(memory), segment->p_memsz - at);

			peek(f, bias + segment->p_vaddr + at, memory, bytes);
			for (uint64_t j = 0; j < bytes; j++) {
				const char want = at + j < segment->p_filesz
							  ? data[segment->p_offset + at + j]
							  : 0;

				if (memory[j] != want)
					fail_msg("segment %d differs at %#llx", i,
						 (unsigned long long)(at + j));
			}
		}
	}
}

static void exec_host_program(struct fixture *f, const char *path)
{
	struct quire_exec exec = {.open = open_host, .context = f, .path = path};
	size_t bytes;
	char *data = read_host_file(path, &bytes);
	const struct elf64_header *header = (const void *)data;
	quire_file *file;

	if (!data || memcmp(data, "\177ELF\2", 5)) {
		free(data);
		return;
	}
	file = file_of(f, data, bytes);
	assert_ok(exec_file(f, file, &exec));
	quire_close(file);
	compare_with_file(f, data, auxv(f, exec.stack_pointer, 9) - header->e_entry);
	assert_int_equal(auxv(f, exec.stack_pointer, 5), header->e_phnum);
	assert_int_equal(peek_word(f, auxv(f, exec.stack_pointer, 3)),
			 *(const uint64_t *)(const void *)(data + header->e_phoff));
	test_instance_check(&f->instance);
	free(data);
}

static void test_host_programs(void **state)
{
	struct fixture *f = *state;
	char self[4096];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

	assert_true(length > 0);
	self[length] = 0;
	exec_host_program(f, self);
	assert_int_not_equal(f->mm->start_code, 0);
	exec_host_program(f, "/bin/true");
	exec_host_program(f, "/bin/ls");
	exec_host_program(f, "/bin/sh");
	exec_host_program(f, "/sbin/ldconfig");
}

static int setup_large(void **state)
{
	static struct fixture f;

	fixture_create(&f, (struct quire_params){.memory = (uint64_t)64 << 20, .seed = 3});
	*state = &f;
	return 0;
}

#define rule(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		rule(test_static_image),
		rule(test_stack_contents),
		rule(test_stack_grows),
		rule(test_executable_stack),
		rule(test_strings_have_limits),
		rule(test_no_arguments_is_one_empty),
		rule(test_damaged_headers_are_refused),
		rule(test_short_files_are_refused),
		rule(test_interpreter),
		rule(test_position_independent),
		rule(test_collision_leaves_the_mm_empty),
		rule(test_mutated_images),
		cmocka_unit_test_setup_teardown(test_host_programs, setup_large, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
