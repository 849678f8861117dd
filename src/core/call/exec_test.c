/* SPDX-License-Identifier: MIT */
/*
 * Tests of exec: images made by hand, and real programs of the host with their interpreter,
 * compared with what their files say.
 */
#include "core/call/exec_fixture_test.h"

#include <unistd.h>

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

/* Programs of the host. */

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
		rule(test_interpreter),
		rule(test_position_independent),
		rule(test_collision_leaves_the_mm_empty),
		cmocka_unit_test_setup_teardown(test_host_programs, setup_large, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
