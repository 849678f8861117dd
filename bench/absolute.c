/* SPDX-License-Identifier: MIT */
/*
 * What has no counterpart in a system call: the lookup of a VMA, loads through the software TLB,
 * walks of the page table, page metadata, and faults by two threads. Each is compared with a
 * reference of its own.
 */
#include "base/prng.h"
#include "bench/bench.h"
#include "bench/lookup.h"
#include "core/vma/vma.h"
#include "machine/soft/soft.h"

#include <quire/quire.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROUNDS 15
#define LOOKUPS 16384

/* A figure, in the unit of its reference; `ratio` is what the goal speaks of. */
struct figure {
	const char *name;
	const char *what;
	double value, reference, ratio, goal;
	bool at_least; /* the goal is a lower bound */
	const char *unit;
	const char *note; /* what makes the figure doubtful; NULL: nothing */
};

/*
 * VMAs of 1 to 32 pages, with a free page after each, and addresses anywhere in them. Those of a
 * round are new ones: a lookup must not owe its speed to the same address having been asked for
 * before.
 */
struct lookup {
	uint64_t *starts; /* of each VMA, and one page beyond the last */
	uint64_t vmas;
	struct prng prng;
};

static void map_areas(struct bench_vm *vm, struct lookup *lookup)
{
	const uint64_t first = UINT64_C(1) << 32;
	uint64_t address = first;

	lookup->starts = calloc(lookup->vmas + 1, sizeof(*lookup->starts));
	if (!lookup->starts)
		bench_die("no memory");
	prng_seed(&lookup->prng, lookup->vmas);
	for (uint64_t i = 0; i < lookup->vmas; i++) {
		uint64_t bytes = (1 + prng_below(&lookup->prng, 32)) * QUIRE_PAGE_SIZE;

		lookup->starts[i] = vm->ops->map(vm, address, bytes, QUIRE_PROT_READ,
						 QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS |
							 QUIRE_MAP_FIXED_NOREPLACE);
		address += bytes + QUIRE_PAGE_SIZE;
	}
	lookup->starts[lookup->vmas] = address;
}

static double lookup_round(struct bench_vm *vm, struct lookup *lookup)
{
	static const struct vm_area_struct *found[LOOKUPS];
	static uint64_t addresses[LOOKUPS];
	uint64_t start;

	for (unsigned int i = 0; i < LOOKUPS; i++) {
		uint64_t vma = prng_below(&lookup->prng, lookup->vmas);
		uint64_t bytes = lookup->starts[vma + 1] - lookup->starts[vma] - QUIRE_PAGE_SIZE;

		addresses[i] = lookup->starts[vma] + prng_below(&lookup->prng, bytes);
	}
	mmap_read_lock(vm->mm);
	start = bench_cpu_time();
	for (unsigned int i = 0; i < LOOKUPS; i++)
		found[i] = find_vma(vm->mm, addresses[i]);
	start = bench_cpu_time() - start;
	for (unsigned int i = 0; i < LOOKUPS; i++) {
		if (!found[i] || found[i]->vm_start > addresses[i] ||
		    found[i]->vm_end <= addresses[i])
			bench_die("Quire: find_vma found another VMA");
	}
	mmap_read_unlock(vm->mm);
	return (double)start / LOOKUPS;
}

double bench_find_vma(uint64_t vmas)
{
	const struct bench_case what = {.name = "find_vma"};
	struct lookup lookup = {.vmas = vmas};
	double values[BENCH_ROUNDS_MAX];
	struct bench_vm vm;
	struct bench_sample sample;
	unsigned int rounds = bench_rounds(ROUNDS);

	bench_quire_open(&vm, &what, -1);
	map_areas(&vm, &lookup);
	for (uint64_t looked = 0; looked < 2 * vmas; looked += LOOKUPS)
		lookup_round(&vm, &lookup);
	for (unsigned int i = 0; i < rounds; i++)
		values[i] = lookup_round(&vm, &lookup);
	bench_quire_close(&vm);
	free(lookup.starts);
	bench_sample_of(values, rounds, &sample);
	return sample.median;
}

static void measure_lookup(struct figure *figure)
{
	figure->value = bench_find_vma(65000);
	figure->reference = bench_find_vma(64);
	figure->ratio = figure->value / figure->reference;
}

