#!/bin/bash
# Runs groups of tests and counts: check.sh GROUP..., with the groups
#
#   layers  the include rules (tests/lint/layers.sh), and that they can fail
#   unit    the programs named in $UNIT, written with Check (tests/unit/run.sh)
#   cli     help, manual page, completion, usage errors (tests/cli/run.sh)
#   guest   freestanding guests on /dev/kvm (tests/guest/run.sh)
#   script  scripts that steer named machines, on /dev/kvm (tests/script/)
#   rig     Linux guests in the nested KVM (tests/rig/check.sh); and what the
#           three before it need a /dev/kvm for, where this host has none
#
# A group prints a line a test, `ok NAME`, `not ok NAME: why` or `skip: NAME:
# why`, and what belongs to a failure after its line. Everything is shown as it
# comes and kept in build/check/GROUP.log; failures and skips are repeated at
# the end. The last line is `N passed, N failed, N skipped`; exit status 1 when
# something failed or nothing passed. $B is the build directory and $BANTAM the
# program, as the Makefile sets them.
set -euo pipefail
cd "$(dirname "$0")/.."

export B=${B:-build/x86_64}
export BANTAM=${BANTAM:-$PWD/$B/bantam}
logs=build/check

passed=0
failed=0
skipped=0
failures=
skips=

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

check_group_rig() {
	tests/rig/check.sh
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
	elif [[ $1 == "skip: "* ]]; then
		skipped=$((skipped + 1))
		skips+="$group: $1"$'\n'
		in_failure=
	fi
	[[ -z $in_failure ]] || failures+="$group: $shown"$'\n'
}

# check_group NAME: run it, show and count its lines.
check_group() {
	local group=$1 line shown status=missing in_failure=''
	local started=$EPOCHREALTIME before=$((passed + skipped))
	local before_failed=$failed

	echo "== $group"
	while IFS= read -r line; do
		if [[ $line == "check-status "* ]]; then
			status=${line#check-status }
			break
		fi
		check_count "$line"
		echo "$shown"
	done < <(
		set +e
		(
			set -e
			"check_group_$group"
		) 2>&1 </dev/null | tee "$logs/$group.log"
		echo "check-status ${PIPESTATUS[0]}"
	)
	# A group that ends badly, or tests nothing, has not passed.
	if [[ $failed -eq $before_failed ]] &&
		[[ $status != 0 || $((passed + skipped)) -eq $before ]]; then
		line="not ok $group: exit status $status, see $logs/$group.log"
		check_count "$line"
		echo "$shown"
	fi
	check_took "$started" "$group"
}

# check_took START WHAT: seconds since START.
check_took() {
	local tenths=$(((${EPOCHREALTIME/./} - ${1/./}) / 100000))

	echo "== $2 took $((tenths / 10)).$((tenths % 10)) s"
}

if [[ $# -eq 0 ]]; then
	echo "usage: check.sh GROUP... (layers, unit, cli, guest, script, rig)" >&2
	exit 2
fi
mkdir -p "$logs"
started=$EPOCHREALTIME
for group in "$@"; do
	check_group "$group"
done
check_took "$started" "everything"
[[ -z $skips ]] || printf '\nSkipped:\n%s' "$skips"
[[ -z $failures ]] || printf '\nFailed:\n%s' "$failures"
echo
echo "$passed passed, $failed failed, $skipped skipped"
[[ $failed -eq 0 && $passed -gt 0 ]]
