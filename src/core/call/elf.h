/* SPDX-License-Identifier: MIT */
/*
 * ELF-64 files for x86-64 (System V ABI, gABI chapters 4 and 5): reading and checking the headers
 * of an executable or its interpreter, and mapping its segments.
 */
#ifndef QUIRE_CORE_CALL_ELF_H
#define QUIRE_CORE_CALL_ELF_H

#include "core/file/address_space.h"
#include "core/vma/mm.h"

struct elf64_header {
	uint8_t e_ident[16];
	uint16_t e_type;
	uint16_t e_machine;
	uint32_t e_version;
	uint64_t e_entry;
	uint64_t e_phoff;
	uint64_t e_shoff;
	uint32_t e_flags;
	uint16_t e_ehsize;
	uint16_t e_phentsize;
	uint16_t e_phnum;
	uint16_t e_shentsize;
	uint16_t e_shnum;
	uint16_t e_shstrndx;
};

struct elf64_program_header {
	uint32_t p_type;
	uint32_t p_flags;
	uint64_t p_offset;
	uint64_t p_vaddr;
	uint64_t p_paddr;
	uint64_t p_filesz;
	uint64_t p_memsz;
	uint64_t p_align;
};

#define ELF_ET_EXEC 2
#define ELF_ET_DYN 3
#define ELF_EM_X86_64 62
#define ELF_PT_LOAD 1
#define ELF_PT_INTERP 3
#define ELF_PT_GNU_STACK 0x6474e551
#define ELF_PF_X 1
#define ELF_PF_W 2
#define ELF_PF_R 4
/* All program headers together are at most 64 KiB, the interpreter's path at most PATH_MAX. */
#define ELF_PHNUM_MAX (65536 / sizeof(struct elf64_program_header))
#define ELF_INTERP_MAX 4096

/* A file whose headers were read. Addresses are as in the file until elf_map() adds `bias`.
 */
struct elf_image {
	struct file *file; /* not owned */
	struct elf64_header header;
	struct elf64_program_header *segments; /* owned: header.e_phnum of them */
	char *interpreter;                     /* owned: PT_INTERP's path, NULL for none */
	bool executable_stack;
	bool broken;         /* its segments cannot be mapped */
	uint64_t start, end; /* page-aligned bounds of all PT_LOAD */
	uint64_t alignment;  /* largest p_align of a PT_LOAD, at least a page */
	uint64_t bias;       /* where the file's address 0 is mapped */
};

/*
 * Reads and checks the headers. 0; -ENOEXEC: not an x86-64 ELF file; -EINVAL, -EIO: the path of the
 * interpreter is beyond the file; -ENOMEM and other errors of reading. What is wrong with segments
 * is noted in image->broken: as on Linux, that becomes known when the old program is gone. The
 * image is to be released in every case.
 */
QUIRE_MUST_CHECK int elf_read(struct elf_image *image, struct file *file, struct mem_cgroup *memcg);
void elf_release(struct elf_image *image);

/*
 * Maps the segments at image->bias and zeroes what lies behind their file part. mmap_lock not held;
 * nobody else uses the mm. 0, or the error of the mapping; what was mapped stays.
 */
QUIRE_MUST_CHECK int elf_map(struct mm_struct *mm, struct elf_image *image);

/* Address of the program headers in memory, 0 when no segment holds them. */
uint64_t elf_phdr_address(const struct elf_image *image);

#endif