/*
 * Loads that each need the one before, as in a list: the latency of a load, soft or plain. A chain
 * of `links` words, one in each `distance` pages, closed to a ring, is laid out alike in the mm and
 * in our own memory.
 */
#define CHAIN_LOADS 200000

struct chain {
	uint64_t links;
	uint64_t distance; /* bytes */
};

/* Each link on a cache line of its own, of a set of its own. */
static uint64_t link_offset(const struct chain *chain, uint64_t i)
{
	i %= chain->links;
	return i * chain->distance + i * 64 % QUIRE_PAGE_SIZE;
}

static double soft_chain_round(struct bench_vm *vm, uint64_t address)
{
	struct soft_outcome outcome;
	uint64_t start = bench_cpu_time();

	for (unsigned int i = 0; i < CHAIN_LOADS; i++) {
		if (soft_load_u64(vm->cpu, address, &address, &outcome))
			bench_die("Quire: load: signal %d", (int)outcome.signal);
	}
	return (double)(bench_cpu_time() - start) / CHAIN_LOADS;
}

static double plain_chain_round(const void *first)
{
	const void *volatile keep;
	const void *at = first;
	uint64_t start = bench_cpu_time();

	for (unsigned int i = 0; i < CHAIN_LOADS; i++)
		at = *(const void *const volatile *)at;
	keep = at;
	(void)keep;
	return (double)(bench_cpu_time() - start) / CHAIN_LOADS;
}

/* The two alternate; the plain chain is the one of the TLB-hit load in both cases. */
static void measure_chain(struct figure *figure, const struct chain *soft_chain)
{
	const struct chain plain_chain = {.links = 32, .distance = QUIRE_PAGE_SIZE};
	const uint64_t plain_bytes = plain_chain.links * plain_chain.distance;
	const struct bench_case what = {.name = "loads"};
	double soft[BENCH_ROUNDS_MAX], plain[BENCH_ROUNDS_MAX];
	unsigned int rounds = bench_rounds(ROUNDS);
	char *memory = aligned_alloc(QUIRE_PAGE_SIZE, plain_bytes);
	struct bench_sample sample;
	struct bench_vm vm;
	uint64_t base;

	if (!memory)
		bench_die("no memory");
	for (uint64_t i = 0; i < plain_chain.links; i++)
		*(void **)(memory + link_offset(&plain_chain, i)) =
			memory + link_offset(&plain_chain, i + 1);
	bench_quire_open(&vm, &what, -1);
	base = vm.ops->map(&vm, 0, soft_chain->links * soft_chain->distance,
			   QUIRE_PROT_READ | QUIRE_PROT_WRITE,
			   QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS);
	for (uint64_t i = 0; i < soft_chain->links; i++)
		vm.ops->store(&vm, base + link_offset(soft_chain, i),
			      base + link_offset(soft_chain, i + 1));
	soft_chain_round(&vm, base);
	plain_chain_round(memory);
	for (unsigned int i = 0; i < rounds; i++) {
		soft[i] = soft_chain_round(&vm, base);
		plain[i] = plain_chain_round(memory);
	}
	bench_quire_close(&vm);
	free(memory);
	bench_sample_of(soft, rounds, &sample);
	figure->value = sample.median;
	bench_sample_of(plain, rounds, &sample);
	figure->reference = sample.median;
	figure->ratio = figure->value / figure->reference;
}

static void measure_tlb_hit(struct figure *figure)
{
	const struct chain chain = {.links = 32, .distance = QUIRE_PAGE_SIZE};

	measure_chain(figure, &chain);
}

/* Pages so far apart that they displace each other from the TLB: every load walks the tables. */
static void measure_walk(struct figure *figure)
{
	const struct chain chain = {.links = 4, .distance = SOFT_TLB_ENTRIES * QUIRE_PAGE_SIZE};

	measure_chain(figure, &chain);
}

static void measure_metadata(struct figure *figure)
{
	const struct bench_case what = {.name = "metadata", .memory = UINT64_C(64) << 20};
	struct quire_stat stat = {.size = sizeof(stat)};
	struct bench_vm vm;

	bench_quire_open(&vm, &what, -1);
	if (quire_get_stat(vm.quire, &stat))
		bench_die("Quire: no statistics");
	bench_quire_close(&vm);
	figure->value = (double)stat.metadata_bytes;
	figure->reference = (double)stat.frames * QUIRE_PAGE_SIZE;
	figure->ratio = figure->value / figure->reference * 100;
}

