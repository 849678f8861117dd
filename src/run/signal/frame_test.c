/* SPDX-License-Identifier: MIT */
/*
 * Tests of signal frames: where they stand, what of the registers comes back, which FPU states are
 * believed; and of alternate stacks.
 */
#include "run/signal/frame.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "run/signal/internal.h"

#define STACK_TOP 0x7fffffffe000u
#define ALT_START 0x10000u
#define ALT_BYTES 0x4000u
#define XSAVE_BYTES 2696u
#define XFEATURES 0xe7u

static stack_t alternate(int flags)
{
	return (stack_t){
		.ss_sp = (void *)(uintptr_t)ALT_START, .ss_size = ALT_BYTES, .ss_flags = flags};
}

static void test_place_below_red_zone(void **state)
{
	const stack_t none = {.ss_flags = SS_DISABLE};

	(void)state;
	for (uint64_t at = STACK_TOP - 128; at < STACK_TOP; at++) {
		struct frame_place place;

		assert_int_equal(frame_place(at, &none, true, XSAVE_BYTES, &place), 0);
		assert_int_equal(place.fpstate % 64, 0);
		assert_true(place.fpstate + XSAVE_BYTES + FPX_MAGIC2_BYTES <= at - 128);
		assert_true(place.fpstate + XSAVE_BYTES + FPX_MAGIC2_BYTES + 64 > at - 128);
		assert_int_equal(place.frame % 16, 8);
		assert_true(place.frame + sizeof(struct rt_sigframe) <= place.fpstate);
		assert_true(place.frame + sizeof(struct rt_sigframe) + 24 > place.fpstate);
	}
}

static void test_place_on_alternate_stack(void **state)
{
	const stack_t alt = alternate(0);
	struct frame_place place, nested;

	(void)state;
	assert_int_equal(frame_place(STACK_TOP, &alt, false, XSAVE_BYTES, &place), 0);
	assert_true(place.frame > ALT_START + ALT_BYTES);
	assert_int_equal(frame_place(STACK_TOP, &alt, true, XSAVE_BYTES, &place), 0);
	assert_true(place.frame > ALT_START && place.fpstate < ALT_START + ALT_BYTES);
	/* A handler on it that is interrupted goes on below, with a red zone. */
	assert_int_equal(frame_place(place.frame, &alt, true, XSAVE_BYTES, &nested), 0);
	assert_true(nested.fpstate + XSAVE_BYTES <= place.frame - 128);
	/* Until it is full. */
	assert_int_equal(frame_place(ALT_START + 1024, &alt, true, XSAVE_BYTES, &place), -EFAULT);
	assert_int_equal(frame_place(ALT_START + 1024, &alt, false, XSAVE_BYTES, &place), -EFAULT);
}

static void test_place_on_small_alternate_stack(void **state)
{
	stack_t alt = alternate(0);
	struct frame_place place;

	(void)state;
	alt.ss_size = KERNEL_MINSIGSTKSZ;
	assert_int_equal(frame_place(STACK_TOP, &alt, true, XSAVE_BYTES, &place), -EFAULT);
	alt.ss_size = XSAVE_BYTES + FPX_MAGIC2_BYTES + sizeof(struct rt_sigframe) + 63 + 24;
	assert_int_equal(frame_place(STACK_TOP, &alt, true, XSAVE_BYTES, &place), 0);
}

static void test_disarmed_stack_is_entered_anew(void **state)
{
	const stack_t alt = alternate((int)SS_AUTODISARM_FLAG);
	struct frame_place place, again;

	(void)state;
	assert_int_equal(frame_place(STACK_TOP, &alt, true, XSAVE_BYTES, &place), 0);
	assert_int_equal(frame_place(place.frame, &alt, true, XSAVE_BYTES, &again), 0);
	assert_int_equal(place.frame, again.frame);
}

