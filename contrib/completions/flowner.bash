# SPDX-License-Identifier: Apache-2.0
# bash completion of flowner(1). What changes with the configuration's keys and the fields is asked from flowner itself.
# shellcheck shell=bash

# The words up to the cursor, whatever COMP_WORDBREAKS splits them at: sets words, cur, prev.
_flowner_words() {
	local line=${COMP_LINE:0:COMP_POINT}
	read -ra words <<<"$line"
	if [[ -z $line || $line == *[[:blank:]] ]]; then
		words+=("")
	fi
	cur=${words[-1]}
	prev=${words[-2]-}
}

# Offers those of the words $1 that begin as the current one; bash replaces only what is behind the last : or = of it.
_flowner_offer() {
	local before=""
	if [[ $cur == *[:=]* ]]; then
		before=${cur%"${cur##*[:=]}"}
	fi
	mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
	COMPREPLY=("${COMPREPLY[@]#"$before"}")
	if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[:=] ]]; then
		compopt -o nospace 2>/dev/null
	fi
}

_flowner_files() {
	compopt -o filenames 2>/dev/null
	mapfile -t COMPREPLY < <(compgen -f -- "$1")
}

_flowner_dirs() {
	compopt -o filenames 2>/dev/null
	mapfile -t COMPREPLY < <(compgen -d -- "$cur")
}

# section.key= of every key.
_flowner_keys() {
	"${words[0]}" print-config 2>/dev/null |
		awk '/^[a-z_]+:$/ {section = $1; sub(":", ".", section)} /^  [a-z_]+:/ {sub(":", "=", $1); print section $1}'
}

_flowner_expression_keys() {
	"${words[0]}" help expression 2>/dev/null | awk '/^  [a-z_]+  / {print ($1 == "loopback") ? $1 : $1 ":"}'
	echo not or
}

_flowner_names() {
	local path
	for path in "$1"/*; do
		[[ -e $path ]] && echo "${path##*/}"
	done
}

# The value of option $1; false: it takes none that we know.
_flowner_value() {
	local formats="ecs ocsf pcapng sysmon text zeek zeek-json"
	case $1 in
	-c | --config | -r | --read)
		_flowner_files "$cur"
		;;
	-o | --output)
		if [[ $cur == *:* ]]; then
			_flowner_files "${cur#*:}"
		else
			_flowner_offer "${formats// /: }:"
		fi
		;;
	-m | --mode)
		_flowner_offer "handshake handshake+tls headers"
		;;
	-i | --interface)
		_flowner_offer "any $(_flowner_names /sys/class/net)"
		;;
	--netns)
		_flowner_offer "self $(_flowner_names /run/netns)"
		;;
	-d | --duration)
		_flowner_offer "10s 1m 10m 1h"
		;;
	--set)
		_flowner_offer "$(_flowner_keys)"
		;;
	--runtime-dir)
		_flowner_dirs
		;;
	-n)
		_flowner_offer "10 100 all"
		;;
	*)
		return 1
		;;
	esac
	return 0
}

_flowner() {
	local words cur prev command i
	local commands="run status metrics doctor check-config print-config filter fields tail help version"
	COMPREPLY=()
	_flowner_words
	command=${words[1]}
	if ((${#words[@]} <= 2)); then
		_flowner_offer "$commands --help --version"
		return
	fi
	if [[ $command == run ]]; then
		for ((i = 2; i < ${#words[@]} - 1; i++)); do
			if [[ ${words[i]} == -- ]]; then # a command of its own
				if ((i == ${#words[@]} - 2)); then
					mapfile -t COMPREPLY < <(compgen -c -- "$cur")
				else
					_flowner_files "$cur"
				fi
				return
			fi
		done
	fi
	case $command in
	run | metrics | doctor | print-config | filter | status | tail)
		_flowner_value "$prev" && return
		;;
	esac
	case $command in
	run)
		_flowner_offer "-i --interface --netns -r --read -o --output -d --duration -c --config --set --stats -v --verbose -h --help --"
		;;
	status)
		_flowner_offer "--runtime-dir --json -h --help"
		;;
	metrics)
		_flowner_offer "--runtime-dir --serve -c --config --set --list -h --help"
		;;
	doctor)
		_flowner_offer "-c --config --set --runtime-dir --json -h --help"
		;;
	check-config)
		if [[ $cur == -* ]]; then
			_flowner_offer "-h --help"
		else
			_flowner_files "$cur"
		fi
		;;
	print-config)
		_flowner_offer "-c --config --set -h --help"
		;;
	filter)
		_flowner_offer "-r --read -m --mode -i --interface -c --config --set -h --help"
		;;
	fields)
		_flowner_offer "ecs ocsf pcapng sysmon text zeek zeek-json -h --help"
		;;
	tail)
		if [[ $cur == -* ]]; then
			_flowner_offer "-n -f --follow --no-follow --raw -h --help"
		elif [[ $cur == */* || $cur == .* ]]; then
			_flowner_files "$cur"
		else
			_flowner_offer "$(_flowner_expression_keys)"
			if [[ $cur != *:* ]]; then
				local keys=("${COMPREPLY[@]}")
				_flowner_files "$cur"
				COMPREPLY+=("${keys[@]}")
			fi
		fi
		;;
	help)
		_flowner_offer "run tail expression"
		;;
	esac
}

complete -F _flowner flowner
