/* SPDX-License-Identifier: MIT */
#include "run/exec/vdso.h"
int vdso_init(struct run *run)
{
	(void)run;
	return 0;
}
void vdso_exit(struct run *run)
{
	(void)run;
}
int vdso_map(struct run *run, struct mm_struct *mm, uint64_t *address)
{
	(void)run;
	(void)mm;
	*address = 0;
	return 0;
}
uint64_t vdso_sigreturn(uint64_t vdso)
{
	return vdso;
}
