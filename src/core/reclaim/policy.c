/* SPDX-License-Identifier: MIT */
/*
 * The table of replacement policies.
 */
#include "core/reclaim/vmscan.h"

#include <string.h>

static const struct reclaim_policy_ops *const policies[] = {&policy_two_list, &policy_sieve};

const struct reclaim_policy_ops *reclaim_policy_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(policies); i++)
		if (!strcmp(policies[i]->name, name))
			return policies[i];
	return NULL;
}
