#!/bin/bash
# Runs groups of tests and counts: check.sh GROUP..., with the groups
#
#   layers  the include rules (tests/lint/layers.sh), and that they can fail
#   unit    the programs named in $UNIT, written with Check (tests/unit/run.sh)
#   cli     help, manual page, completion, usage errors (tests/cli/run.sh)
#   guest   freestanding guests on /dev/kvm (tests/guest/run.sh)
#   script  scripts that steer named machines, on /dev/kvm (tests/script/)
#   linux   Linux guests in the nested KVM (tests/rig/check.sh)
#   rest    some of them, in a rig of its own
#   kvm     what unit, guest and script need a /dev/kvm for, in a rig of its own
#           where this host has none, and nothing elsewhere
#   rig     linux, rest and kvm in one rig, or what another architecture's has of them
#   arm     the same for aarch64 on a host that is none, which it builds first:
#           unit tests under QEMU's user emulator, Linux in the rigs of that
#           architecture
#
# Groups joined by a plus, as linux+unit+arm, run side by side, one more at a time
# than there are CPUs, since some wait for deadlines; they begin in this order, in
# which they are also shown, and the first one goes first, for it takes longest.
#
# A group prints a line a test, `ok NAME`, `not ok NAME: why` or `skip: NAME:
# why`, and what belongs to a failure after its line. Everything is shown as it
# comes and kept in build/check/GROUP.log; failures and skips are repeated at
# the end, and the slowest ten that say their time, `ok NAME, 1.2 s`. The last line is `N passed, N failed, N skipped`; exit status 1 when
# something failed or nothing passed. $ARCH is the architecture, $B the build
# directory, $BANTAM the program, as the Makefile sets them.
set -euo pipefail
cd "$(dirname "$0")/.."

arch=${ARCH:-$(uname -m)}
export B=${B:-build/$arch}
export BANTAM=${BANTAM:-$PWD/$B/bantam}
logs=build/check
rest=(boot.sh steer.sh vhost.sh)

passed=0
failed=0
skipped=0
failures=
skips=
times= # a line a test, seconds first
queue=

check_group_layers() {
	if tests/lint/layers.sh; then
		echo "ok include rules"
	else
		echo "not ok include rules: see above"
	fi
	if tests/lint/layers.sh --self-test; then
		echo "ok include rules can fail"
	else
		echo "not ok include rules can fail: see above"
	fi
}

check_group_unit() {
	# shellcheck disable=SC2086 # a list of programs
	tests/unit/run.sh ${UNIT:?the programs to run}
}

check_group_cli() {
	tests/cli/run.sh
}

check_group_guest() {
	tests/guest/run.sh
}

# Both run, whatever becomes of the first.
check_group_script() {
	local status=0

	tests/script/machines.sh || status=1
	tests/script/clients.sh || status=1
	return "$status"
}

# All files but those of the group rest, so that none takes longest by far.
check_group_linux() {
	local file files=()

	for file in tests/rig/linux/*.sh; do
		file=${file##*/}
		[[ " ${rest[*]} " == *" $file "* ]] || files+=("$file")
	done
	tests/rig/check.sh --arch "$arch" linux "${files[@]}"
}

check_group_rest() {
	tests/rig/check.sh --arch "$arch" --name "$arch-rest" linux "${rest[@]}"
}

check_group_kvm() {
	tests/rig/check.sh --arch "$arch" --name "$arch-kvm" unit guest script
}

check_group_rig() {
	tests/rig/check.sh --arch "$arch"
}

# check_arm_make LOG [ARG...]: the Makefile for aarch64, without a warning.
check_arm_make() {
	local log=$1

	shift
	${MAKE:-make} --no-print-directory -j"$(nproc)" ARCH=aarch64 WERROR=1 \
		CROSS_COMPILE=aarch64-linux-gnu- "$@" >"$log" 2>&1
}

# Any compiler that knows the architecture; for its warnings, not for its code.
check_arm_clang() {
	local dir=build/aarch64-clang log=$logs/arm-clang.log

	if ! command -v clang >/dev/null; then
		echo "skip: clang for aarch64: there is no clang here"
	elif check_arm_make $log CC=clang CFLAGS=-O1 O=$dir $dir/bantam; then
		echo "ok clang for aarch64"
	else
		echo "not ok clang for aarch64: see $log"
		tail -n 20 $log
		return 1
	fi
}

# Static, so that it runs in any root; `UNIT` are its tests.
check_arm_gcc() {
	local log=$logs/arm-gcc.log

	if check_arm_make $log STATIC=1 check-build &&
		check_arm_make $log.list STATIC=1 -s check-list; then
		UNIT=$(<$log.list)
		export UNIT
		echo "ok gcc for aarch64"
	else
		echo "not ok gcc for aarch64: see $log"
		tail -n 20 $log
		return 1
	fi
}

