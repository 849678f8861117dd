/* SPDX-License-Identifier: MIT */
/*
 * The kvm machine's own structures: the VM, its slots of memory, the kernel pages, and CPUs.
 *
 * Guest-physical memory: frame n of the arena at n << PAGE_SHIFT, a slot for each section that has
 * come online; at kernel_gpa, behind the largest possible arena, the kernel pages; in the page
 * after them a slot that is there to be deleted (kvm_forget_tables()).
 *
 * KVM is to forget frames without anything else happening to them. Where the host lets Quire have a
 * userfaultfd, that is the way (revoke.c), and the arena has one mapping. Elsewhere it is mapped
 * twice: KVM is given `slots_base`, which nobody else touches, and what is dropped there by
 * madvise() is dropped from KVM alone.
 *
 * Locks: S = slots_lock, P = pool_lock, O = the thread that owns the CPU, A = atomic, C = constant.
 */
#ifndef QUIRE_MACHINE_KVM_INTERNAL_H
#define QUIRE_MACHINE_KVM_INTERNAL_H

#include "machine/kvm/kvm.h"

#include "base/list.h"

#include <pthread.h>

/* Slots of memory, by number. */
enum {
	KVM_SLOT_KERNEL,
	KVM_SLOT_FORGET,
	KVM_SLOT_ARENA /* the first section's; each has its own */
};

/* Kernel pages in order, as seen from KVM_KERNEL_BASE and from kernel_gpa alike. */
enum {
	KERNEL_PAGE_IDT,
	KERNEL_PAGE_STUB,
	KERNEL_PAGE_CPU, /* the first CPU's: descriptor table, task state, stack */
	KVM_CPUS_MAX = 1024,
	/* Not mapped in the guest: the tables that map the others. */
	KERNEL_PAGE_TABLES = KERNEL_PAGE_CPU + KVM_CPUS_MAX,
	KERNEL_TABLES = 2 + (KERNEL_PAGE_TABLES + 511) / 512,
	KERNEL_PAGES = KERNEL_PAGE_TABLES + KERNEL_TABLES
};

/* The entry stub: 16 bytes for each exception vector, then those for SYSCALL. The port of the OUT
 * says which it was. */
#define STUB_ADDRESS (KVM_KERNEL_BASE + KERNEL_PAGE_STUB * PAGE_SIZE)
#define STUB_STRIDE 16
#define STUB_VECTORS 32
#define STUB_SYSCALL (STUB_ADDRESS + STUB_VECTORS * STUB_STRIDE)
#define STUB_SYSCALL_PORT 0x80

#define SELECTOR_KERNEL_CODE 0x10
#define SELECTOR_USER_DATA 0x2b
#define SELECTOR_USER_CODE 0x33
#define SELECTOR_TASK 0x40

#define LARGE_PAGE PMD_SIZE
/* Bytes of the arena for which no large pages are asked: small programs do without. */
#define LARGE_FROM (2 * LARGE_PAGE)

struct kvm_machine {
	struct quire_machine machine;
	int fd_base; /* C */
	int kvm_fd;  /* C */
	int vm_fd;   /* C */
	/* Arena. */
	char *base;       /* C while there is an instance: the core's mapping; NULL: none */
	char *slots_base; /* likewise: KVM's mapping, which may be the same */
	int userfaultfd;  /* likewise; -1: the mappings are two */
	pthread_mutex_t slots_lock;
	uint32_t nr_sections;      /* S: slots from KVM_SLOT_ARENA on */
	_Atomic uint64_t online;   /* written under S: bytes of the arena that have slots */
	_Atomic uint64_t prepared; /* A: of two mappings: bytes of the arena before which nothing is
				      to be prepared */
	uint64_t arena_bytes_max;  /* C */
	uint32_t nr_slots_max;     /* C */
	/* Kernel pages. */
	char *kernel;        /* C */
	uint64_t kernel_gpa; /* C */
	/* CPUs. */
	struct kvm_cpuid2 *cpuid;       /* C */
	uint64_t xfeatures;             /* C: XCR0 */
	uint32_t xsave_bytes;           /* C: standard format of those features */
	uint32_t kvm_xsave_bytes;       /* C: what KVM reads and writes */
	uint64_t cr4;                   /* C */
	size_t run_bytes;               /* C: of struct kvm_run and what follows it */
	_Atomic bool syscall_in_ring_3; /* A: a CPU has been seen to stay there */
	_Atomic bool tsc_differs;       /* A: a CPU's time stamp counter is not the host's */
	pthread_mutex_t pool_lock;
	uint32_t nr_cpus;         /* P: that KVM has */
	uint32_t nr_cpus_max;     /* C */
	struct list_head idle;    /* P: CPUs to be used again */
	struct list_head retired; /* P: CPUs that broke */
	uint32_t cpus_out;        /* P: CPUs in their owners' hands */
};

