/* SPDX-License-Identifier: MIT */
/*
 * Tests of what exec's caller has a say in: the moment before the old address space goes, mappings
 * of its own, entries of the auxiliary vector, random bytes and platform.
 */
#include "core/call/exec_fixture_test.h"

#define STRANGE_TYPE 4711
#define TYPES 64

struct caller {
	struct fixture *f;
	int begin_result, mapped_result;
	uint32_t begun, mapped;
	uint64_t auxv[2][2];
	uint64_t mapping;
};

/* One page of text, mapped at TEXT. */
static quire_file *make_program(struct fixture *f)
{
	char image[PAGE_SIZE] = {0};
	struct elf64_header *header = (void *)image;
	struct elf64_program_header *segment = (void *)(image + sizeof(*header));

	*header = (struct elf64_header){
		.e_ident = {0x7f, 'E', 'L', 'F', 2, 1, 1},
		.e_type = ELF_ET_EXEC,
		.e_machine = ELF_EM_X86_64,
		.e_version = 1,
		.e_entry = TEXT + 0x100,
		.e_phoff = sizeof(*header),
		.e_phentsize = sizeof(*segment),
		.e_phnum = 1,
	};
	*segment = (struct elf64_program_header){
		.p_type = ELF_PT_LOAD,
		.p_flags = ELF_PF_R | ELF_PF_X,
		.p_vaddr = TEXT,
		.p_filesz = PAGE_SIZE,
		.p_memsz = PAGE_SIZE,
	};
	return file_of(f, image, sizeof(image));
}

static int begin(void *context)
{
	struct caller *caller = context;

	caller->begun++;
	/* The old address space is still there. */
	assert_int_equal(load(caller->f, 0), 7);
	return caller->begin_result;
}

static int mapped(void *context, quire_mm *mm)
{
	struct caller *caller = context;

	caller->mapped++;
	caller->mapping = quire_mmap(mm, 0, PAGE_SIZE, QUIRE_PROT_READ,
				     QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, NULL, 0);
	assert_int_not_equal(caller->mapping, QUIRE_MAP_FAILED);
	caller->auxv[0][1] = caller->mapping;
	return caller->mapped_result;
}

static int exec(struct caller *caller, struct quire_exec *exec)
{
	static char name[] = "program";
	static char *argv[] = {name, NULL};
	int result;
	int error;

	exec->file = make_program(caller->f);
	exec->path = "/program";
	exec->argv = exec->envp = argv;
	exec->begin = begin;
	exec->mapped = mapped;
	exec->context = caller;
	map_anon(caller->f, 0, 1);
	assert_int_equal(store(caller->f, 0, 7), 0);
	result = quire_exec(caller->f->mm, exec);
	error = errno;
	quire_close(exec->file);
	errno = error;
	return result;
}

/* The values of the vector by their types; how often the types below TYPES stand there. */
static void read_auxv(struct fixture *f, const struct quire_exec *exec, uint64_t values[TYPES],
		      uint32_t counts[TYPES], uint64_t *strange)
{
	uint64_t at = exec->auxv_address;
	uint64_t pair[2];

	memset(counts, 0, TYPES * sizeof(*counts));
	do {
		assert_int_equal(quire_read_memory(f->mm, at, pair, sizeof(pair)), sizeof(pair));
		at += sizeof(pair);
		if (pair[0] == STRANGE_TYPE) {
			*strange = pair[1];
			continue;
		}
		assert_true(pair[0] < TYPES);
		counts[pair[0]]++;
		values[pair[0]] = pair[1];
	} while (pair[0]);
	assert_int_equal(at, exec->auxv_address + exec->auxv_words * sizeof(uint64_t));
}

