#!/bin/bash
# Runs unit test programs, as many at a time as there are CPUs: run.sh
# [--kvm] PROGRAM... A line a program, in the order given: `ok*N NAME` for N
# cases that passed, or `not ok*N NAME: why` with its output behind it; which is
# also kept in build/check/. What a program skips is passed on.
#
# Those that need a /dev/kvm and find none get one line together. --kvm runs
# only programs that may need one: so the rig makes up for it.
set -euo pipefail
cd "$(dirname "$0")/../.."

logs=build/check
limit=120 # seconds for a program
no_kvm='^skip: .*: no /dev/kvm ('
without=0

run_log() {
	local name=${1##*/tests/unit/}

	echo "$logs/unit.${name//\//.}.log"
}

run_start() {
	timeout --kill-after=5 "$limit" "$1" >"$(run_log "$1")" 2>&1 </dev/null
}

# run_judge PROGRAM STATUS: its lines.
run_judge() {
	local name=${1##*/tests/unit/} log status=$2 tally bad

	log=$(run_log "$1")
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
		echo "ok*$tally $name"
		return 0
	fi
	[[ $tally -le $bad ]] || echo "ok*$((tally - bad)) $name"
	[[ $bad -gt 0 ]] || bad=1
	echo "not ok*$bad $name: exit status $status"
	sed 's/^/    /' "$log"
	failed=1
}

programs=()
[[ ${1-} == --kvm ]] && shift && kvm_only=y
for program in "$@"; do
	[[ -z ${kvm_only-} ]] ||
		grep -q kvm_test_available "tests/unit/${program##*/tests/unit/}.c" ||
		continue
	programs+=("$program")
done
if [[ ${#programs[@]} -eq 0 ]]; then
	echo "usage: run.sh [--kvm] PROGRAM..." >&2
	exit 2
fi

mkdir -p "$logs"
failed=0
pids=()
slots=$(nproc)
for program in "${programs[@]}"; do
	[[ ${#pids[@]} -lt $slots ]] || wait -n || true
	run_start "$program" &
	pids+=("$!")
done
for i in "${!programs[@]}"; do
	status=0
	wait "${pids[i]}" || status=$?
	run_judge "${programs[i]}" "$status"
done
[[ $without -eq 0 ]] || echo "skip: $without programs that need a /dev/kvm:" \
	"there is none here; \`make check\` runs them in the rig"
exit "$failed"
