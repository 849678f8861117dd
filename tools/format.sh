#!/bin/bash
# SPDX-License-Identifier: MIT
# Formats every C file in place; with --check it changes nothing, names the files that would change, and fails if there
# are any.
set -euo pipefail
cd "$(dirname "$0")/.."

c_files() {
	find . \( -path ./build -o -path ./.git \) -prune -o -name '*.[ch]' -printf '%P\0' | sort -z
}

if [ "${1:-}" != --check ]; then
	c_files | xargs -0 -r -n 8 -P "$(nproc)" clang-format -i
	exit 0
fi
unformatted=0
while IFS= read -r -d '' file; do
	if ! clang-format "$file" | cmp -s - "$file"; then
		echo "$file: not formatted (make format)"
		unformatted=$((unformatted + 1))
	fi
done < <(c_files)
echo "format: $unformatted files to format"
[ "$unformatted" -eq 0 ]
