#!/bin/bash
# The rig's tests from the host's side: check.sh [CASE...]. Makes what the
# cases need, boots the rig once and runs suite.sh in it, which prints a line a
# case. $BANTAM is the program.
set -euo pipefail
cd "$(dirname "$0")/../.."

export BANTAM=${BANTAM:-$PWD/build/x86_64/bantam}
limit=1200
kernel=cache/x86_64/cloud
out=build/rig

check_fail() {
	echo "not ok rig: $1"
	exit 1
}

tests/setup/deps.sh guest rig check || check_fail "packages are missing"
tests/setup/kernels.sh cloud generic || check_fail "kernels are missing"
[[ -x $BANTAM ]] || check_fail "no program $BANTAM: run make"

mkdir -p "$out"
modules=()
for module in button evdev pvpanic pvpanic-mmio; do
	modules+=(-m "$kernel/modules/$module.ko")
done
tests/setup/initramfs.sh -o "$out/guest.cpio" "${modules[@]}" \
	tests/rig/guest_init.sh
for format in gzip xz lzma zstd bzip2; do
	image=$out/kernel.$format
	[[ ! $image -nt $kernel/vmlinux ]] || continue
	echo "rig: wrapping the kernel in $format"
	tests/rig/rewrap.sh "$kernel/vmlinuz" "$kernel/vmlinux" "$format" \
		"$image"
done

RIG_KERNEL=$PWD/$kernel tests/rig/run.sh --timeout "$limit" -- \
	tests/rig/suite.sh "$@"
