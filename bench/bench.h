/* SPDX-License-Identifier: MIT */
/*
 * The frame of the benchmark: a workload is written once, against struct bench_vm_ops, and runs on
 * Quire's soft machine in this process and with real system calls in a process of its own. The two
 * take turns, round by round, so that both see the same state of the host.
 *
 * What cannot go on (no memory, a call refused) ends the program through bench_die(): a figure that
 * was not measured is not printed.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include "base/types.h"

#include <stdio.h>

#define BENCH_ROUNDS_MAX 64
#define BENCH_NS_PER_SECOND 1000000000ull

struct bench_vm;

/* What a workload may do. Addresses are those of the side's own address space; protections, flags
 * and advice are Linux's numbers, which are Quire's too. All but sum() and load() die on failure.
 */
struct bench_vm_ops {
	const char *name;
	uint64_t (*map)(struct bench_vm *vm, uint64_t address, uint64_t bytes, int prot, int flags);
	/* The first bytes of the workload's file. */
	uint64_t (*map_file)(struct bench_vm *vm, uint64_t bytes, int prot, int flags);
	void (*unmap)(struct bench_vm *vm, uint64_t address, uint64_t bytes);
	void (*protect)(struct bench_vm *vm, uint64_t address, uint64_t bytes, int prot);
	void (*advise)(struct bench_vm *vm, uint64_t address, uint64_t bytes, int advice);
	/* One access of 8 bytes by the program that lives in the address space. */
	void (*store)(struct bench_vm *vm, uint64_t address, uint64_t value);
	uint64_t (*load)(struct bench_vm *vm, uint64_t address);
	/* Sum of the 8-byte words, loaded one by one. `bytes` is a multiple of 8. */
	uint64_t (*sum)(struct bench_vm *vm, uint64_t address, uint64_t bytes);
	/* A child that shares every page; `stay`: it lives until child_exit(), else it goes by
	 * itself as soon as it runs, and child_wait() returns when it has. */
	void (*fork)(struct bench_vm *vm, bool stay);
	void (*child_exit)(struct bench_vm *vm);
	void (*child_wait)(struct bench_vm *vm);
	/* pread of the workload's file into a buffer of the caller's own, outside of any mapping
	 * that the workload made. */
	void (*read)(struct bench_vm *vm, uint64_t bytes, uint64_t offset);
	/* pread into memory that the program mapped. */
	void (*read_to)(struct bench_vm *vm, uint64_t address, uint64_t bytes, uint64_t offset);
	/* Faults of this mapping shall map no page but the one that was touched. Returns how many
	 * pages a fault maps for all that: 1, but where it cannot be had. */
	uint64_t (*one_page_a_fault)(struct bench_vm *vm, uint64_t address, uint64_t bytes);
};

struct bench_case;

/* One side of one case, between its setup and its end. */
struct bench_run {
	const struct bench_case *what;
	struct bench_vm *vm;
	uint64_t base;   /* the mapping under test, or the block of other VMAs */
	uint64_t *order; /* page numbers in a pseudo-random order, of `nr_order` */
	uint64_t nr_order;
	uint64_t checked; /* results of loads end here, so that none is optimised away */
};

struct bench_workload {
	/* Not timed, once a side. NULL: nothing. */
	void (*setup)(struct bench_run *run);
	/* One round: returns nanoseconds for each operation. */
	double (*round)(struct bench_run *run);
};

/* What one figure measures. */
struct bench_case {
	const char *name;
	const char *what;
	double goal; /* of Quire's time in Linux's; 0: none */
	const struct bench_workload *workload;
	uint64_t vmas;       /* other VMAs in the address space */
	uint64_t operations; /* in a round: pages touched, calls made */
	uint64_t pages;      /* of the mapping under test */
	uint64_t memory;     /* bytes of frames that Quire needs for it */
	uint64_t file_bytes; /* the workload's file; 0: none */
	uint64_t zero_bytes; /* of a file without contents, for Quire only */
	bool sum;            /* of what a file holds, load every word, not one a page */
	bool reverse;        /* of two steps of a round, time the second */
	bool quire_only;     /* the host's limits forbid the other side */
};

