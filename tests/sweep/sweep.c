/* SPDX-License-Identifier: MIT */
/*
 * The failure sweep: runs each scenario again and again, with failure N = 1, 2, ... at each site
 * (allocations, frames, store calls, machine calls), once and from then on, until a run reaches no
 * failure. See sweep.h for what every run must fulfil.
 *
 *   sweep [--full] [--runs=R] [--seed=S] [--scenario=NAME] [--site=SITE] [--nth=N] [--eager]
 *         [--verbose]
 *
 * The number of the calls at a site is counted by a run without failure. If there are more than R
 * (default 60), R of them are chosen, evenly, one at random out of each stretch, by the seed;
 * --full takes every N. With --eager, faults fill what lies around them, and the machine goes by
 * the frames of a revocation. A run that fails prints the options that repeat it.
 */
#include "sweep.h"

#include "base/alloc.h"
#include "base/prng.h"

#include <quire/memory_store.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <getopt.h>

#define RUNS_DEFAULT 60
#define KIB ((uint64_t)1024)
#define MIB (KIB * KIB)

static const char *const site_names[FAIL_SITES] = {
	[FAIL_ALLOC] = "alloc",
	[FAIL_FRAME] = "frame",
	[FAIL_STORE] = "store",
	[FAIL_MACHINE] = "machine",
};

static bool eager; /* --eager */

static const struct scenario scenarios[] = {
	{"anonymous", 4 * MIB, 0, "two-list", scenario_anonymous, false},
	{"remap", 4 * MIB, 0, "two-list", scenario_remap, false},
	{"advice", 4 * MIB, 256, "sieve", scenario_advice, false},
	{"fork", 4 * MIB, 0, "two-list", scenario_fork, false},
	{"file-mapping", 4 * MIB, 0, "two-list", scenario_file_mapping, false},
	{"file-calls", 4 * MIB, 0, "sieve", scenario_file_calls, false},
	{"objects", 4 * MIB, 256, "two-list", scenario_objects, false},
	{"exec", 4 * MIB, 0, "two-list", scenario_exec, false},
	{"swap", 1 * MIB, 512, "two-list", scenario_swap, false},
	{"swap-sieve", 1 * MIB, 512, "sieve", scenario_swap, false},
	{"swap-fork", 2 * MIB, 512, "two-list", scenario_swap_fork, false},
	{"groups", 4 * MIB, 512, "two-list", scenario_groups, false},
	{"places", 4 * MIB, 0, "two-list", scenario_places, false},
	{"limits", 4 * MIB, 64, "two-list", scenario_limits, false},
	{"abandon", 1 * MIB, 256, "two-list", scenario_abandon, true},
};

struct options {
	uint64_t runs;
	uint64_t seed;
	const char *scenario;
	int site; /* -1: all */
	uint64_t nth;
	bool full;
	bool verbose;
};

void sweep_die(struct sweep *sweep, const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "sweep --scenario=%s --site=%s --nth=%llu%s (%s): ", sweep->scenario,
		site_names[sweep->site], (unsigned long long)sweep->nth, eager ? " --eager" : "",
		sweep->from_then_on ? "from then on" : "once");
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	abort();
}

static bool error_allowed(int error, uint32_t allowed)
{
	switch (error) {
	case ENOMEM:
		return allowed & MAY_NOMEM;
	case EIO:
		return allowed & MAY_IO;
	case EFAULT:
		return allowed & MAY_FAULT;
	case EAGAIN:
		return allowed & MAY_AGAIN;
	case ENOSPC:
		return allowed & MAY_NOSPC;
	default:
		return false;
	}
}

static void disarm(struct sweep *sweep)
{
	if (!sweep->armed)
		return;
	sweep->armed = false;
	sweep->delivered = quire_fail_disarm();
}

void step_failed(struct sweep *sweep, const char *step, uint32_t allowed)
{
	const int error = errno;
	const bool was_armed = sweep->armed;

	if (!error_allowed(error, allowed))
		sweep_die(sweep, "%s failed with %s", step, strerror(error));
	if (was_armed && sweep->from_then_on && !sweep->attempts++)
		return;
	disarm(sweep);
	if (!sweep->delivered)
		sweep_die(sweep, "%s failed with %s though nothing was injected", step,
			  strerror(error));
	/* An earlier failure, of a write in the background, may be reported now. */
	if (!was_armed && sweep->attempts_disarmed++)
		sweep_die(sweep, "%s fails with %s after the injection ended", step,
			  strerror(error));
	sweep_verify(sweep);
}