/* Threads of one mm, each with a CPU and a VMA of its own, start together. */
#define FAULT_THREADS 2
/* Two threads that share nothing reach nearly 2 on a host that has the CPUs for them. */
#define BUSY 1.8

struct fault_thread {
	struct bench_vm *vm;
	_Atomic unsigned int *missing; /* threads that are not ready; they wait awake, so that none
					  starts late */
	uint64_t base, pages;
	uint64_t start, end; /* ns */
};

static void *fault_thread_main(void *argument)
{
	struct fault_thread *thread = argument;
	struct soft_outcome outcome;
	struct soft_cpu *cpu;

	if (soft_cpu_create(thread->vm->machine, &cpu))
		bench_die("Quire: no memory for a CPU");
	soft_cpu_switch(cpu, thread->vm->mm);
	atomic_fetch_sub(thread->missing, 1);
	while (atomic_load(thread->missing))
		;
	thread->start = bench_now();
	for (uint64_t i = 0; i < thread->pages; i++) {
		if (soft_store_u64(cpu, thread->base + i * QUIRE_PAGE_SIZE, i, &outcome))
			bench_die("Quire: store: signal %d", (int)outcome.signal);
	}
	thread->end = bench_now();
	soft_cpu_switch(cpu, NULL);
	soft_cpu_destroy(cpu);
	return NULL;
}

/* Runs threads side by side; operations for each nanosecond, by all together. */
static double thread_rate(struct fault_thread *threads, unsigned int count, void *(*body)(void *))
{
	pthread_t handles[FAULT_THREADS];
	uint64_t start = UINT64_MAX, end = 0, operations = 0;
	_Atomic unsigned int missing = count;

	for (unsigned int i = 0; i < count; i++) {
		threads[i].missing = &missing;
		if (pthread_create(&handles[i], NULL, body, &threads[i]))
			bench_die("no thread");
	}
	for (unsigned int i = 0; i < count; i++) {
		pthread_join(handles[i], NULL);
		start = min_u64(start, threads[i].start);
		end = max_u64(end, threads[i].end);
		operations += threads[i].pages;
	}
	return (double)operations / (double)(end - start);
}

static double fault_rate(struct bench_vm *vm, unsigned int count, uint64_t pages)
{
	struct fault_thread threads[FAULT_THREADS];
	const uint64_t bytes = (pages + 1) * QUIRE_PAGE_SIZE;
	double rate;

	for (unsigned int i = 0; i < count; i++) {
		threads[i] = (struct fault_thread){.vm = vm, .pages = pages};
		/* A page without access between the two keeps them from being one VMA. */
		threads[i].base = vm->ops->map(vm, 0, bytes, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
					       QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS);
		vm->ops->protect(vm, threads[i].base + pages * QUIRE_PAGE_SIZE, QUIRE_PAGE_SIZE,
				 QUIRE_PROT_NONE);
	}
	rate = thread_rate(threads, count, fault_thread_main);
	for (unsigned int i = 0; i < count; i++)
		vm->ops->unmap(vm, threads[i].base, bytes);
	return rate;
}

/* What the host itself gives two threads that only compute, in rates of one: no more can be had. */
static void *compute_thread_main(void *argument)
{
	struct fault_thread *thread = argument;
	volatile uint64_t keep;
	uint64_t x = 1;

	atomic_fetch_sub(thread->missing, 1);
	while (atomic_load(thread->missing))
		;
	thread->start = bench_now();
	for (uint64_t i = 0; i < thread->pages * 256; i++)
		x = x * UINT64_C(6364136223846793005) + 1;
	thread->end = bench_now();
	keep = x;
	(void)keep;
	return NULL;
}

static double compute_rate(unsigned int count, uint64_t pages)
{
	struct fault_thread threads[FAULT_THREADS] = {{.pages = pages}, {.pages = pages}};

	return thread_rate(threads, count, compute_thread_main);
}

