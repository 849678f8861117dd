#!/bin/bash
# SPDX-License-Identifier: MIT
# Installs the Debian packages that building and testing Quire needs and that are missing. When none is missing it does
# nothing and needs neither network nor privileges. On a system without dpkg it only looks for the commands and
# libraries, and names the ones that are not there.
#
#   tools/deps.sh [PACKAGE...]      those packages instead
set -uo pipefail

packages=(
	build-essential meson ninja-build pkg-config python3
	liburing-dev libjansson-dev libedit-dev zlib1g-dev
	libcmocka-dev
	clang libclang-rt-14-dev clang-format clang-tidy cppcheck mandoc
)
[ $# -eq 0 ] || packages=("$@")
commands=(cc c++ make meson ninja pkg-config python3 clang clang-format clang-tidy cppcheck mandoc)
libraries=(liburing jansson libedit zlib cmocka)

missing=()
if ! command -v dpkg-query >/dev/null; then
	for name in "${commands[@]}"; do
		command -v "$name" >/dev/null || missing+=("$name")
	done
	for name in "${libraries[@]}"; do
		pkg-config --exists "$name" 2>/dev/null || missing+=("$name")
	done
	[ ${#missing[@]} -eq 0 ] && exit 0
	echo "deps: missing: ${missing[*]}; install them with this system's package manager, then run again" >&2
	exit 1
fi

for name in "${packages[@]}"; do
	status=$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null)
	[ "$status" = installed ] || missing+=("$name")
done
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
	as_root=(sudo)
	[ -t 0 ] || as_root+=(-n)
fi

echo "deps: installing ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install_missing() {
	# The list of packages may be absent or old, so it is refreshed first; a failure of that alone does no harm.
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q update
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
		apt-get -q -y --no-install-recommends install "${missing[@]}"
}
if ! install_missing >"$log" 2>&1; then
	tail -n 5 "$log" >&2
	echo "deps: could not install: ${missing[*]}; as root, with a network, run: apt-get update && apt-get install ${missing[*]}" >&2
	exit 1
fi
