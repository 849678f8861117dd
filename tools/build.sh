#!/bin/bash
# SPDX-License-Identifier: MIT
# Configures (once) and builds one kind of build in build/KIND. The kinds and their options are written down here only;
# the Makefile, tools/test.sh and .ci/run all come through this script.
#
#   tools/build.sh KIND [--configure-only]
set -euo pipefail
cd "$(dirname "$0")/.."

kind=${1:?usage: tools/build.sh release|debug|asan|tsan|gcc|clang [--configure-only]}
options=()
compiler=()
case "$kind" in
release)
	options=(--buildtype=release -Dtests=disabled)
	;;
debug)
	options=(--buildtype=debugoptimized -Dtests=enabled -Dcheck=2)
	;;
asan)
	compiler=(CC=clang)
	options=(--debug --optimization=1 -Dtests=enabled -Dcheck=2 -Db_lundef=false
		-Db_sanitize=address,undefined -Dc_args=-fno-sanitize-recover=all)
	;;
tsan)
	compiler=(CC=clang)
	options=(--debug --optimization=1 -Dtests=enabled -Dcheck=1 -Db_lundef=false -Db_sanitize=thread)
	;;
gcc | clang)
	compiler=(CC="$kind")
	options=(--buildtype=release -Dtests=enabled -Dwerror=true)
	;;
*)
	echo "build: unknown kind '$kind'" >&2
	exit 2
	;;
esac

if [ ! -f "build/$kind/build.ninja" ]; then
	env "${compiler[@]}" meson setup "build/$kind" --prefix="${PREFIX:-/usr/local}" "${options[@]}"
fi
[ "${2:-}" = --configure-only ] || ninja -C "build/$kind"