void sweep_verify(struct sweep *sweep)
{
	char message[256];

	if (!sweep->quire)
		return;
	if (quire_check(sweep->quire, message, sizeof(message)))
		sweep_die(sweep, "quire_check: %s", message);
	for (uint32_t i = 0; i < SWEEP_FILES; i++)
		if (sweep->files[i].live)
			model_verify_file(sweep, &sweep->files[i]);
	for (uint32_t i = 0; i < SWEEP_REGIONS; i++)
		if (sweep->regions[i].live)
			model_verify_region(sweep, &sweep->regions[i]);
	if (quire_check(sweep->quire, message, sizeof(message)))
		sweep_die(sweep, "quire_check after reading all: %s", message);
}

static struct quire_stat get_stat(struct sweep *sweep)
{
	struct quire_stat stat = {.size = sizeof(stat)};

	EXPECT(sweep, quire_get_stat(sweep->quire, &stat) == 0);
	return stat;
}

static bool returned(int error)
{
	errno = -error;
	return !error;
}

void sweep_begin(struct sweep *sweep)
{
	struct quire_store *store = NULL;

	const struct soft_params machine = {.by_frame = eager};

	STEP(sweep, MAY_NOMEM, returned(soft_machine_create(&machine, &sweep->machine)));
	STEP(sweep, MAY_NOMEM, quire_create(sweep->machine, &sweep->params, &sweep->quire) == 0);
	STEP(sweep, MAY_NOMEM, returned(soft_cpu_create(sweep->machine, &sweep->cpu)));
	sweep->frames_free = get_stat(sweep).frames_free;
	if (!sweep->swap_pages)
		return;
	STEP(sweep, MAY_NOMEM,
	     returned(quire_memory_store_create(sweep->swap_pages * PAGE_SIZE, &store)));
	store = model_store(sweep, store);
	STEP(sweep, MAY_NOMEM | MAY_IO,
	     quire_swapon(sweep->quire, store, sweep->swap_pages * PAGE_SIZE) == 0);
}

/* Nothing may be left but clean pages of regular files. */
static void check_nothing_left(struct sweep *sweep)
{
	struct quire_stat stat;

	sweep_verify(sweep);
	stat = get_stat(sweep);
	if (stat.frames_free + stat.cached != sweep->frames_free)
		sweep_die(sweep, "%llu frames free and %llu cached of %llu",
			  (unsigned long long)stat.frames_free, (unsigned long long)stat.cached,
			  (unsigned long long)sweep->frames_free);
	EXPECT(sweep, !stat.dirty && !stat.writeback && !stat.page_tables && !stat.committed);
	EXPECT(sweep, stat.swap_free == stat.swap_slots);
}

/* Everything was ended by the scenario: all must be as at the beginning. */
static void end_tidily(struct sweep *sweep)
{
	for (uint32_t i = 0; i < SWEEP_REGIONS; i++)
		EXPECT(sweep, !sweep->regions[i].live);
	/* Errors of writes in the background were noted and are told here, once. */
	STEP(sweep, MAY_NOMEM | MAY_IO, quire_writeback(sweep->quire) == 0);
	disarm(sweep);
	sweep_verify(sweep);
	for (uint32_t i = 0; i < SWEEP_FILES; i++)
		if (sweep->files[i].live)
			model_close(sweep, &sweep->files[i]);
	check_nothing_left(sweep);
}

/* The end of the instance writes what is dirty, or tells that it could not. */
static void end_files(struct sweep *sweep, bool written)
{
	for (uint32_t i = 0; i < SWEEP_FILES; i++) {
		if (!sweep->files[i].live)
			continue;
		if (written)
			model_verify_backing(sweep, &sweep->files[i]);
		model_end_file(sweep, &sweep->files[i]);
	}
}

void sweep_end(struct sweep *sweep)
{
	bool written;

	if (!sweep->abandon)
		end_tidily(sweep);
	soft_cpu_destroy(sweep->cpu);
	written = !quire_destroy(sweep->quire);
	if (!written && errno != EIO && errno != ENOMEM)
		sweep_die(sweep, "quire_destroy failed with %s", strerror(errno));
	disarm(sweep);
	EXPECT(sweep, written || (sweep->abandon && sweep->delivered));
	end_files(sweep, written);
	soft_machine_destroy(sweep->machine);
}

