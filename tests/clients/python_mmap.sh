# SPDX-License-Identifier: MIT
# Python's own tests of its mmap module.
# packages: python3.11 libpython3.11-testsuite
# memory: 8M
# expects: evicted
load() {
	run /usr/bin/python3.11 -m test -v test_mmap 2>&1 | sed -nE 's/^(test_.*) \.\.\. (ok|skipped.*|FAIL|ERROR)$/\1: \2/p; s/^(Ran [0-9]+ tests).*/\1/p; /^OK/p; /^FAILED/p'
}
