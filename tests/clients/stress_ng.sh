# SPDX-License-Identifier: MIT
# stress-ng: it has no way to run a stressor in its own process, so it needs fork.
# packages: stress-ng
# skip: stress-ng starts every stressor in a child process, and a run has one process yet
# memory: 32M
load() {
	run stress-ng --verify --brk 1 --brk-ops 2000 --mmap 1 --mmap-ops 20 --mremap 1 --mremap-ops 20
}