static void test_altstack_rules(void **state)
{
	const uint64_t inside = ALT_START + 64;
	stack_t alt = {.ss_flags = SS_DISABLE};
	stack_t wanted = alternate(0);

	(void)state;
	assert_int_equal(altstack_flags(&alt, inside), SS_DISABLE);
	wanted.ss_size = KERNEL_MINSIGSTKSZ - 1;
	assert_int_equal(altstack_set(&alt, &wanted, STACK_TOP), -ENOMEM);
	wanted = alternate(8);
	assert_int_equal(altstack_set(&alt, &wanted, STACK_TOP), -EINVAL);
	assert_int_equal(alt.ss_flags, SS_DISABLE);
	wanted = alternate(0);
	assert_int_equal(altstack_set(&alt, &wanted, STACK_TOP), 0);
	assert_int_equal(altstack_flags(&alt, STACK_TOP), 0);
	/* The first address is outside, the one past the end inside, as a stack pointer. */
	assert_int_equal(altstack_flags(&alt, ALT_START), 0);
	assert_int_equal(altstack_flags(&alt, ALT_START + 1), SS_ONSTACK);
	assert_int_equal(altstack_flags(&alt, ALT_START + ALT_BYTES), SS_ONSTACK);
	assert_int_equal(altstack_flags(&alt, ALT_START + ALT_BYTES + 1), 0);
	wanted = (stack_t){.ss_flags = SS_DISABLE, .ss_size = 5};
	assert_int_equal(altstack_set(&alt, &wanted, inside), -EPERM);
	assert_int_equal(altstack_set(&alt, &wanted, STACK_TOP), 0);
	assert_int_equal(alt.ss_size, 0);
	wanted = alternate((int)SS_AUTODISARM_FLAG);
	assert_int_equal(altstack_set(&alt, &wanted, STACK_TOP), 0);
	assert_int_equal(altstack_set(&alt, &wanted, inside), 0);
}

static void test_registers_round_trip(void **state)
{
	struct kvm_regs before, after;
	struct frame_sigcontext context = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(before); i++)
		((uint8_t *)&before)[i] = (uint8_t)(i * 7 + 1);
	memset(&after, 0, sizeof(after));
	before.rflags = after.rflags = 0x202;
	sigcontext_from_regs(&context, &before);
	assert_int_equal(context.cs, 0x33);
	assert_int_equal(context.ss, 0x2b);
	sigcontext_to_regs(&context, &after);
	assert_memory_equal(&before, &after, sizeof(before));
}

static void test_flags_that_a_program_may_not_set(void **state)
{
	struct frame_sigcontext context = {.flags = UINT64_MAX};
	struct kvm_regs regs = {.rflags = 0x202};

	(void)state;
	sigcontext_to_regs(&context, &regs);
	assert_int_equal(regs.rflags, 0x50dd5 | 0x202);
	context.flags = 0;
	sigcontext_to_regs(&context, &regs);
	assert_int_equal(regs.rflags, 0x202);
}

struct fpstate {
	_Alignas(64) uint8_t area[XSAVE_BYTES_MAX + FPX_MAGIC2_BYTES];
};

static void make_fpstate(struct fpstate *fpstate)
{
	const uint64_t features = XFEATURES;

	memset(fpstate, 0, sizeof(*fpstate));
	memset(fpstate->area, 0x11, 416);
	memset(fpstate->area + XSAVE_LEGACY_BYTES + XSAVE_HEADER_BYTES, 0x22,
	       XSAVE_BYTES - XSAVE_LEGACY_BYTES - XSAVE_HEADER_BYTES);
	memcpy(fpstate->area + XSAVE_LEGACY_BYTES, &features, sizeof(features));
}

static uint64_t header_features(const struct fpstate *fpstate)
{
	uint64_t features;

	memcpy(&features, fpstate->area + XSAVE_LEGACY_BYTES, sizeof(features));
	return features;
}

static void test_fpstate_round_trip(void **state)
{
	struct fpstate before, after;

	(void)state;
	make_fpstate(&before);
	after = before;
	fpstate_mark(after.area, XSAVE_BYTES, XFEATURES);
	assert_int_equal(fpstate_claims(after.area, XSAVE_BYTES, XFEATURES),
			 XSAVE_BYTES + FPX_MAGIC2_BYTES);
	fpstate_unmark(after.area, XSAVE_BYTES, XFEATURES, true);
	assert_memory_equal(before.area, after.area, XSAVE_BYTES);
}