/* So few pages that the CPU's caches hold them: the host's memory is not what is measured. */
static void measure_two_threads(struct figure *figure)
{
	const struct bench_case what = {.name = "two threads", .memory = UINT64_C(24) << 20};
	const uint64_t pages = bench_scaled(2048, 256);
	double one[BENCH_ROUNDS_MAX], two[BENCH_ROUNDS_MAX], host[BENCH_ROUNDS_MAX];
	unsigned int rounds = bench_rounds(BENCH_ROUNDS_MAX);
	struct bench_sample sample;
	struct bench_vm vm;

	bench_quire_open(&vm, &what, -1);
	fault_rate(&vm, FAULT_THREADS, pages);
	for (unsigned int i = 0; i < rounds; i++) {
		one[i] = 1 / fault_rate(&vm, 1, pages);
		two[i] = 1 / fault_rate(&vm, FAULT_THREADS, pages);
		host[i] = compute_rate(FAULT_THREADS, pages) / compute_rate(1, pages);
	}
	bench_quire_close(&vm);
	bench_sample_of(two, rounds, &sample);
	figure->value = sample.median;
	bench_sample_of(one, rounds, &sample);
	figure->reference = sample.median;
	figure->ratio = figure->reference / figure->value;
	bench_sample_of(host, rounds, &sample);
	if (sample.median < BUSY)
		figure->note = "the host is busy: two threads that only compute reach less too";
}

static const struct {
	struct figure figure;
	void (*measure)(struct figure *figure);
	unsigned int cpus;
} figures[] = {
	{{.name = "find_vma_65k",
	  .what = "find_vma among 65,000 VMAs, against 64",
	  .unit = "ns",
	  .goal = 3},
	 measure_lookup,
	 1},
	{{.name = "tlb_hit_load",
	  .what = "8-byte load that hits the TLB, against a plain one",
	  .unit = "ns",
	  .goal = 8},
	 measure_tlb_hit,
	 1},
	{{.name = "walk",
	  .what = "load that walks 4 levels, against a plain one",
	  .unit = "ns",
	  .goal = 60},
	 measure_walk,
	 1},
	{{.name = "metadata_percent",
	  .what = "page metadata, in percent of the memory managed",
	  .unit = "bytes",
	  .goal = 1.6},
	 measure_metadata,
	 1},
	{{.name = "fault_two_threads",
	  .what = "faults by two threads on two VMAs, in rates of one",
	  .unit = "ns",
	  .goal = 1.7,
	  .at_least = true},
	 measure_two_threads,
	 2},
};

static bool show(const struct figure *figure, FILE *tsv)
{
	bool pass =
		figure->at_least ? figure->ratio >= figure->goal : figure->ratio <= figure->goal;

	printf("  %-18s %12.2f %12.2f %-5s  %6.2f  %s %4.2f  %s  %s\n", figure->name, figure->value,
	       figure->reference, figure->unit, figure->ratio,
	       figure->at_least ? ">=" : "<=", figure->goal, pass ? "pass" : "miss", figure->what);
	if (figure->note)
		printf("  %-18s %s\n", "", figure->note);
	if (tsv)
		fprintf(tsv, "%s\t%.2f\t%.2f\t%.4f\n", figure->name, figure->value,
			figure->reference, figure->ratio);
	return pass;
}

unsigned int bench_absolute(unsigned int *goals)
{
	unsigned int met = 0, shown = 0;
	FILE *tsv = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(figures); i++) {
		struct figure figure = figures[i].figure;

		if (!bench_wanted(BENCH_THEME_ABSOLUTE, figure.name))
			continue;
		if (sysconf(_SC_NPROCESSORS_ONLN) < (long)figures[i].cpus) {
			printf("  %-18s needs %u CPUs\n", figure.name, figures[i].cpus);
			continue;
		}
		bench_progress("%s: %s ...", figure.name, figure.what);
		figures[i].measure(&figure);
		bench_progress_end();
		if (!shown++) {
			if (bench_wanted(BENCH_THEME_ABSOLUTE, NULL))
				tsv = bench_file_open("absolute.tsv");
			printf("Quire against a reference of its own\n\n"
			       "  %-18s %12s %12s %-5s  %6s  %7s\n",
			       "", "value", "reference", "", "ratio", "goal");
		}
		met += show(&figure, tsv);
	}
	if (shown)
		putchar('\n');
	bench_file_close(tsv, "absolute.tsv");
	*goals += shown;
	return met;
}
