/* SPDX-License-Identifier: MIT */
/*
 * A small seeded generator of pseudo-random numbers (splitmix64: Steele, Lea and Flood, "Fast
 * splittable pseudorandom number generators", 2014), so that a property test or a simulated
 * workload repeats exactly from its seed. Not for secrets.
 */
#ifndef QUIRE_BASE_PRNG_H
#define QUIRE_BASE_PRNG_H

#include "base/types.h"

/* Owned by one thread; no locking inside. */
struct prng {
	uint64_t state;
};

/* Every seed is a good one, 0 too. */
static inline void prng_seed(struct prng *prng, uint64_t seed)
{
	prng->state = seed;
}

/* The next 64 uniform bits. */
static inline uint64_t prng_next(struct prng *prng)
{
	uint64_t z = prng->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* A number from 0 to `n` - 1; `n` is not 0. The bias is below n / 2^64. */
static inline uint64_t prng_below(struct prng *prng, uint64_t n)
{
	return (uint64_t)(((unsigned __int128)prng_next(prng) * n) >> 64);
}

#endif