# All of it, whatever becomes of the first.
check_group_arm() {
	local status=0

	export B=build/aarch64-static BANTAM=$PWD/build/aarch64-static/bantam
	check_arm_gcc || return
	check_arm_clang || status=1
	# shellcheck disable=SC2086 # a list of programs
	UNIT_EMULATOR=qemu-aarch64-static UNIT_NAME=arm tests/unit/run.sh $UNIT ||
		status=1
	tests/rig/check.sh --arch aarch64 || status=1
	tests/rig/check.sh --arch aarch64 --gic 2 linux || status=1
	return "$status"
}

# check_count LINE: into the totals, and as `shown` what to print of it. A line
# may stand for several tests: `ok*12 NAME` is twelve.
check_count() {
	local weight

	shown=$1
	if [[ $1 =~ ^(ok|not\ ok)(\*([0-9]+))?\ (.*)$ ]]; then
		weight=${BASH_REMATCH[3]:-1}
		shown="${BASH_REMATCH[1]} ${BASH_REMATCH[4]}"
		[[ -z ${BASH_REMATCH[2]} ]] || shown+=" ($weight)"
		case ${BASH_REMATCH[1]} in
		ok) passed=$((passed + weight)) && in_failure= ;;
		*) failed=$((failed + weight)) && in_failure=y ;;
		esac
		if [[ $shown =~ ^ok\ (.*),\ ([0-9]+\.[0-9])\ s ]]; then
			times+="${BASH_REMATCH[2]} $group: ${BASH_REMATCH[1]}"$'\n'
		fi
	elif [[ $1 == "skip: "* ]]; then
		skipped=$((skipped + 1))
		skips+="$group: $1"$'\n'
		in_failure=
	fi
	[[ -z $in_failure ]] || failures+="$group: $shown"$'\n'
}

# check_one NAME: its lines into its log, at the end its status and its seconds.
check_one() {
	local started=$EPOCHREALTIME

	(
		set -e
		"check_group_$1"
	) 2>&1 </dev/null
	echo "check-status $? $(check_since "$started")"
}

# check_queue NAME...: all of them, so many at a time.
check_queue() {
	local running=0

	set +e
	for group; do
		if [[ $running -ge $slots ]]; then
			wait -n
			running=$((running - 1))
		fi
		check_one "$group" >"$logs/$group.log" &
		[[ $group == "$1" ]] || renice -n 5 -p "$!" >/dev/null
		running=$((running + 1))
	done
	wait
}

# check_start NAME...: their queue in the background, in a process group of its
# own; as `queue`.
check_start() {
	for group; do
		: >"$logs/$group.log"
	done
	set -m
	check_queue "$@" &
	queue=$!
	set +m
}

# shellcheck disable=SC2317 # run by the traps
check_stop() {
	trap - INT TERM
	kill -TERM -- "-$queue" 2>/dev/null
	exit 130
}

# check_group NAME: show and count the lines of one that was started.
check_group() {
	local group=$1 line shown status=missing took='?' in_failure=''
	local before=$((passed + skipped)) before_failed=$failed

	echo "== $group"
	while IFS= read -r line; do
		if [[ $line == "check-status "* ]]; then
			read -r _ status took <<<"$line"
			break
		fi
		check_count "$line"
		echo "$shown"
	done < <(tail -n +1 -s 0.1 -f --pid="$queue" "$logs/$group.log")
	# A group that ends badly, or tests nothing, has not passed.
	if [[ $failed -eq $before_failed ]] &&
		[[ $status != 0 || $((passed + skipped)) -eq $before ]]; then
		line="not ok $group: exit status $status, see $logs/$group.log"
		check_count "$line"
		echo "$shown"
	fi
	echo "== $group took $took s"
}

# check_since START: seconds, with a tenth.
check_since() {
	local tenths=$(((${EPOCHREALTIME/./} - ${1/./}) / 100000))

	echo "$((tenths / 10)).$((tenths % 10))"
}

check_slowest() {
	echo
	echo "Slowest:"
	printf '%s' "$times" | sort -rn | sed -n '1,10s/ / s /p'
}

# Where a /dev/kvm does, no rig makes up for one.
check_wanted() {
	[[ $1 != kvm || ! -r /dev/kvm || ! -w /dev/kvm ]]
}

if [[ $# -eq 0 ]]; then
	echo "usage: check.sh GROUP... (layers, unit, cli, guest, script, linux," \
		"rest, kvm, rig, arm)" >&2
	exit 2
fi
mkdir -p "$logs"
started=$EPOCHREALTIME
slots=$(($(nproc) + 1))
trap check_stop INT TERM
for groups in "$@"; do
	side=()
	for group in ${groups//+/ }; do
		! check_wanted "$group" || side+=("$group")
	done
	check_start "${side[@]}"
	for group in "${side[@]}"; do
		check_group "$group"
	done
done
echo "== everything took $(check_since "$started") s"
[[ -z $times ]] || check_slowest
[[ -z $skips ]] || printf '\nSkipped:\n%s' "$skips"
[[ -z $failures ]] || printf '\nFailed:\n%s' "$failures"
echo
echo "$passed passed, $failed failed, $skipped skipped"
[[ $failed -eq 0 && $passed -gt 0 ]]
