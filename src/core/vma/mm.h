/* SPDX-License-Identifier: MIT */
/*
 * mm_struct and vm_area_struct: an address space and its areas.
 *
 * Invariants
 *  1. VMAs are page-aligned, not empty, within [0, task_size), and never overlap.
 *  2. The same instances stand in mm->mmap (a list in address order) and in mm->mm_rb (a red-black
 * tree by vm_start); mm->map_count counts them.
 *  3. rb_subtree_gap of a node is the largest gap just below any VMA of its subtree: from the end
 * of the VMA before it (or 0) to vm_start, less the guard gap of one that grows down.
 *  4. Not anonymous: the VMA is in the i_mmap tree of its vm_file's address_space. anon_vma set:
 * the VMA is in that anon_vma's tree (by its anon_vma_chain).
 *  5. total_vm and its parts count pages of VMAs; locked_vm counts those of VM_LOCKED ones; the
 * instance's committed pages count those of VM_ACCOUNT ones.
 *
 * A shared mapping of a file that was opened for reading only has VM_MAYSHARE without VM_SHARED, as
 * on Linux: it can never be written, so nothing treats it as shared, but people see it as such.
 *
 * Locks: M = mmap_lock (written holding it for writing, read holding it at all), G =
 * page_table_lock, A = atomic, C = constant, I = instance lock, F = i_mmap_lock of the file.
 */
#ifndef QUIRE_CORE_VMA_MM_H
#define QUIRE_CORE_VMA_MM_H

#include "base/interval_tree.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/rbtree.h"
#include "base/stat.h"
#include "base/types.h"
#include "core/vma/mapping_stat.h"

struct anon_vma;
struct file;
struct mem_cgroup;
struct mm_struct;
struct page;
struct quire;
struct vm_fault;
struct vm_area_struct;

/* vm_flags, with Linux's values where it has them. */
#define VM_READ 0x00000001u
#define VM_WRITE 0x00000002u
#define VM_EXEC 0x00000004u
#define VM_SHARED 0x00000008u
#define VM_MAYREAD 0x00000010u
#define VM_MAYWRITE 0x00000020u
#define VM_MAYEXEC 0x00000040u
#define VM_MAYSHARE 0x00000080u
#define VM_GROWSDOWN 0x00000100u
#define VM_PFNMAP 0x00000400u
#define VM_DENYWRITE 0x00000800u /* MAP_DENYWRITE: a segment of a program, whose file rests */
#define VM_LOCKED 0x00002000u
#define VM_IO 0x00004000u
#define VM_SEQ_READ 0x00008000u
#define VM_RAND_READ 0x00010000u
#define VM_DONTCOPY 0x00020000u
#define VM_DONTEXPAND 0x00040000u
#define VM_LOCKONFAULT 0x00080000u
#define VM_ACCOUNT 0x00100000u
#define VM_NORESERVE 0x00200000u
#define VM_DEV_ZERO 0x01000000u /* private mapping of /dev/zero: anonymous, with a name */
#define VM_WIPEONFORK 0x02000000u
#define VM_DONTDUMP 0x04000000u
#define VM_MIXEDMAP 0x10000000u
#define VM_HUGEPAGE 0x20000000u
#define VM_NOHUGEPAGE 0x40000000u
#define VM_MERGEABLE 0x80000000u

#define VM_MAYBE_GUARD ((uint64_t)1 << 32) /* may have guard markers: fork copies entries */
#define VM_HEAP ((uint64_t)1 << 34)        /* made by brk: counts as the heap in reports */
#define VM_DROPPABLE ((uint64_t)1 << 40)   /* contents may go under pressure, never to swap */
#define VM_SEALED ((uint64_t)1 << 42)      /* mseal: neither changed nor unmapped */

#define VM_ACCESS_FLAGS (VM_READ | VM_WRITE | VM_EXEC)
#define VM_SPECIAL (VM_IO | VM_DONTEXPAND | VM_PFNMAP | VM_MIXEDMAP)
#define VM_STICKY (VM_MAYBE_GUARD | VM_HEAP) /* no matter for a merge, and handed on by it */
#define VM_LOCKED_MASK (VM_LOCKED | VM_LOCKONFAULT)

/* x86-64 layout, in bytes. */
#define TASK_SIZE_MAX (((uint64_t)1 << 47) - PAGE_SIZE)
#define MMAP_MIN_ADDR ((uint64_t)65536)
#define STACK_GUARD_GAP ((uint64_t)256 << PAGE_SHIFT)
#define MAX_MAP_COUNT_DEFAULT 65530

enum mm_rss {
	MM_FILEPAGES,
	MM_ANONPAGES,
	MM_SWAPENTS,
	MM_SHMEMPAGES,
	MM_RSS_ITEMS
};

enum mm_limit {
	LIMIT_AS,
	LIMIT_DATA,
	LIMIT_STACK,
	LIMIT_MEMLOCK,
	MM_LIMITS
};
#define LIMIT_INFINITY UINT64_MAX

