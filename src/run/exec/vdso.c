/* SPDX-License-Identifier: MIT */
/*
 * The vDSO of a run (see vdso.h): its image and its clock page as special mappings, and the system
 * calls for its clocks.
 */
#include "run/exec/vdso.h"

#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "core/call/special_mapping.h"
#include "core/file/address_space.h"
#include "machine/kvm/kvm.h"
#include "run/clock.h"
#include "run/exec/vdso/clock_update.h"
#include "run/signal/signal.h"
#include "run/user/user.h"

#include <sys/syscall.h>

extern const unsigned char vdso_image[];
extern const uint64_t vdso_image_size;

struct vdso {
	struct file *image;         /* C: owned */
	struct file *clock;         /* C: owned */
	bool clock_usable;          /* C */
	struct clock_update update; /* if it is */
};

/* The counter runs at one rate, in all states of all CPUs. */
static bool tsc_is_invariant(void)
{
	unsigned eax, ebx, ecx, edx;

	return __get_cpuid(0x80000007, &eax, &ebx, &ecx, &edx) && edx & 1u << 8;
}

static int fill_image(struct run *run, struct vdso *vdso)
{
	const uint64_t pages = PAGE_ALIGN(vdso_image_size) >> PAGE_SHIFT;
	int error = special_object_create(run->quire, "[vdso]", pages, &vdso->image);

	for (uint64_t i = 0; !error && i < pages; i++)
		memcpy(special_object_page(vdso->image, i), vdso_image + (i << PAGE_SHIFT),
		       min_u64(vdso_image_size - (i << PAGE_SHIFT), PAGE_SIZE));
	return error;
}

int vdso_init(struct run *run)
{
	struct vdso *vdso = calloc(1, sizeof(*vdso));
	int error;

	if (!vdso)
		return -ENOMEM;
	run->vdso = vdso;
	error = fill_image(run, vdso);
	if (!error)
		error = special_object_create(run->quire, "[vvar]", 1, &vdso->clock);
	if (error)
		return error;
	if (kvm_tsc_is_host(run->machine) && tsc_is_invariant()) {
		clock_update_init(&vdso->update, special_object_page(vdso->clock, 0));
		vdso->clock_usable = true;
	}
	return 0;
}

void vdso_exit(struct run *run)
{
	struct vdso *vdso = run->vdso;

	if (!vdso)
		return;
	if (vdso->clock_usable)
		clock_update_destroy(&vdso->update);
	if (vdso->clock)
		fput(vdso->clock);
	if (vdso->image)
		fput(vdso->image);
	free(vdso);
	run->vdso = NULL;
}

int vdso_map(struct run *run, struct mm_struct *mm, uint64_t *address)
{
	const struct special_mapping mappings[] = {
		{run->vdso->clock, VM_READ | VM_MAYREAD | VM_IO | VM_PFNMAP | VM_DONTDUMP},
		{run->vdso->image, VM_READ | VM_EXEC | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC},
	};
	const int64_t start = install_special_mappings(mm, mappings, ARRAY_SIZE(mappings), 0);

	if (start < 0)
		return (int)start;
	*address = (uint64_t)start + PAGE_SIZE;
	return 0;
}

bool vdso_clock(struct run *run, int64_t clock, uint64_t *ns)
{
	struct vdso *vdso = run->vdso;

	if (!vdso->clock_usable || !clock_page_has(clock))
		return false;
	if (clock_page_read(vdso->update.page, clock, ns))
		return true;
	clock_update(&vdso->update);
	return clock_page_read(vdso->update.page, clock, ns);
}

int64_t sys_clock_gettime(struct thread *thread, const uint64_t args[6])
{
	/* Dynamic clocks (of processes, threads, devices) are negative numbers. */
	const clockid_t clock = (clockid_t)args[0];
	struct timespec time;
	uint64_t ns;

	if (vdso_clock(thread->process->run, clock, &ns))
		time = timespec_of_ns(ns);
	else if (clock_gettime(clock, &time) != 0)
		return -errno;
	return copy_to_user(thread_mm(thread), args[1], &time, sizeof(time));
}

static uint64_t realtime(struct thread *thread)
{
	uint64_t ns;

	if (vdso_clock(thread->process->run, CLOCK_REALTIME, &ns))
		return ns;
	return clock_ns(CLOCK_REALTIME);
}

int64_t sys_gettimeofday(struct thread *thread, const uint64_t args[6])
{
	const uint64_t ns = realtime(thread);
	const struct timeval time = {(time_t)(ns / CLOCK_PAGE_SECOND),
				     (suseconds_t)(ns % CLOCK_PAGE_SECOND / 1000)};
	struct timezone zone;
	int error = 0;

	if (args[0])
		error = copy_to_user(thread_mm(thread), args[0], &time, sizeof(time));
	if (error || !args[1])
		return error;
	/* The C library's function does not ask for the time zone. */
	if (syscall(SYS_gettimeofday, NULL, &zone) != 0)
		return -errno;
	return copy_to_user(thread_mm(thread), args[1], &zone, sizeof(zone));
}

int64_t sys_time(struct thread *thread, const uint64_t args[6])
{
	const int64_t seconds = (int64_t)(realtime(thread) / CLOCK_PAGE_SECOND);
	int error = 0;

	if (args[0])
		error = copy_to_user(thread_mm(thread), args[0], &seconds, sizeof(seconds));
	return error ? error : seconds;
}