/* One run. How many calls there were at the site since the run began. */
static uint64_t run(const struct scenario *scenario, enum fail_site site, uint64_t nth,
		    bool from_then_on)
{
	static struct sweep sweep;
	const uint64_t allocations = quire_alloc_live();

	memset(&sweep, 0, sizeof(sweep));
	sweep.scenario = scenario->name;
	sweep.site = site;
	sweep.nth = nth;
	sweep.from_then_on = from_then_on;
	sweep.abandon = scenario->abandon;
	sweep.swap_pages = scenario->swap_pages;
	sweep.params = (struct quire_params){
		.size = sizeof(sweep.params),
		.memory = scenario->memory,
		.policy = scenario->policy,
		.anon_fault_around = eager ? 64 * PAGE_SIZE : 0,
		.no_zero_page = eager,
		.premark_accessed = eager,
	};
	quire_fail_arm(site, nth, from_then_on);
	sweep.armed = true;
	sweep_begin(&sweep);
	scenario->run(&sweep);
	sweep_end(&sweep);
	if (quire_alloc_live() != allocations)
		sweep_die(&sweep, "%llu allocations are left",
			  (unsigned long long)(quire_alloc_live() - allocations));
	return quire_fail_calls(site);
}

/* The runs of one scenario with failures of one kind; their number. */
static uint64_t sweep_site(const struct scenario *scenario, enum fail_site site,
			   const struct options *options, struct prng *prng)
{
	const uint64_t calls = run(scenario, site, UINT64_MAX, false);
	const uint64_t runs = options->full ? calls : min_u64(calls, options->runs);

	for (uint64_t i = 0; i < runs; i++) {
		uint64_t first = i * calls / runs;
		uint64_t span = (i + 1) * calls / runs - first;
		uint64_t nth = 1 + first + (span > 1 ? prng_below(prng, span) : 0);

		run(scenario, site, nth, false);
		run(scenario, site, nth, true);
	}
	if (options->verbose)
		printf("%s, %s: %llu calls, %llu swept\n", scenario->name, site_names[site],
		       (unsigned long long)calls, (unsigned long long)runs);
	return runs;
}

static uint64_t sweep_scenario(const struct scenario *scenario, const struct options *options,
			       struct prng *prng)
{
	uint64_t runs = 0;

	for (int site = 0; site < FAIL_SITES; site++) {
		if (options->site >= 0 && options->site != site)
			continue;
		if (options->nth) {
			run(scenario, (enum fail_site)site, options->nth, false);
			run(scenario, (enum fail_site)site, options->nth, true);
			runs++;
		} else {
			runs += sweep_site(scenario, (enum fail_site)site, options, prng);
		}
	}
	return runs;
}

static int find_site(const char *name)
{
	for (int site = 0; site < FAIL_SITES; site++)
		if (!strcmp(name, site_names[site]))
			return site;
	fprintf(stderr, "sweep: no such site: %s\n", name);
	exit(2);
}

static struct options parse_options(int argc, char **argv)
{
	static const struct option known[] = {
		{"full", no_argument, NULL, 'f'},
		{"runs", required_argument, NULL, 'r'},
		{"seed", required_argument, NULL, 's'},
		{"scenario", required_argument, NULL, 'c'},
		{"site", required_argument, NULL, 'i'},
		{"nth", required_argument, NULL, 'n'},
		{"verbose", no_argument, NULL, 'v'},
		{"eager", no_argument, NULL, 'e'},
		{0},
	};
	struct options options = {.runs = RUNS_DEFAULT, .site = -1};

	for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
		switch (option) {
		case 'f':
			options.full = true;
			break;
		case 'r':
			options.runs = strtoull(optarg, NULL, 0);
			break;
		case 's':
			options.seed = strtoull(optarg, NULL, 0);
			break;
		case 'c':
			options.scenario = optarg;
			break;
		case 'i':
			options.site = find_site(optarg);
			break;
		case 'n':
			options.nth = strtoull(optarg, NULL, 0);
			break;
		case 'e':
			eager = true;
			break;
		case 'v':
			options.verbose = true;
			break;
		default:
			exit(2);
		}
	}
	return options;
}

int main(int argc, char **argv)
{
	const struct options options = parse_options(argc, argv);
	struct prng prng;
	uint64_t runs = 0;

	prng_seed(&prng, options.seed);
	for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++)
		if (!options.scenario || !strcmp(options.scenario, scenarios[i].name))
			runs += sweep_scenario(&scenarios[i], &options, &prng);
	printf("%llu failures injected, once and from then on\n", (unsigned long long)runs);
	return runs ? 0 : 1;
}