/* A claim that is not believed leaves the legacy part. */
static void test_fpstate_claims(void **state)
{
	struct fpstate fpstate;
	struct frame_fpx_sw *sw = (struct frame_fpx_sw *)(fpstate.area + FPX_SW_OFFSET);

	(void)state;
	make_fpstate(&fpstate);
	assert_int_equal(fpstate_claims(fpstate.area, XSAVE_BYTES, XFEATURES), 0);
	fpstate_mark(fpstate.area, XSAVE_BYTES, XFEATURES);
	sw->magic1++;
	assert_int_equal(fpstate_claims(fpstate.area, XSAVE_BYTES, XFEATURES), 0);
	sw->magic1--;
	sw->xfeatures |= 1u << 17;
	assert_int_equal(fpstate_claims(fpstate.area, XSAVE_BYTES, XFEATURES), 0);
	sw->xfeatures = XFEATURES;
	sw->xstate_size = XSAVE_BYTES + 1;
	assert_int_equal(fpstate_claims(fpstate.area, XSAVE_BYTES, XFEATURES), 0);
	sw->xstate_size = XSAVE_LEGACY_BYTES;
	assert_int_equal(fpstate_claims(fpstate.area, XSAVE_BYTES, XFEATURES), 0);
	sw->xstate_size = XSAVE_BYTES;
	sw->extended_size = 0;
	assert_int_equal(fpstate_claims(fpstate.area, XSAVE_BYTES, XFEATURES), 0);
}

static void test_fpstate_legacy_only(void **state)
{
	struct fpstate fpstate;

	(void)state;
	make_fpstate(&fpstate);
	fpstate_mark(fpstate.area, XSAVE_BYTES, XFEATURES);
	fpstate_unmark(fpstate.area, XSAVE_BYTES, XFEATURES, false);
	assert_int_equal(header_features(&fpstate), XFEATURES_LEGACY);
	for (uint32_t i = 0; i < 416; i++)
		assert_int_equal(fpstate.area[i], 0x11);
	for (uint32_t i = XSAVE_LEGACY_BYTES + XSAVE_HEADER_BYTES; i < XSAVE_BYTES; i++)
		assert_int_equal(fpstate.area[i], 0);
}

/* A frame of fewer features, in a shorter area, leaves the others initial. */
static void test_fpstate_fewer_features(void **state)
{
	const uint32_t avx_bytes = 832;
	struct fpstate fpstate;
	struct frame_fpx_sw *sw = (struct frame_fpx_sw *)(fpstate.area + FPX_SW_OFFSET);

	(void)state;
	make_fpstate(&fpstate);
	fpstate_mark(fpstate.area, XSAVE_BYTES, XFEATURES);
	sw->xfeatures = 7;
	sw->xstate_size = avx_bytes;
	assert_int_equal(fpstate_claims(fpstate.area, XSAVE_BYTES, XFEATURES),
			 avx_bytes + FPX_MAGIC2_BYTES);
	fpstate_unmark(fpstate.area, XSAVE_BYTES, XFEATURES, true);
	assert_int_equal(header_features(&fpstate), 7);
	assert_int_equal(fpstate.area[avx_bytes - 1], 0x22);
	for (uint32_t i = avx_bytes; i < XSAVE_BYTES; i++)
		assert_int_equal(fpstate.area[i], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_place_below_red_zone),
		cmocka_unit_test(test_place_on_alternate_stack),
		cmocka_unit_test(test_place_on_small_alternate_stack),
		cmocka_unit_test(test_disarmed_stack_is_entered_anew),
		cmocka_unit_test(test_altstack_rules),
		cmocka_unit_test(test_registers_round_trip),
		cmocka_unit_test(test_flags_that_a_program_may_not_set),
		cmocka_unit_test(test_fpstate_round_trip),
		cmocka_unit_test(test_fpstate_claims),
		cmocka_unit_test(test_fpstate_legacy_only),
		cmocka_unit_test(test_fpstate_fewer_features),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
