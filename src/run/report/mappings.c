/* SPDX-License-Identifier: MIT */
/*
 * The report's mappings: those with the most resident pages first.
 */
#include <errno.h>
#include <stdlib.h>

#include "core/vma/mapping_stat.h"
#include "run/report/tree.h"

static int append(void *context, const struct mapping_report *mapping)
{
	const uint64_t *events = mapping->events;
	json_t *tree =
		json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name",
			  mapping->name, "size_bytes", report_number(mapping->mapped * PAGE_SIZE),
			  "resident_bytes", report_number(mapping->resident * PAGE_SIZE),
			  "peak_resident_bytes", report_number(mapping->peak_resident * PAGE_SIZE),
			  "minor_faults", report_number(events[MAPPING_MINOR_FAULT]),
			  "major_faults", report_number(events[MAPPING_MAJOR_FAULT]), "copies",
			  report_number(events[MAPPING_COPY]), "swap_ins",
			  report_number(events[MAPPING_SWAP_IN]), "evictions",
			  report_number(events[MAPPING_EVICTION]), "writebacks",
			  report_number(events[MAPPING_WRITEBACK]), "bytes_read",
			  report_number(events[MAPPING_READ] * PAGE_SIZE), "bytes_written",
			  report_number(events[MAPPING_WRITEBACK] * PAGE_SIZE));

	return tree && json_array_append_new(context, tree) == 0 ? 0 : -ENOMEM;
}

static int64_t peak(const json_t *mapping)
{
	return json_integer_value(json_object_get(mapping, "peak_resident_bytes"));
}

static int by_peak(const void *left, const void *right)
{
	const json_t *const *a = left;
	const json_t *const *b = right;

	return (peak(*a) < peak(*b)) - (peak(*a) > peak(*b));
}

/* The same values in order. Without memory for that the order is as it came. */
static json_t *sorted(json_t *mappings)
{
	size_t count = json_array_size(mappings);
	json_t **order = calloc(count + 1, sizeof(*order));
	json_t *result = order ? json_array() : NULL;

	for (size_t i = 0; result && i < count; i++)
		order[i] = json_array_get(mappings, i);
	if (result) {
		qsort(order, count, sizeof(*order), by_peak);
		for (size_t i = 0; i < count; i++)
			json_array_append(result, order[i]);
		json_decref(mappings);
		mappings = result;
	}
	free(order);
	return mappings;
}

json_t *report_mappings(struct run *run)
{
	json_t *mappings = json_array();

	if (mappings && mapping_report(run->quire, append, mappings)) {
		json_decref(mappings);
		return NULL;
	}
	return mappings ? sorted(mappings) : NULL;
}
