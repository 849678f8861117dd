/* SPDX-License-Identifier: MIT */
/*
 * For the tests of exec: images made by hand, files of the host, and the call with what most tests
 * give it.
 */
#ifndef QUIRE_CORE_CALL_EXEC_FIXTURE_TEST_H
#define QUIRE_CORE_CALL_EXEC_FIXTURE_TEST_H

#include "core/call/elf.h"
#include "core/call/fixture_test.h"

#include <stdio.h>
#include <stdlib.h>

#define TEXT 0x401000u
#define DATA 0x403e10u
#define BSS_BYTES 0x5000u
#define IMAGE_BYTES 0x4000u

/* A file as it would lie on disk. */
struct image {
	size_t bytes;
	char *data;
	struct elf64_header *header;
	struct elf64_program_header *segments;
};

/* A static program: text and read-only headers in one segment, data and bss in another. */
static inline void make_image(struct image *image, uint32_t segments)
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

/* The same with an interpreter, /ld.so, as its third segment. */
static inline void make_dynamic_image(struct image *image)
{
	make_image(image, 3);
	image->segments[2] = (struct elf64_program_header){
		.p_type = ELF_PT_INTERP,
		.p_offset = 0x200,
		.p_filesz = sizeof("/ld.so"),
	};
	memcpy(image->data + 0x200, "/ld.so", sizeof("/ld.so"));
}

static inline quire_file *file_of(struct fixture *f, const void *data, size_t bytes)
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

static inline int exec_file(struct fixture *f, quire_file *file, struct quire_exec *exec)
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

static inline int exec_image(struct fixture *f, const struct image *image, struct quire_exec *exec)
{
	quire_file *file = file_of(f, image->data, image->bytes);
	int result = exec_file(f, file, exec);
	int error = errno;

	quire_close(file);
	errno = error;
	return result;
}

/* NULL: there is no such file, or nothing in it. */
static inline char *read_host_file(const char *path, size_t *bytes)
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

#endif