/* Of the rounds of one side, in nanoseconds for each operation. */
struct bench_sample {
	double median, minimum, maximum;
	double spread; /* from the first quartile to the third, as a part of the median */
};

struct bench_result {
	struct bench_sample quire, linux_side;
	double ratio; /* of the medians; 0 when there is but one side */
};

struct bench_options {
	unsigned int rounds; /* 0: as many as the theme thinks right */
	bool quick;
	bool verbose;
	const char *only;      /* name of a row or a theme; NULL: all */
	const char *output;    /* the table of ratios; the others are written beside it */
	const char *directory; /* for the files that are mapped and read */
};
extern struct bench_options bench_options;

/* Runs both sides in turns, after a round each that does not count. */
void bench_measure(const struct bench_case *what, unsigned int rounds, struct bench_result *result);
/* Nanoseconds of one operation, by a function of no side: for what has no counterpart. */
void bench_sample_of(double *values, unsigned int count, struct bench_sample *sample);

/*
 * Nanoseconds of CPU time, user and system, of this thread and of children that were waited for:
 * what is measured goes on at the same cost when others want the CPU too. Workloads of one thread
 * never wait, so with a CPU to itself it is the time that passes.
 */
uint64_t bench_cpu_time(void);
uint64_t bench_now(void); /* ns that pass, for threads side by side */
_Noreturn void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Says on stderr what is being measured: one line that the next one replaces on a terminal. */
void bench_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));
void bench_progress_end(void);
/* Is this row, of this theme, asked for? */
bool bench_wanted(const char *theme, const char *name);
/* `full`, or a small part of it in a quick run, at least `least`. */
uint64_t bench_scaled(uint64_t full, uint64_t least);
unsigned int bench_rounds(unsigned int full);
/* Fills run->order with a permutation of [0, count), the same one each time. */
void bench_shuffle(struct bench_run *run, uint64_t count);
/* Maps run->what->vmas VMAs of one page, a free page below each, in a block at run->base. */
void bench_map_others(struct bench_run *run);
/* Memory of the host that may be used without harm, in bytes. */
uint64_t bench_memory_available(void);

/* Figures go to the terminal and, tab-separated, to a file beside the output: NULL when there is
 * none. The caller closes it with bench_file_close(). */
FILE *bench_file_open(const char *name);
void bench_file_close(FILE *file, const char *name);
/* A time with three digits and its unit, for people. The text stays until the fourth call after. */
const char *bench_time(double ns);

/* A file of `bytes` bytes that are not zero, cached by the host, without a name. */
int bench_make_file(uint64_t bytes);

/* quire_side.c and linux_side.c */
struct quire;
struct soft_cpu;
typedef struct mm_struct quire_mm;
typedef struct file quire_file;

struct bench_vm {
	const struct bench_vm_ops *ops;
	int fd;       /* of the workload's file; -1: none */
	void *buffer; /* BENCH_BUFFER bytes, touched */

	/* Quire's side. */
	struct quire_machine *machine;
	struct quire *quire;
	quire_mm *mm;
	struct soft_cpu *cpu;
	quire_file *file;
	quire_mm *child_mm;

	/* Linux's side. */
	int userfault;
	int child;
};

#define BENCH_BUFFER (128u << 10)

void bench_quire_open(struct bench_vm *vm, const struct bench_case *what, int fd);
void bench_quire_close(struct bench_vm *vm);
void bench_linux_open(struct bench_vm *vm, int fd);

/* Themes. Each returns how many of its goals were met, and adds to *goals how many it has. */
unsigned int bench_core_rows(FILE *tsv, unsigned int *goals);
unsigned int bench_absolute(unsigned int *goals);
void bench_growth(void);
void bench_mapping_or_reading(void);

/* Names of the themes, for --only. */
#define BENCH_THEME_CORE "core"
#define BENCH_THEME_ABSOLUTE "absolute"
#define BENCH_THEME_GROWTH "growth"
#define BENCH_THEME_MAPPING "mmap_vs_read"

#endif
