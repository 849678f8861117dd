# SPDX-License-Identifier: MIT
# bash and dash with what they do in their own process: variables, arrays, patterns, here-documents, reading of files.
# packages: bash dash
# memory: 2M
# expects: evicted
prepare() {
	random_lines 300000 >lines
}

load() {
	# shellcheck disable=SC2016
	run bash -c '
		declare -A count
		while read -r hash number words; do
			((sum += number % 1000))
			count[${hash:0:1}]=$((${count[${hash:0:1}]:-0} + 1))
			[[ $words =~ (word)+$ ]] && ((matched += ${#BASH_REMATCH[0]}))
		done <"$1"
		echo "$sum $matched ${#count[@]}"
		for key in 0 1 2 d e f; do echo "$key ${count[$key]}"; done
		text=
		for ((i = 0; i < 20000; i++)); do text+="$i,"; done
		echo "${#text} ${text:50000:40}" >written
		mapfile -t all <"$1"
		printf "%s\n" "${all[@]: -3}"
		trap "echo trapped" USR1
		kill -USR1 $$
		exit 3
	' bash "$INPUT/lines"
	# shellcheck disable=SC2016
	run dash -c '
		i=0
		while [ $i -lt 30000 ]; do i=$((i + 1)); done
		set -- one two three
		echo "$i $# $*"
		while read -r line; do case $line in *999*) found=$((found + 1)) ;; esac; done <"$1"
		echo "${found:-none}"
	' 2>/dev/null
}
