/* SPDX-License-Identifier: MIT */
/*
 * The small workloads of the benchmark of `quire run`. The same program runs on the plain kernel
 * and under Quire; it takes the time itself, around what it measures alone, and prints it in
 * nanoseconds.
 *
 *   workload compute|bandwidth|touch_seq|touch_rand
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

#define PAGE 4096ul
#define AREA (256ul << 20)
#define PAGES (AREA / PAGE)

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static char *map_area(void)
{
	char *area = mmap(NULL, AREA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (area == MAP_FAILED) {
		perror("workload: mmap");
		exit(EXIT_FAILURE);
	}
	return area;
}

/* Integers and floating point in registers, each step depending on the one before. */
static void compute(void)
{
	uint64_t state = 88172645463325252u;
	double sum = 0;

	for (unsigned int i = 0; i < 200000000; i++) {
		sum += (double)(next_random(&state) >> 40) * 1e-7;
		if (sum > 1000)
			sum *= 0.5;
	}
	if (sum == 0)
		puts("nothing");
}

static uint64_t bandwidth(void)
{
	char *area = map_area();
	uint64_t state = 1, sum = 0, start;

	memset(area, 1, AREA);
	start = now();
	for (int i = 0; i < 8; i++) {
		memcpy(area, area + AREA / 2, AREA / 2);
		memcpy(area + AREA / 2, area, AREA / 2);
	}
	for (unsigned int i = 0; i < 10000000; i++)
		sum += (unsigned char)area[next_random(&state) % AREA];
	start = now() - start;
	return sum == 10000000 ? start : 0;
}

static uint64_t touch_in_order(void)
{
	char *area = map_area();
	uint64_t start = now();

	for (size_t page = 0; page < PAGES; page++)
		area[page * PAGE] = 1;
	return now() - start;
}

static uint64_t touch_at_random(void)
{
	char *area = map_area();
	uint32_t *order = malloc(PAGES * sizeof(*order));
	uint64_t state = 7, start;

	if (!order)
		return 0;
	for (uint32_t i = 0; i < PAGES; i++)
		order[i] = i;
	for (uint32_t i = PAGES - 1; i > 0; i--) {
		uint32_t other = (uint32_t)(next_random(&state) % (i + 1)), was = order[i];

		order[i] = order[other];
		order[other] = was;
	}
	start = now();
	for (size_t i = 0; i < PAGES; i++)
		area[order[i] * PAGE] = 1;
	start = now() - start;
	free(order);
	return start;
}

int main(int argc, char **argv)
{
	const char *what = argc == 2 ? argv[1] : "";
	uint64_t time = 0;

	/* Pages of 4 KiB on both sides. */
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	if (!strcmp(what, "compute")) {
		time = now();
		compute();
		time = now() - time;
	} else if (!strcmp(what, "bandwidth")) {
		time = bandwidth();
	} else if (!strcmp(what, "touch_seq")) {
		time = touch_in_order();
	} else if (!strcmp(what, "touch_rand")) {
		time = touch_at_random();
	}
	if (!time) {
		fprintf(stderr, "usage: workload compute|bandwidth|touch_seq|touch_rand\n");
		return EXIT_FAILURE;
	}
	printf("%lu\n", time);
	return EXIT_SUCCESS;
}
