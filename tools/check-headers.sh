#!/bin/bash
# SPDX-License-Identifier: MIT
# Every header compiles alone and twice in a row: those under src as C, the public ones under include as C and as C++.
set -uo pipefail
cd "$(dirname "$0")/.."

read -ra library_flags <<<"$(pkg-config --cflags liburing jansson libedit zlib)"
export CHECK_FLAGS="-fsyntax-only -Wall -Wextra -Werror -DQUIRE_CHECK=2 -Iinclude ${library_flags[*]}"

check_header() {
	local header=$1 spelling failed=0
	case "$header" in
	include/*) spelling="<${header#include/}>" ;;
	src/*) spelling="\"${header#src/}\"" ;;
	esac
	# The typedef is there because ISO C wants at least one declaration, and a header of macros has none.
	local text="#include $spelling
#include $spelling
typedef int declaration;"
	# shellcheck disable=SC2086
	case "$header" in
	include/*)
		gcc -x c -std=c17 -pedantic -Wshadow $CHECK_FLAGS - <<<"$text" || failed=1
		g++ -x c++ -std=c++17 $CHECK_FLAGS - <<<"$text" || failed=1
		;;
	src/*)
		gcc -x c -std=gnu17 -D_GNU_SOURCE -Wstrict-prototypes -Wshadow -Isrc $CHECK_FLAGS - <<<"$text" || failed=1
		;;
	esac
	[ $failed -eq 0 ] || echo "$header: does not compile alone"
	return $failed
}
export -f check_header

find src include -name '*.h' -print0 | sort -z |
	xargs -0 -r -n 1 -P "$(nproc)" bash -c 'check_header "$1"' check
