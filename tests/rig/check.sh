#!/bin/bash
# The rig's tests from the host's side: check.sh [--arch ARCH] [--name NAME]
# [--gic 2|3] [PART...], the parts of parts.sh, or check.sh linux CASE... for some
# cases of suite.sh alone. Makes what the parts need, boots the rig once and runs
# them in it.
#
# Without parts: Linux, and where this host has no /dev/kvm that we may use, what
# the groups unit, guest and script need one for; of another architecture than
# this host's, unit and Linux.
#
# A rig that hangs is said to have, with the case and what its CPU was doing.
# That case and what comes behind it run in a second rig; one that hangs again
# has failed. NAME, by default ARCH, tells rigs apart that run side by side, and
# is where they leave their things (see run.sh). $BANTAM is the program, $UNIT are
# the unit test programs.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/setup/modules.sh
. tests/setup/modules.sh

arch=$(uname -m)
name=
rig=()
while [[ ${1-} == --* ]]; do
	case $1 in
	--arch) arch=${2:?} ;;
	--name) name=${2:?} ;;
	--gic) ;;
	*)
		echo "check.sh: no option '$1'" >&2
		exit 2
		;;
	esac
	rig+=("$1" "${2:?}")
	shift 2
done
B=${B:-build/$arch}
export BANTAM=${BANTAM:-$PWD/$B/bantam}
UNIT=${UNIT:-$(find "$B/tests/unit" -type f -perm -1 -name "test_*" 2>/dev/null || true)}
limit=${RIG_LIMIT:-1800} # seconds, all rigs together
flavour=generic
[[ $arch != x86_64 ]] || flavour=cloud
kernel=cache/$arch/$flavour
name=${name:-$arch}
out=build/rig/$name
made=build/rig/$arch # what guests are made of; all rigs of an architecture use it
export RIG_MADE=$PWD/$made
[[ $arch == "$(uname -m)" ]] || export RIG_UNIT_EMULATED=y

check_fail() {
	echo "not ok rig $name: $1"
	exit 1
}

# For the x86_64 loader: each format that a payload may have.
check_wrap_x86_64() {
	local format image

	for format in gzip xz lzma zstd bzip2; do
		image=$made/kernel.$format
		[[ ! $image -nt $kernel/vmlinux ]] || continue
		echo "rig: wrapping the kernel in $format"
		tests/rig/rewrap.sh "$kernel/vmlinuz" "$kernel/vmlinux" \
			"$format" "$image"
	done
}

# For the aarch64 one: compressed, and as EFI applications that unpack
# themselves.
check_wrap_aarch64() {
	local format image

	for format in gzip zstd zboot-gzip zboot-zstd; do
		image=$made/kernel.$format
		[[ ! $image -nt $kernel/vmlinuz ]] || continue
		echo "rig: wrapping the kernel in $format"
		tests/rig/zboot.sh "$kernel/vmlinuz" "$format" "$image"
	done
}

# Two rigs at once: the second one finds all made.
check_prepare_linux() {
	exec {lock}>"$made/lock"
	flock "$lock"
	tests/setup/initramfs.sh -o "$made/guest.cpio" -a "$arch" -k "$kernel" \
		-m "$modules_guest" \
		-f tests/rig/guest_devices.sh=devices.sh tests/rig/guest_init.sh
	tests/setup/tools.sh -a "$arch" "$made/tools.img" lspci fio mke2fs \
		ethtool iperf3 rngtest
	case $arch in
	x86_64) check_wrap_x86_64 ;;
	aarch64) check_wrap_aarch64 ;;
	esac
	exec {lock}>&-
}

# What another architecture's rig wants on this host.
check_setup() {
	tests/setup/deps.sh guest rig check || check_fail "packages are missing"
	if [[ $arch != "$(uname -m)" ]]; then
		tests/setup/deps.sh arm || check_fail "packages are missing"
		tests/setup/root.sh "$arch" rig || check_fail "no root for $arch"
	fi
	tests/setup/kernels.sh "$arch" "$flavour" generic ||
		check_fail "kernels are missing"
	[[ -x $BANTAM ]] || check_fail "no program $BANTAM: run make"
}

# check_rig ARG...: parts.sh in a rig.
check_rig() {
	RIG_KERNEL=$PWD/$kernel RIG_UNIT=$UNIT tests/rig/run.sh "${rig[@]}" \
		--timeout $((limit - (EPOCHSECONDS - started))) -- \
		tests/rig/parts.sh "$@" 2>&1
}

# Results that an earlier rig has told already are not told again: a part other
# than linux begins anew in the second one.
check_new() {
	local line key
	local -A told=()

	while IFS= read -r key; do
		told[$key]=y
	done <"$out/told"
	while IFS= read -r line; do
		if [[ $line =~ ^(ok|not ok|skip:) ]]; then
			key=${line%%, *}
			[[ -z ${told[$key]-} ]] || continue
			printf '%s\n' "$key" >>"$out/told"
		fi
		printf '%s\n' "$line"
	done
}

# Where it was when it ended.
check_where() {
	echo "$(<"$out/part"): $(<"$out/case")"
}

# check_again: with a second rig, from the case on in which the first one hung.
check_again() {
	local hung

	hung=$(<"$out/part")
	echo "skip: rig $name hung in $(check_where): see above; that case and" \
		"what is left run in a second rig"
	while [[ ${parts[0]} != "$hung" ]]; do
		parts=("${parts[@]:1}")
	done
	if [[ $hung == linux ]]; then
		parts=(--from "$(<"$out/case")" "${parts[@]}")
	fi
	check_rig "${parts[@]}" | check_new
}

started=$EPOCHSECONDS
parts=("$@")
if [[ $# -eq 0 ]]; then
	if [[ $arch != "$(uname -m)" ]]; then
		parts=(unit)
	elif [[ ! -r /dev/kvm || ! -w /dev/kvm ]]; then
		parts=(unit guest script)
	fi
	parts+=(linux)
fi
check_setup
mkdir -p "$out" "$made"
[[ " ${parts[*]} " != *" linux "* ]] || check_prepare_linux

: >"$out/told"
echo start >"$out/part"
echo start >"$out/case"
status=0
check_rig "${parts[@]}" | check_new || status=$?
if [[ $status -eq 126 && $(<"$out/part") != start ]]; then
	status=0
	check_again || status=$?
fi
case $status in
126) echo "not ok rig $name: it hung in $(check_where)" ;;
124) echo "not ok rig $name: no end in $limit s, in $(check_where)" ;;
125) echo "not ok rig $name: it failed in $(check_where)" ;;
esac
exit "$status"
