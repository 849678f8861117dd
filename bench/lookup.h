/* SPDX-License-Identifier: MIT */
/*
 * find_vma by itself, which has no counterpart in a system call. (absolute.c)
 */
#ifndef BENCH_LOOKUP_H
#define BENCH_LOOKUP_H

#include <stdint.h>

/* Nanoseconds to find the VMA of a random address among `vmas`. */
double bench_find_vma(uint64_t vmas);

#endif
