/* SPDX-License-Identifier: MIT */
/*
 * Accesses of the soft machine's CPUs: each is cut into spans within a page, and each span is one
 * access.
 */
#include "machine/soft/soft.h"

#include "machine/soft/internal.h"

static inline void copy_bytes(void *to, const void *from, size_t bytes)
{
	/* memcpy() need not copy a word as one. */
	if (bytes == 8)
		soft_poke((uintptr_t)to, soft_peek((uintptr_t)from));
	else
		contents_copy(to, from, bytes);
}

/* A range that is being accessed. */
struct access {
	struct soft_cpu *cpu;
	uint64_t address;
	uint64_t bytes;
	int kind; /* QUIRE_ACCESS_* */
	struct soft_outcome *outcome;
};

/* Inlined with each `span`, so that the copy itself is not an indirect call. */
static inline __attribute__((always_inline)) int each_span(const struct access *access,
							   soft_span_fn span, void *context)
{
	for (uint64_t done = 0; done < access->bytes;) {
		uint64_t address = access->address + done;
		uint64_t bytes = min_u64(access->bytes - done, PAGE_SIZE - PAGE_OFFSET(address));
		uint64_t host = soft_translate(access->cpu, address, access->kind, access->outcome);

		if (unlikely(!host))
			return soft_stopped(access->outcome, done);
		span(context, (void *)(uintptr_t)host, bytes);
		soft_leave(access->cpu);
		done += bytes;
	}
	return 0;
}

int soft_for_each_span(struct soft_cpu *cpu, uint64_t address, uint64_t bytes, int access,
		       soft_span_fn span, void *context, struct soft_outcome *outcome)
{
	return each_span(&(struct access){cpu, address, bytes, access, outcome}, span, context);
}

/* Where the next span's bytes go to or come from. */
struct cursor {
	char *buffer;
};

static void load_span(void *context, void *memory, size_t bytes)
{
	struct cursor *cursor = context;

	copy_bytes(cursor->buffer, memory, bytes);
	cursor->buffer += bytes;
}

static void store_span(void *context, void *memory, size_t bytes)
{
	struct cursor *cursor = context;

	copy_bytes(memory, cursor->buffer, bytes);
	cursor->buffer += bytes;
}

static void fill_span(void *context, void *memory, size_t bytes)
{
	contents_fill(memory, *(const uint8_t *)context, bytes);
}

int soft_load(struct soft_cpu *cpu, uint64_t address, void *buffer, uint64_t bytes,
	      struct soft_outcome *outcome)
{
	struct cursor cursor = {buffer};

	return each_span(&(struct access){cpu, address, bytes, QUIRE_ACCESS_READ, outcome},
			 load_span, &cursor);
}

int soft_fetch(struct soft_cpu *cpu, uint64_t address, void *buffer, uint64_t bytes,
	       struct soft_outcome *outcome)
{
	struct cursor cursor = {buffer};

	return each_span(&(struct access){cpu, address, bytes, QUIRE_ACCESS_EXEC, outcome},
			 load_span, &cursor);
}

int soft_store(struct soft_cpu *cpu, uint64_t address, const void *buffer, uint64_t bytes,
	       struct soft_outcome *outcome)
{
	/* store_span() only reads from the buffer. */
	struct cursor cursor = {(char *)(uintptr_t)buffer};

	return each_span(&(struct access){cpu, address, bytes, QUIRE_ACCESS_WRITE, outcome},
			 store_span, &cursor);
}

int soft_fill(struct soft_cpu *cpu, uint64_t address, uint64_t bytes, uint8_t value,
	      struct soft_outcome *outcome)
{
	return each_span(&(struct access){cpu, address, bytes, QUIRE_ACCESS_WRITE, outcome},
			 fill_span, &value);
}

int soft_copy(struct soft_cpu *cpu, uint64_t to, uint64_t from, uint64_t bytes,
	      struct soft_outcome *outcome)
{
	char buffer[PAGE_SIZE];

	for (uint64_t done = 0; done < bytes;) {
		uint64_t n = min_u64(bytes - done, sizeof(buffer));
		int error = soft_load(cpu, from + done, buffer, n, outcome);

		/* What could be loaded before a fault is still stored. */
		if (error)
			n = outcome->done;

		struct soft_outcome store_outcome;

		int store_error = soft_store(cpu, to + done, buffer, n, &store_outcome);

		if (store_error) {
			*outcome = store_outcome;
			error = store_error;
		}
		if (error) {
			outcome->done += done;
			return error;
		}
		done += n;
	}
	return 0;
}

#define CMPXCHG(type, memory, expected, desired) \
	do { \
		type held = (type) * (expected); \
\
		atomic_compare_exchange_strong((_Atomic type *)(memory), &held, (type)(desired)); \
		*(expected) = held; \
	} while (0)

static QUIRE_UNWATCHED void cmpxchg_host(void *memory, uint32_t size, uint64_t *expected,
					 uint64_t desired)
{
	switch (size) {
	case 1:
		CMPXCHG(uint8_t, memory, expected, desired);
		break;
	case 2:
		CMPXCHG(uint16_t, memory, expected, desired);
		break;
	case 4:
		CMPXCHG(uint32_t, memory, expected, desired);
		break;
	default:
		CMPXCHG(uint64_t, memory, expected, desired);
	}
}

static QUIRE_UNWATCHED uint64_t fetch_add_host(void *memory, uint32_t size, uint64_t value)
{
	switch (size) {
	case 1:
		return atomic_fetch_add((_Atomic uint8_t *)memory, (uint8_t)value);
	case 2:
		return atomic_fetch_add((_Atomic uint16_t *)memory, (uint16_t)value);
	case 4:
		return atomic_fetch_add((_Atomic uint32_t *)memory, (uint32_t)value);
	default:
		return atomic_fetch_add((_Atomic uint64_t *)memory, value);
	}
}

static bool atomic_operand_valid(uint64_t address, uint32_t size)
{
	return (size == 1 || size == 2 || size == 4 || size == 8) && !(address & (size - 1));
}

int soft_cmpxchg(struct soft_cpu *cpu, uint64_t address, uint32_t size, uint64_t *expected,
		 uint64_t desired, struct soft_outcome *outcome)
{
	if (!atomic_operand_valid(address, size))
		return -EINVAL;

	uint64_t host = soft_translate(cpu, address, QUIRE_ACCESS_WRITE, outcome);

	if (!host)
		return soft_stopped(outcome, 0);
	cmpxchg_host((void *)(uintptr_t)host, size, expected, desired);
	soft_leave(cpu);
	return 0;
}

int soft_fetch_add(struct soft_cpu *cpu, uint64_t address, uint32_t size, uint64_t *value,
		   struct soft_outcome *outcome)
{
	if (!atomic_operand_valid(address, size))
		return -EINVAL;

	uint64_t host = soft_translate(cpu, address, QUIRE_ACCESS_WRITE, outcome);

	if (!host)
		return soft_stopped(outcome, 0);
	*value = fetch_add_host((void *)(uintptr_t)host, size, *value);
	soft_leave(cpu);
	return 0;
}