/* The name of anonymous memory (PR_SET_VMA_ANON_NAME), see vma.h. */
struct anon_vma_name {
	_Atomic uint32_t refcount; /* A */
	char text[];               /* C */
};

/* What a kind of mapping does for itself. All members may be NULL. */
struct vm_operations_struct {
	const char *name;
	void (*open)(
		struct vm_area_struct *vma); /* a copy of the VMA came to be (split, fork, move) */
	void (*close)(struct vm_area_struct *vma); /* this VMA goes */
	int (*may_split)(struct vm_area_struct *vma, uint64_t address);
	int (*mremap)(struct vm_area_struct *vma);
};

struct vm_area_struct {
	/* First cache line: all that a descent of the tree touches. */
	uint64_t vm_start;       /* M: first byte */
	uint64_t vm_end;         /* M: first byte after */
	struct rb_node vm_rb;    /* M */
	uint64_t rb_subtree_gap; /* M: bytes */
	struct mm_struct *vm_mm; /* C */
	uint64_t vm_flags;       /* M, changed under both reverse maps' locks too */

	uint64_t vm_page_prot; /* M: pte bits of a new entry, see vm_get_page_prot() */
	uint64_t vm_pgoff; /* M: offset in vm_file, or for anonymous ones vm_start >> PAGE_SHIFT at
			      first mapping, in pages */
	struct list_head vm_list; /* M */
	struct file *vm_file;     /* C: holds a reference, NULL for anonymous private */
	union {
		struct interval_tree_node shared; /* F: in vm_file's i_mmap, by page offset */
		struct anon_vma_name *anon_name;  /* M: without vm_file; holds a reference, may be
						     NULL */
	};
	struct list_head anon_vma_chain; /* M, and G when the first is added */
	_Atomic(struct anon_vma *)
		anon_vma; /* M, and G: set once by a fault that holds mmap_lock for reading */
	const struct vm_operations_struct *vm_ops; /* C */
	struct mem_cgroup
		*vm_memcg; /* M: budget of this mapping alone, holds a reference; NULL: the mm's */
};

_Static_assert(offsetof(struct vm_area_struct, vm_page_prot) == 64, "a descent touches one line");
_Static_assert(sizeof(struct vm_area_struct) == 192, "VMAs are packed by whole cache lines");

struct vma_chunk;
struct vma_index_node;

struct mm_struct {
	struct percpu_rwlock mmap_lock;
	struct quire *quire;       /* C */
	struct list_head mmap;     /* M: VMAs in address order */
	struct rb_root mm_rb;      /* M */
	uint64_t highest_vm_end;   /* M */
	uint32_t map_count;        /* M */
	uint32_t vma_index_height; /* M */
	struct vma_index_node
		*vma_index;           /* M: for lookups among many, see vma_index.c; may be NULL */
	struct vma_chunk *vma_chunks; /* M: memory of all VMAs, see vma_slab.c */
	struct vm_area_struct *vma_free; /* M: unused VMAs, linked by vm_rb.rb_left */
	uint64_t task_size;              /* C */
	uint64_t mmap_base;              /* M: top of the mmap area, below the stack */
	uint64_t start_code, end_code, start_data, end_data; /* M */
	uint64_t start_brk, brk, start_stack;                /* M */
	uint64_t arg_start, arg_end, env_start, env_end;     /* M */
	uint64_t total_vm, data_vm, exec_vm, stack_vm;       /* M: pages */
	uint64_t hiwater_vm;                                 /* M: most that total_vm was */
	uint64_t locked_vm;                                  /* M: pages */
	uint64_t def_flags;        /* M: VM_LOCKED and VM_LOCKONFAULT by mlockall(MCL_FUTURE) */
	uint64_t limit[MM_LIMITS]; /* M: bytes, soft limits */
	bool no_randomize;         /* M: ADDR_NO_RANDOMIZE of personality(2), as exec found it */
	bool may_lock;             /* M: CAP_IPC_LOCK: LIMIT_MEMLOCK does not apply */
	bool may_map_low; /* M: CAP_SYS_RAWIO: MMAP_MIN_ADDR is no bound for fixed addresses */
	uint32_t mdwe;    /* M: QUIRE_MDWE_* */
	_Atomic bool oom_killed; /* A: an OOM verdict fell on it */

	struct spinlock page_table_lock;  /* upper levels; first anon_vma of a VMA */
	pfn_t pgd;                        /* C: frame of the top-level table */
	_Atomic uint64_t pgtables;        /* A: frames used by page tables */
	_Atomic uint32_t revokes_pending; /* A: batches of reclaim that name this mm */
	void *machine_context;            /* C */
	struct stat_counters rss;         /* A: enum mm_rss, pages */
	_Atomic uint64_t hiwater_rss;     /* A: pages, see mm_hiwater_rss() */
	_Atomic uint64_t rss_dropped; /* A: pages unmapped since it was last brought up to date */

	struct mapping_stat parts[MM_PARTS]; /* A: of anonymous memory, see mapping_stat.h */

