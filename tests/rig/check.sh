#!/bin/bash
# The rig's tests from the host's side: check.sh [PART...], the parts of
# parts.sh, or check.sh linux CASE... for some cases of suite.sh alone. Makes
# what the parts need, boots the rig once and runs them in it.
#
# Without arguments: Linux, and where this host has no /dev/kvm that we may use,
# what the groups unit, guest and script need one for.
#
# A rig that hangs is said to have, with the case and what its CPU was doing.
# That case and what comes behind it run in a second rig; one that hangs again
# has failed. $BANTAM is the program, $UNIT are the unit test programs.
set -euo pipefail
cd "$(dirname "$0")/../.."

B=${B:-build/x86_64}
export BANTAM=${BANTAM:-$PWD/$B/bantam}
UNIT=${UNIT:-$(find "$B/tests/unit" -type f -perm -1 -name "test_*")}
limit=${RIG_LIMIT:-1800} # seconds, all rigs together
kernel=cache/x86_64/cloud
out=build/rig

check_fail() {
	echo "not ok rig: $1"
	exit 1
}

check_prepare_linux() {
	local module modules=() format image

	for module in button evdev pvpanic pvpanic-mmio virtio_ring virtio \
		virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci \
		virtio_mmio failover net_failover virtio_blk virtio_net \
		virtio_console virtio-rng; do
		modules+=(-m "$kernel/modules/$module.ko")
	done
	tests/setup/initramfs.sh -o "$out/guest.cpio" "${modules[@]}" \
		-f tests/rig/guest_devices.sh=devices.sh tests/rig/guest_init.sh
	tests/setup/tools.sh "$out/tools.img" lspci fio mke2fs ethtool iperf3 \
		rngtest
	for format in gzip xz lzma zstd bzip2; do
		image=$out/kernel.$format
		[[ ! $image -nt $kernel/vmlinux ]] || continue
		echo "rig: wrapping the kernel in $format"
		tests/rig/rewrap.sh "$kernel/vmlinuz" "$kernel/vmlinux" \
			"$format" "$image"
	done
}

# check_rig ARG...: parts.sh in a rig.
check_rig() {
	RIG_KERNEL=$PWD/$kernel RIG_UNIT=$UNIT tests/rig/run.sh \
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
	echo "skip: rig hung in $(check_where): see above; that case and what" \
		"is left run in a second rig"
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
	[[ -r /dev/kvm && -w /dev/kvm ]] || parts=(unit guest script)
	parts+=(linux)
fi
tests/setup/deps.sh guest rig check || check_fail "packages are missing"
tests/setup/kernels.sh cloud generic || check_fail "kernels are missing"
[[ -x $BANTAM ]] || check_fail "no program $BANTAM: run make"
mkdir -p "$out"
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
126) echo "not ok rig: it hung in $(check_where)" ;;
124) echo "not ok rig: no end in $limit s, in $(check_where)" ;;
125) echo "not ok rig: it failed in $(check_where)" ;;
esac
exit "$status"
