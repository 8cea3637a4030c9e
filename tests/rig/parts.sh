#!/bin/bash
# What runs in the rig, part by part: parts.sh [--from CASE] PART..., called by
# check.sh of this folder, with the parts
#
#   unit    the programs of $RIG_UNIT that need a /dev/kvm
#   guest   freestanding guests (tests/guest/), what needs a /dev/kvm of it
#   script  named machines and their clients (tests/script/), the same
#   linux   Linux under bantam (suite.sh); words behind it are its cases
#
# One line a test, as check.sh in tests/ wants them, with the part in front of
# its name. What runs is in $RIG_SHARE/part and $RIG_SHARE/case, for who finds the
# rig hung; --from goes on there.
# shellcheck disable=SC2317 # parts are called by their names
set -uo pipefail
cd "$(dirname "$0")/../.." || exit

export CASE_FILE=${RIG_SHARE:?to be run in the rig}/case

# parts_run PART SCRIPT [ARG...]: its lines, with the part in them.
parts_run() {
	local part=$1 started=$EPOCHREALTIME tenths

	shift
	echo "$part" >"$RIG_SHARE/part"
	echo "the beginning" >"$CASE_FILE"
	"$@" 2>&1 </dev/null |
		sed -uE "s/^(ok|not ok|skip:)(\\*[0-9]+)? /&$part: /"
	if [[ ${PIPESTATUS[0]} -ne 0 ]]; then
		failed=1
	fi
	tenths=$(((${EPOCHREALTIME/./} - ${started/./}) / 100000))
	echo "rig: $part, ${1##*/}: $((tenths / 10)).$((tenths % 10)) s"
}

# Images are in /var/tmp, and the overlay there has no O_DIRECT: the rig's disk
# has. Only programs that an emulator leaves to the rig have any.
parts_unit() {
	local disk=${RIG_DISK:?a disk}

	if [[ -n ${RIG_UNIT_EMULATED-} ]] &&
		! { mke2fs -q -t ext4 -b 4096 "$disk" && mount "$disk" /var/tmp; }; then
		echo "not ok unit: no file system on $disk"
		failed=1
		return
	fi
	# shellcheck disable=SC2086 # a list of programs
	parts_run unit tests/unit/run.sh --kvm ${RIG_UNIT:?programs}
	[[ -z ${RIG_UNIT_EMULATED-} ]] || umount /var/tmp
}

parts_guest() {
	KVM_ONLY=y parts_run guest tests/guest/run.sh
}

parts_script() {
	KVM_ONLY=y parts_run script tests/script/machines.sh
	KVM_ONLY=y parts_run script tests/script/clients.sh
}

parts_linux() {
	parts_run linux tests/rig/suite.sh "${from[@]}" "$@"
}

from=()
failed=0
if [[ ${1-} == --from ]]; then
	[[ -z $2 ]] || from=(--from "$2")
	shift 2
fi
while [[ $# -gt 0 ]]; do
	part=$1
	shift
	case $part in
	unit | guest | script) "parts_$part" ;;
	linux)
		parts_linux "$@"
		set --
		;;
	*)
		echo "parts.sh: no part '$part'" >&2
		exit 2
		;;
	esac
done
exit "$failed"
