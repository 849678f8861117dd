/* SPDX-License-Identifier: MIT */
/*
 * What those who make requests to stores and those who serve them ask of one.
 */
#ifndef QUIRE_CORE_FILE_REQUEST_H
#define QUIRE_CORE_FILE_REQUEST_H

#include <quire/store.h>

/* Of all its segments. */
static inline uint64_t request_bytes(const struct quire_request *request)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < request->nr_segments; i++)
		bytes += request->segments[i].bytes;
	return bytes;
}

#endif