	struct mem_cgroup *memcg; /* C: holds a reference */
	bool own_memcg;           /* C: the group was made for this mm alone */
	struct list_head mm_list; /* I: all mms of the instance */
	uint64_t id;              /* C: never reused within an instance */
	char name[32];            /* C */
};

static inline uint64_t vma_pages(const struct vm_area_struct *vma)
{
	return (vma->vm_end - vma->vm_start) >> PAGE_SHIFT;
}

/* Private /dev/zero is anonymous too: it keeps its file (flagged VM_DEV_ZERO) for its name only. */
static inline bool vma_is_anonymous(const struct vm_area_struct *vma)
{
	return !vma->vm_file || (vma->vm_flags & VM_DEV_ZERO);
}

static inline struct anon_vma_name *vma_anon_name(const struct vm_area_struct *vma)
{
	return vma->vm_file ? NULL : vma->anon_name;
}

static inline bool vma_is_shared(const struct vm_area_struct *vma)
{
	return vma->vm_flags & VM_SHARED;
}

/* Offset in the file (or anonymous numbering), in pages, of an address within the VMA. */
static inline pgoff_t linear_page_index(const struct vm_area_struct *vma, uint64_t address)
{
	return vma->vm_pgoff + ((address - vma->vm_start) >> PAGE_SHIFT);
}

/* At a fixed address: the pages that catch null pointers are for the privileged. mmap_lock held. */
static inline bool may_map_at(const struct mm_struct *mm, uint64_t address)
{
	return address >= MMAP_MIN_ADDR || mm->may_map_low;
}

static inline void mmap_read_lock(struct mm_struct *mm)
{
	percpu_read_lock(&mm->mmap_lock);
}

static inline void mmap_read_unlock(struct mm_struct *mm)
{
	percpu_read_unlock(&mm->mmap_lock);
}

static inline void mmap_write_lock(struct mm_struct *mm)
{
	percpu_write_lock(&mm->mmap_lock);
}

static inline void mmap_write_unlock(struct mm_struct *mm)
{
	percpu_write_unlock(&mm->mmap_lock);
}

static inline void mmap_assert_write_locked(struct mm_struct *mm)
{
	QUIRE_ASSERT(1, percpu_rwlock_is_write_locked(&mm->mmap_lock));
	(void)mm;
}

/* So many pages are about to be unmapped: most that were resident, when it was long ago that
 * somebody looked (mm.c). */
void update_hiwater_rss(struct mm_struct *mm, uint64_t pages);

static inline void add_mm_rss(struct mm_struct *mm, enum mm_rss item, int64_t pages)
{
	if (pages < 0 && item != MM_SWAPENTS)
		update_hiwater_rss(mm, (uint64_t)-pages);
	stat_add(&mm->rss, item, pages);
}

/* The mm goes: its counts of mappings are kept (mapping_stat.c). */
void mm_keep_stats(struct mm_struct *mm);
/* Most pages that were resident at a time, at most 64 too few; and from now on. */
uint64_t mm_hiwater_rss(struct mm_struct *mm);
void mm_reset_hiwater_rss(struct mm_struct *mm);

/*
 * A new, empty mm: page table, machine context, limits at their defaults, layout of x86-64 Linux
 * (randomised when the instance was created with a seed), charged to `memcg` (a reference is taken;
 * NULL: a new group below the instance's). 0 and *mm, or -ENOMEM.
 */
QUIRE_MUST_CHECK int mm_alloc(struct quire *quire, const char *name, struct mem_cgroup *memcg,
			      struct mm_struct **mm);
/* Undoes mm_alloc() for an mm without VMAs: for mm_destroy() and for a fork that failed. Neither
 * locked nor in use. */
void mm_free(struct mm_struct *mm);
/* Unmaps everything and frees the mm. No CPU uses it, nobody holds its lock. Cannot fail.
 * (core/call/exit.c) */
void mm_destroy(struct mm_struct *mm);
/* Unmaps everything, keeps the mm (exec). */
void exit_mmap(struct mm_struct *mm);

/*
 * Layout, randomised when the instance was created with a seed (layout.c). arch_pick_mmap_layout()
 * sets mmap_base from LIMIT_STACK. exec places the stack at randomize_stack_top(), a
 * position-independent program at elf_et_dyn_base(), and start_brk at arch_randomize_brk() of the
 * page-aligned end of bss; at elf_et_dyn_brk() for a position-independent program without an
 * interpreter, whose image leaves no room behind it in the mmap area.
 */
void arch_pick_mmap_layout(struct mm_struct *mm);
uint64_t randomize_stack_top(struct mm_struct *mm);
uint64_t elf_et_dyn_base(struct mm_struct *mm);
uint64_t elf_et_dyn_brk(struct mm_struct *mm);
uint64_t arch_randomize_brk(struct mm_struct *mm, uint64_t brk);

/* Every invariant above, of list, tree, counts, reverse maps and page table. mmap_lock held. */
struct check_report;
void mm_validate(struct mm_struct *mm, struct check_report *report);

#endif
