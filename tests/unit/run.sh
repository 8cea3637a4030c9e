#!/bin/bash
# Runs unit test programs, as many at a time as there are CPUs, or one more of
# those that an emulator leaves to the rig: run.sh [--kvm] PROGRAM... A line a
# program, in the order given: `ok*N NAME` for N cases that passed, or `not ok*N
# NAME: why` with its output behind it; which is also kept in build/check/. What
# a program skips is passed on.
#
# Those that need a /dev/kvm and find none get one line together. --kvm runs
# only programs that may need one: so the rig makes up for it.
#
# $UNIT_EMULATOR runs programs of another architecture. What needs system calls
# that it does not know is left out, and then --kvm has it, too.
set -euo pipefail
cd "$(dirname "$0")/../.."

logs=${RIG_SHARE:-build/check} # in a rig, the rest may not be written to
limit=120 # seconds for a program
emulator=${UNIT_EMULATOR-}
without=0
left_out=0
no_kvm='^skip: .*: no /dev/kvm ('

run_log() {
	local name=${1##*/tests/unit/}

	echo "$logs/unit${UNIT_NAME:+-$UNIT_NAME}.${name//\//.}.log"
}

# Its output into its log, and beside it the tenths of a second that it took.
run_start() {
	local started=${EPOCHREALTIME/./} status=0

	# shellcheck disable=SC2086 # none is no word
	timeout --kill-after=5 "$limit" $emulator "$1" \
		>"$(run_log "$1")" 2>&1 </dev/null || status=$?
	echo $(((${EPOCHREALTIME/./} - started) / 100000)) >"$(run_log "$1").took"
	return "$status"
}

# run_judge PROGRAM STATUS: its lines.
run_judge() {
	local name=${1##*/tests/unit/} log status=$2 tally bad took

	log=$(run_log "$1")
	took=$(<"$log.took")
	rm "$log.took"
	grep '^skip: ' "$log" | grep -v "$no_kvm" || true
	tally=$(sed -nE 's/^[0-9]+%: Checks: ([0-9]+), Failures: ([0-9]+), Errors: ([0-9]+)$/\1 \2 \3/p' \
		"$log" | awk '{ n += $1; bad += $2 + $3 } END { print n+0, bad+0 }')
	bad=${tally#* }
	tally=${tally% *}
	if grep -q "$no_kvm" "$log"; then
		without=$((without + 1))
		[[ $status -ne 0 || $tally -gt 0 ]] || return 0
	fi
	# An exit status that the count does not explain is a failure, too.
	if [[ $status -ne 0 && $bad -eq 0 ]]; then
		bad=1
	fi
	if [[ $bad -eq 0 && $tally -gt 0 ]]; then
		echo "ok*$tally $name, $((took / 10)).$((took % 10)) s"
		return 0
	fi
	[[ $tally -le $bad ]] || echo "ok*$((tally - bad)) $name"
	[[ $bad -gt 0 ]] || bad=1
	echo "not ok*$bad $name: exit status $status"
	sed 's/^/    /' "$log"
	failed=1
}

# io_uring, what an ioctl of /dev/net/tun has for an argument, a place for huge
# pages, an end to descriptors that a message has no room for, signals in time,
# namespaces and filters of system calls: the rig of that architecture runs
# these.
run_emulator_lacks() {
	[[ $1 =~ /test_(block|block_file|devices_state|guest_mem|machine)$ ||
		$1 =~ /test_(net_open|vhost_hostile|fd_passing|side_channel|spawner|starter|jail|confine)$ ]]
}

# run_wanted PROGRAM: here, and not elsewhere.
run_wanted() {
	if [[ -z ${kvm_only-} ]]; then
		if [[ -z $emulator ]] || ! run_emulator_lacks "$1"; then
			return 0
		fi
		left_out=$((left_out + 1))
		return 1
	fi
	[[ -n ${RIG_UNIT_EMULATED-} ]] && run_emulator_lacks "$1" && return 0
	grep -q kvm_test_available "tests/unit/${1##*/tests/unit/}.c"
}

# The programs, those first that take longest: nothing waits for one at the end.
run_order() {
	local long='/test_(unpack|block|vhost_hostile|block_file|pci_bars)$'

	printf '%s\n' "${programs[@]}" | grep -E "$long" || true
	printf '%s\n' "${programs[@]}" | grep -Ev "$long" || true
}

programs=()
[[ ${1-} == --kvm ]] && shift && kvm_only=y
for program in "$@"; do
	! run_wanted "$program" || programs+=("$program")
done
if [[ ${#programs[@]} -eq 0 ]]; then
	echo "usage: run.sh [--kvm] PROGRAM..." >&2
	exit 2
fi

# Emulators are slow, and this is no test of theirs.
if [[ -n $emulator || -n ${RIG_SHARE-} ]]; then
	export CK_TIMEOUT_MULTIPLIER=5
fi
mkdir -p "$logs"
failed=0
declare -A pids=()
slots=$(nproc)
# In the rig, one of them waits for deadlines most of the time.
[[ -z ${RIG_UNIT_EMULATED-} ]] || slots=$((slots + 1))
mapfile -t order < <(run_order)
for program in "${order[@]}"; do
	[[ ${#pids[@]} -lt $slots ]] || wait -n || true
	run_start "$program" &
	pids[$program]=$!
done
for program in "${programs[@]}"; do
	status=0
	wait "${pids[$program]}" || status=$?
	run_judge "$program" "$status"
done
[[ $without -eq 0 ]] || echo "skip: $without programs that need a /dev/kvm:" \
	"there is none here; \`make check\` runs them in the rig"
[[ $left_out -eq 0 ]] || echo "skip: $left_out programs with system calls that" \
	"$emulator lacks; \`make check\` runs them in the rig"
exit "$failed"
