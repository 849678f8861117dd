/* SPDX-License-Identifier: MIT */
/*
 * The report's mappings.
 */
#include "run/report/tree.h"

json_t *report_mappings(struct run *run)
{
	(void)run;
	return json_array();
}
