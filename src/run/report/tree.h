/* SPDX-License-Identifier: MIT */
/*
 * The report as a tree of JSON values (docs/report.md), and the tree as text. There is one source
 * for both forms.
 */
#ifndef QUIRE_RUN_REPORT_TREE_H
#define QUIRE_RUN_REPORT_TREE_H

#include <jansson.h>
#include <stdio.h>

#include "run/report/report.h"

/* What happened up to now. `status` is as of wait(2), or -1: the program still runs. The caller
 * owns the tree; NULL: no memory. */
json_t *report_tree(struct run *run, int status);
/* The tree for people. */
void report_print(const json_t *tree, FILE *stream);

static inline json_t *report_number(uint64_t value)
{
	return json_integer((json_int_t)value);
}

/* The array of the report's "mappings", for report_tree(). NULL: no memory. */
json_t *report_mappings(struct run *run);

#endif
