/* SPDX-License-Identifier: MIT */
/*
 * The workloads, each written once for both sides. What a round does per operation stands in
 * docs/benchmarks.md.
 */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include "bench/bench.h"

extern const struct bench_workload work_mmap_munmap; /* map.c */
extern const struct bench_workload work_mprotect;

extern const struct bench_workload work_fault_anon; /* fault.c */
extern const struct bench_workload work_fault_read;
extern const struct bench_workload work_fault_file;
extern const struct bench_workload work_fault_cow;
extern const struct bench_workload work_fork;

extern const struct bench_workload work_pread; /* file.c */
extern const struct bench_workload work_read_mapped;
extern const struct bench_workload work_read_pieces;
extern const struct bench_workload work_read_at_once;

#endif