static void test_auxv(void **state)
{
	static const unsigned char random[16] = "0123456789abcdef";
	struct caller caller = {.f = *state, .auxv = {{STRANGE_TYPE, 0}, {16, 0x1234}}};
	struct quire_exec program = {.auxv = (const uint64_t(*)[2])caller.auxv,
				     .nr_auxv = 2,
				     .platform = "x86_64",
				     .random = random};
	uint64_t values[TYPES] = {0};
	uint32_t counts[TYPES];
	uint64_t strange = 0;
	char text[16];

	assert_ok(exec(&caller, &program));
	assert_true(program.lost);
	assert_int_equal(caller.begun, 1);
	assert_int_equal(caller.mapped, 1);
	read_auxv(caller.f, &program, values, counts, &strange);
	/* The value that was set when the mapping was made. */
	assert_int_equal(strange, caller.mapping);
	assert_true(load_in(caller.f->mm, 0) == MAPERR);
	for (int type = 0; type < TYPES; type++)
		assert_true(counts[type] <= 1);
	assert_int_equal(values[16], 0x1234);
	assert_int_equal(values[6], PAGE_SIZE);
	assert_int_equal(quire_read_memory(caller.f->mm, values[25], text, 16), 16);
	assert_memory_equal(text, random, 16);
	assert_int_equal(quire_read_memory(caller.f->mm, values[15], text, 7), 7);
	assert_string_equal(text, "x86_64");
	assert_int_equal(program.stack_pointer % 16, 0);
}

static void test_without_platform(void **state)
{
	struct caller caller = {.f = *state};
	struct quire_exec program = {0};
	uint64_t values[TYPES] = {0};
	uint32_t counts[TYPES];
	uint64_t strange;

	assert_ok(exec(&caller, &program));
	read_auxv(caller.f, &program, values, counts, &strange);
	assert_int_equal(counts[15], 0);
	assert_int_equal(counts[25], 1);
	assert_int_equal(counts[31], 1);
}

/* A caller that refuses before: nothing has changed. */
static void test_refused_before(void **state)
{
	struct caller caller = {.f = *state, .begin_result = -EINTR};
	struct quire_exec program = {0};

	assert_error(exec(&caller, &program), EINTR);
	assert_false(program.lost);
	assert_int_equal(caller.mapped, 0);
	assert_int_equal(load(caller.f, 0), 7);
}

/* A caller that fails behind: there is nothing left. */
static void test_failed_behind(void **state)
{
	struct caller caller = {.f = *state, .mapped_result = -ENOMEM};
	struct quire_exec program = {0};

	assert_error(exec(&caller, &program), ENOMEM);
	assert_true(program.lost);
	assert_int_equal(load(caller.f, 0), MAPERR);
	assert_int_equal(caller.f->mm->map_count, 0);
}

static void test_too_many_entries(void **state)
{
	static const uint64_t entries[33][2];
	struct caller caller = {.f = *state};
	struct quire_exec program = {.auxv = entries, .nr_auxv = 33};

	assert_error(exec(&caller, &program), EINVAL);
	assert_false(program.lost);
	assert_int_equal(caller.begun, 0);
}

static int setup_random(void **state)
{
	static struct fixture f;

	fixture_create(&f, (struct quire_params){.memory = (uint64_t)8 << 20, .seed = 5});
	*state = &f;
	return 0;
}

/* With a seed addresses differ from one execve to the next, but not when it says so. */
static void test_no_randomize(void **state)
{
	struct caller caller = {.f = *state};
	uint64_t stacks[4];

	for (int i = 0; i < 4; i++) {
		struct quire_exec program = {.no_randomize = i < 2};

		assert_ok(exec(&caller, &program));
		stacks[i] = program.stack_pointer;
	}
	assert_int_equal(stacks[0], stacks[1]);
	assert_int_not_equal(stacks[1], stacks[2]);
	assert_int_not_equal(stacks[2], stacks[3]);
}

#define rule(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		rule(test_auxv),
		rule(test_without_platform),
		rule(test_refused_before),
		rule(test_failed_behind),
		rule(test_too_many_entries),
		cmocka_unit_test_setup_teardown(test_no_randomize, setup_random, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
