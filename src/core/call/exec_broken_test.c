/* SPDX-License-Identifier: MIT */
/*
 * Real programs of the host, broken: cut off at every length, and with headers changed at random.
 * Whatever they are, exec ends with an errno and leaves the mm whole or empty.
 */
#include "core/call/exec_fixture_test.h"

#define MUTATIONS 4000
#define HEADERS_MAX 2048

/* A program and its interpreter, as they are and as files of the instance. */
struct program {
	char *data;
	size_t bytes;
	size_t header_bytes; /* ELF header and program headers */
	quire_file *file;
};

static void read_program(struct fixture *f, const char *path, struct program *program)
{
	const struct elf64_header *header;

	program->data = read_host_file(path, &program->bytes);
	assert_non_null(program->data);
	assert_true(program->bytes > sizeof(*header));
	header = (const void *)program->data;
	program->header_bytes = header->e_phoff + (size_t)header->e_phnum * header->e_phentsize;
	assert_true(program->header_bytes <= HEADERS_MAX);
	program->file = file_of(f, program->data, program->bytes);
}

static void release_program(struct program *program)
{
	quire_close(program->file);
	free(program->data);
}

static quire_file *open_interpreter(void *context, const char *path)
{
	const struct program *interpreter = context;

	(void)path;
	return quire_file_get(interpreter->file);
}

/* Runs the file; what is mapped at AT(0) before tells whether the old address space is whole. */
static bool try_exec(struct fixture *f, quire_file *file, struct program *interpreter)
{
	static char name[] = "program";
	static char *argv[] = {name, NULL};
	static char *envp[] = {NULL};
	struct quire_exec exec = {
		.file = file,
		.path = name,
		.argv = argv,
		.envp = envp,
		.open = open_interpreter,
		.context = interpreter,
	};
	bool ok;

	map_anon(f, 0, 1);
	assert_int_equal(store(f, 0, 7), 0);
	errno = 0;
	ok = quire_exec(f->mm, &exec) == 0;
	if (!exec.lost)
		assert_int_equal(load(f, 0), 7);
	else
		assert_int_equal(load(f, 0), MAPERR);
	if (ok) {
		assert_true(exec.lost);
		return true;
	}
	if (errno != ENOEXEC && errno != ELIBBAD && errno != ENOMEM && errno != EINVAL &&
	    errno != EIO && errno != EACCES)
		fail_msg("errno %d", errno);
	if (exec.lost)
		assert_int_equal(f->mm->map_count, 0);
	return false;
}

static void set_size(struct program *program, size_t bytes)
{
	assert_ok(quire_ftruncate(program->file, bytes));
}

static void restore(struct program *program)
{
	assert_int_equal(quire_pwrite(program->file, NULL, program->data, program->bytes, 0),
			 program->bytes);
}

/* End of the last segment's part in the file: from there on a cut does no harm. */
static size_t needed_bytes(const struct program *program)
{
	const struct elf64_header *header = (const void *)program->data;
	const struct elf64_program_header *segments =
		(const void *)(program->data + header->e_phoff);
	uint64_t end = 0;

	for (uint16_t i = 0; i < header->e_phnum; i++)
		if (segments[i].p_type == ELF_PT_LOAD)
			end = max_u64(end, segments[i].p_offset + segments[i].p_filesz);
	return end;
}

static void cut_everywhere(struct fixture *f, struct program *cut, struct program *program,
			   struct program *interpreter)
{
	const size_t needed = needed_bytes(cut);

	for (size_t size = cut->header_bytes + 64; size-- > 0;) {
		set_size(cut, size);
		assert_false(try_exec(f, program->file, interpreter));
	}
	restore(cut);
	for (size_t size = needed; size > cut->header_bytes; size -= min_u64(size, 4093)) {
		set_size(cut, size);
		/* Behind a cut nothing can be brought in, which a program may never need. */
		if (!try_exec(f, program->file, interpreter))
			assert_true(size < needed);
	}
	restore(cut);
}

static void change_headers(struct fixture *f, struct program *changed, struct program *program,
			   struct program *interpreter)
{
	struct prng prng = {5};
	char headers[HEADERS_MAX];
	uint32_t loaded = 0;

	for (uint32_t i = 0; i < MUTATIONS; i++) {
		const uint64_t changes = 1 + prng_below(&prng, 3);

		memcpy(headers, changed->data, changed->header_bytes);
		for (uint64_t change = 0; change < changes; change++) {
			const size_t at = prng_below(&prng, changed->header_bytes);

			headers[at] ^= (char)(1u << prng_below(&prng, 8));
		}
		assert_int_equal(
			quire_pwrite(changed->file, NULL, headers, changed->header_bytes, 0),
			changed->header_bytes);
		loaded += try_exec(f, program->file, interpreter);
		if (i % 500 == 0)
			test_instance_check(&f->instance);
	}
	restore(changed);
	assert_true(loaded > 0 && loaded < MUTATIONS);
}

static void test_broken(void **state)
{
	struct fixture *f = *state;
	struct program program, interpreter;

	read_program(f, "/bin/true", &program);
	read_program(f, "/lib64/ld-linux-x86-64.so.2", &interpreter);
	cut_everywhere(f, &program, &program, &interpreter);
	cut_everywhere(f, &interpreter, &program, &interpreter);
	change_headers(f, &program, &program, &interpreter);
	change_headers(f, &interpreter, &program, &interpreter);
	release_program(&program);
	release_program(&interpreter);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_broken, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
