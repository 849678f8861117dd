/* SPDX-License-Identifier: MIT */
/*
 * The kvm machine: Quire's page tables under the CPU's own MMU, in a KVM guest in which only ring 3
 * runs, and a virtual CPU for each thread that wants one.
 *
 * One VM serves a machine. Guest-physical memory is the arena, frame number << 12 being the
 * guest-physical address, and behind it a few pages of the machine's own (descriptor tables, entry
 * stub, stacks), which it maps at KVM_KERNEL_BASE in the upper half of every mm's top-level table,
 * for the supervisor only.
 *
 * The entry stub has one OUT for each exception vector and one for SYSCALL. Everything else that
 * a kernel does happens on the host, between two runs of the CPU.
 *
 * revoke(): KVM without hardware paging keeps shadow entries that do not follow changes made from
 * the host. They go when the host's mapping of the frame changes, or seems to (docs/kvm.md); with
 * hardware paging the same call flushes the TLBs. It returns when every CPU has left the
 * translation.
 *
 * Locks: O = the thread that owns the CPU, A = atomic, C = constant.
 */
#ifndef QUIRE_MACHINE_KVM_KVM_H
#define QUIRE_MACHINE_KVM_KVM_H

#include <linux/kvm.h>

#include <quire/quire.h>

#include "base/types.h"

#define KVM_KERNEL_BASE 0xffff800000000000ull

struct kvm_cpu;

/*
 * A machine. `fd_base`: descriptors are moved to this number or above (0: left where they are).
 * 0, or -errno with one line in `why` that says what is missing and what to do: -ENOENT (no
 * /dev/kvm), -EACCES, -EPERM, -ENODEV, -EOPNOTSUPP (a capability is missing: which), -EBUSY (CPU
 * virtualisation used by another hypervisor), -ENOMEM.
 */
QUIRE_MUST_CHECK int kvm_machine_create(int fd_base, struct quire_machine **machine, char *why,
					size_t why_bytes);
/* All its instances and CPUs are gone. */
void kvm_machine_destroy(struct quire_machine *machine);

/* Why a CPU stopped. Registers are those of the program at that moment, in every case. */
enum kvm_exit_reason {
	KVM_CPU_SYSCALL,     /* rax is the number; rip stands behind the instruction */
	KVM_CPU_FAULT,       /* #PF: `address`, `access` (QUIRE_ACCESS_*) */
	KVM_CPU_EXCEPTION,   /* another exception: `vector`, `error_code` */
	KVM_CPU_INTERRUPTED, /* kvm_cpu_kick(), or a signal of the host */
	KVM_CPU_BROKEN, /* KVM cannot go on with it: kvm_describe_broken(); only to be destroyed */
};

struct kvm_cpu_exit {
	enum kvm_exit_reason reason;
	int access;
	uint32_t vector;
	uint64_t error_code; /* as the CPU pushed it, without bits that KVM adds */
	uint64_t address;
};

/*
 * A CPU of the machine, owned by the calling thread, with registers zero, the FPU as after a
 * program's start, and no mm. CPUs that were destroyed are used again. 0, -ENOMEM, -EAGAIN (KVM has
 * no more CPUs).
 */
QUIRE_MUST_CHECK int kvm_cpu_create(struct quire_machine *machine, struct kvm_cpu **cpu);
/* By the owner, or after the owner ended. */
void kvm_cpu_destroy(struct kvm_cpu *cpu);
/* The CPU runs `mm` from now on (NULL: none). Must be left before the mm exits. O. */
void kvm_cpu_switch(struct kvm_cpu *cpu, quire_mm *mm);

/* General registers, rip and rflags; read and written between two runs. O. */
struct kvm_regs *kvm_cpu_regs(struct kvm_cpu *cpu);
uint64_t kvm_cpu_fs_base(const struct kvm_cpu *cpu);
void kvm_cpu_set_fs_base(struct kvm_cpu *cpu, uint64_t base);
uint64_t kvm_cpu_gs_base(const struct kvm_cpu *cpu);
void kvm_cpu_set_gs_base(struct kvm_cpu *cpu, uint64_t base);

/*
 * FPU, SSE, AVX, AVX-512 state in XSAVE's standard (not compacted) format. `area` has
 * kvm_xsave_bytes() bytes, 64-byte aligned. A state to set is checked: -EINVAL for reserved bits
 * in header or MXCSR, and nothing has changed. O.
 */
uint32_t kvm_xsave_bytes(const struct quire_machine *machine);
uint64_t kvm_xfeatures(const struct quire_machine *machine); /* XCR0 */
void kvm_cpu_get_xsave(struct kvm_cpu *cpu, void *area);
QUIRE_MUST_CHECK int kvm_cpu_set_xsave(struct kvm_cpu *cpu, const void *area);
void kvm_cpu_reset_fpu(struct kvm_cpu *cpu);

/* Runs the program until something happens. O. */
void kvm_cpu_run(struct kvm_cpu *cpu, struct kvm_cpu_exit *exit);
/* Of a KVM_CPU_BROKEN: one line that says what happened. `vector` is KVM's exit reason,
 * `error_code` what goes with it (errno for reason 0). */
void kvm_describe_broken(const struct kvm_cpu_exit *exit, char *text, size_t bytes);
/* The CPU's present run, or its next one, ends with KVM_CPU_INTERRUPTED. From any thread, and from
 * a signal handler; one that runs on another thread also needs a signal to leave the guest. */
void kvm_cpu_kick(struct kvm_cpu *cpu);

/*
 * System calls without an exit (call.c), where exits are dear and SYSCALL does not leave ring 3. Of
 * a CPU for which this is enabled and open, calls whose bit is set in `allowed` are posted for a
 * moment before the CPU exits with them. Some other thread, the server, looks for them and answers;
 * meanwhile the owner does not get the CPU back. A call that the server refuses comes out as
 * KVM_CPU_SYSCALL.
 */
#define KVM_CALLS 512
struct kvm_call {
	uint64_t number;
	uint64_t args[6];
};
/* Known after the first system call. O. */
bool kvm_calls_possible(const struct kvm_cpu *cpu);
/* Two pages that stay in their frames: one that the program can execute, at `entry`, and one that
 * it can write, KVM_CALL_AREA_OFFSET bytes behind that; and where the host sees them. */
#define KVM_CALL_AREA_OFFSET 32768
struct kvm_call_place {
	uint64_t entry;
	void *code;
	void *area;
};
/* Until kvm_calls_disable(), or the CPU is switched. 0 or -EIO. O. */
QUIRE_MUST_CHECK int kvm_calls_enable(struct kvm_cpu *cpu, const struct kvm_call_place *place,
				      const uint64_t allowed[KVM_CALLS / 64]);
void kvm_calls_disable(struct kvm_cpu *cpu);
/* The server's: whether it looks. */
void kvm_calls_open(struct kvm_cpu *cpu, bool open);
/* The server's: true when there is a call, which must then be answered or refused. */
bool kvm_call_take(struct kvm_cpu *cpu, struct kvm_call *call);
void kvm_call_answer(struct kvm_cpu *cpu, uint64_t result);
void kvm_call_refuse(struct kvm_cpu *cpu);

/* Whether the time stamp counter of all CPUs so far equals the host's, so that the program may use
 * it. */
bool kvm_tsc_is_host(const struct quire_machine *machine);

#endif