/* Who may look at a CPU's state and its program's calls. */
enum {
	HOLDER_OWNER,
	HOLDER_GUEST, /* nobody: it runs */
	HOLDER_SERVER
};

struct kvm_call_area;

struct kvm_cpu {
	struct kvm_machine *machine; /* C */
	struct list_head list;       /* P: while in nobody's hands */
	int fd;                      /* C */
	uint32_t index;              /* C */
	/*
	 * Shared with KVM. Between two runs run->s.regs are the program's registers;
	 * run->kvm_dirty_regs says what KVM must take from there.
	 */
	struct kvm_run *run;
	char *page;                      /* C: the CPU's kernel page */
	void *xsave;                     /* O: for ioctls */
	quire_mm *mm;                    /* O */
	bool broken;                     /* O: not to be used again */
	bool calls;                      /* O: SYSCALL lands in the CPU's call page */
	uint64_t call_entry;             /* O: the call page, in the mm */
	struct kvm_call_area *call_area; /* O: the call area */
	_Atomic uint32_t holder;         /* A: HOLDER_* */
};

static inline struct kvm_machine *to_kvm(const struct quire_machine *machine)
{
	return container_of((struct quire_machine *)(uintptr_t)machine, struct kvm_machine,
			    machine);
}

/* A descriptor out of the way of the program's, closed at exec. Takes over `fd` (-1: errno is
 * returned). The new one, or -errno. (machine.c) */
QUIRE_MUST_CHECK int kvm_own_fd(const struct kvm_machine *kvm, int fd);
/* A slot of memory; 0 bytes: deletes it. 0 or -errno. (arena.c) */
QUIRE_MUST_CHECK int kvm_set_slot(const struct kvm_machine *kvm, uint32_t slot, uint64_t gpa,
				  void *memory, uint64_t bytes);

/* Operations of the machine. (arena.c) */
int kvm_arena_create(struct quire_machine *machine, uint64_t bytes, void **base);
void kvm_arena_destroy(struct quire_machine *machine, void *base, uint64_t bytes);
int kvm_arena_online(struct quire_machine *machine, uint64_t offset, uint64_t bytes);
void kvm_publish(struct quire_machine *machine, void *context, uint64_t start, uint64_t end);
void kvm_revoke(struct quire_machine *machine, void *context, const struct quire_revoke *revoke);
void kvm_forget_tables(struct quire_machine *machine);

/* IDT, stub and the tables that map the kernel pages. 0, -errno. (kernel.c) */
QUIRE_MUST_CHECK int kvm_kernel_create(struct kvm_machine *kvm);
void kvm_kernel_destroy(struct kvm_machine *kvm);
/* The top-level entry that maps the kernel pages. */
uint64_t kvm_kernel_entry(const struct kvm_machine *kvm);
/* A CPU's page: descriptor table, task state. */
void kvm_kernel_init_cpu(struct kvm_cpu *cpu);
/* Where these are in the guest. */
uint64_t kvm_kernel_cpu_address(const struct kvm_cpu *cpu);
uint64_t kvm_kernel_task_address(const struct kvm_cpu *cpu);
#define KERNEL_GDT_BYTES 80
#define KERNEL_TASK_BYTES 0x68

/* What CPUs can do: fills in kvm->cpuid, xfeatures, cr4 and sizes. 0, -errno. (cpuid.c) */
QUIRE_MUST_CHECK int kvm_cpuid_create(struct kvm_machine *kvm);

/*
 * Calls without an exit. (call.c) The owner lets go of the CPU before each run and takes it back
 * behind it, waiting for the end of a call that is being served.
 */
void kvm_call_enter_guest(struct kvm_cpu *cpu);
void kvm_call_leave_guest(struct kvm_cpu *cpu);
enum kvm_call_progress {
	KVM_CALL_NONE,     /* the CPU was not in its call page */
	KVM_CALL_MADE,     /* registers are as SYSCALL left them: the call is to be served */
	KVM_CALL_ANSWERED, /* the same, but with the result in rax */
};
/* The CPU was stopped anywhere; puts the registers in order. */
enum kvm_call_progress kvm_call_progress(struct kvm_cpu *cpu);
/* SYSCALL has arrived in the supervisor's stub. True: it was answered meanwhile, as above. */
bool kvm_call_exits(struct kvm_cpu *cpu);

/* Where SYSCALL jumps. 0 or -errno. (cpu.c) */
QUIRE_MUST_CHECK int kvm_cpu_set_syscall_entry(struct kvm_cpu *cpu, uint64_t address);
/* The next run goes on in ring 3. (cpu.c) */
void kvm_cpu_enter_user_mode(struct kvm_cpu *cpu);
/* Destroys all CPUs, which are in nobody's hands. (cpu.c) */
void kvm_cpus_destroy(struct kvm_machine *kvm);

#endif
