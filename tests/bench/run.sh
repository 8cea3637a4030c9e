#!/bin/bash
# Prints the figures of docs/PERFORMANCE.md: what `make bench` runs. Ratios of
# one run count; absolute times are this host's of this hour.
#
#   run.sh [start] [sandbox] [memory] [boot] [devices] [tcp] [arm]  (default: all)
#
# From the environment: BANTAM (the program), B (the build folder), RUNS.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/setup/modules.sh
. tests/setup/modules.sh

B=${B:-build/x86_64}
BANTAM=${BANTAM:-$PWD/$B/bantam}
compare=$PWD/$B/tests/bench/compare
exit_guest=$PWD/$B/tests/guest/exit.elf
spin_guest=$PWD/$B/tests/guest/die.elf
microvm=(qemu-system-x86_64
	-M "microvm,acpi=on,pcie=on,pit=off,pic=off,rtc=off,isa-serial=on"
	-nodefaults -no-user-config -display none
	-device "isa-debug-exit,iobase=0xf4,iosize=1" -accel kvm)

bench_kvm() {
	[[ -r /dev/kvm && -w /dev/kvm ]] && return
	echo "skip: no /dev/kvm that may be used"
	return 1
}

# From exec to the end of a guest that ends with its first instruction.
bench_start() {
	echo "== start: exec to the end of a guest whose first instruction ends it; /dev/kvm, 128 MiB, 1 vCPU"
	echo "   QEMU: ${microvm[*]} -m 128 -kernel exit.elf"
	bench_kvm || return 0
	"$compare" -n "${RUNS:-31}" \
		qemu-microvm "${microvm[@]}" -m 128 -kernel "$exit_guest" -- \
		bare-kvm "$PWD/$B/tests/bench/bare_kvm" -- \
		bantam "$BANTAM" run -m 128M --sandbox off "$exit_guest" -- \
		bantam-sandbox "$BANTAM" run -m 128M "$exit_guest" 2>/dev/null
	echo "   target: bantam at most x0.25"
}

# Four devices, in processes of their own and not.
bench_sandbox() {
	echo "== sandbox: the same with a disk, a tap, a console and an rng"
	bench_kvm || return 0
	MICROVM="${microvm[*]}" tests/bench/sandbox.sh
}

# What a running bantam holds besides the guest's own pages: the memfd is
# shared memory, and nothing else of bantam's is.
bench_memory() {
	local fifo pid line reader

	echo "== memory: RSS besides guest pages, one vCPU, 128 MiB, guest spinning"
	bench_kvm || return 0
	fifo=$(mktemp -u)
	mkfifo "$fifo"
	"$BANTAM" run -m 128M -a how=spin --sandbox off "$spin_guest" >"$fifo" </dev/null &
	pid=$!
	# The guest says a line, and spins.
	exec {reader}<"$fifo"
	read -r line <&"$reader"
	rm -f "$fifo"
	awk -v line="$line" '
		/^RssAnon|^RssFile/ { own += $2 }
		/^RssShmem/ { guest = $2 }
		END { printf "  bantam  own %.2f MiB, guest pages %.2f MiB\n",
			own / 1024, guest / 1024 }' "/proc/$pid/status"
	kill -KILL "$pid"
	wait "$pid" 2>/dev/null || true
	exec {reader}<&-
	echo "   target: own at most 4 MiB"
}

# Debian's kernel to the first line of a trivial init, in the rig.
bench_boot() {
	local vmlinuz initrd=$PWD/$B/tests/bench/initrd.cpio

	echo "== boot: Debian's cloud kernel, quiet, to a trivial init's line; nested KVM of the rig, 512 MiB, 1 vCPU"
	tests/setup/kernels.sh x86_64 cloud generic
	vmlinuz=$PWD/cache/x86_64/cloud/vmlinuz
	tests/setup/initramfs.sh -o "$initrd" tests/bench/init
	tests/rig/run.sh --timeout 900 -- tests/bench/boot.sh "$compare" \
		"$BANTAM" "$vmlinuz" "$initrd"
	echo "   target: bantam's wall at most x0.7; own is wall less the guest's uptime"
}

# The same on aarch64, in its rig, beside QEMU's virt.
bench_arm() {
	local dir=$PWD/build/aarch64-static vmlinuz initrd

	initrd=$dir/tests/bench/initrd.cpio
	echo "== arm: Debian's arm64 kernel, quiet, to a trivial init's line; nested KVM of the arm64 rig, 512 MiB, 1 vCPU"
	tests/setup/kernels.sh aarch64 generic
	tests/setup/root.sh aarch64 rig bench
	vmlinuz=$PWD/cache/aarch64/generic/vmlinuz
	tests/setup/initramfs.sh -a aarch64 -o "$initrd" tests/bench/init
	tests/rig/run.sh --arch aarch64 --timeout 900 -- tests/bench/boot.sh \
		"$dir/tests/bench/compare" "$dir/bantam" "$vmlinuz" "$initrd"
	echo "   target: bantam's wall at most x0.8, its own at most x0.5"
}

# Virtio devices beside QEMU's: here, or in the rig, where the smaller COUNT is
# enough for its slow CPU.
bench_devices() {
	tests/setup/deps.sh guest
	if bench_kvm >/dev/null; then
		tests/bench/devices.sh
	else
		echo "   no /dev/kvm here: in the rig"
		tests/rig/run.sh --timeout 1200 -- \
			env COUNT="${COUNT:-1000}" RUNS="${RUNS:-5}" \
			tests/bench/devices.sh
	fi
}

# TCP of a Linux guest, in the rig: see tcp.sh.
bench_tcp() {
	local kernel=$PWD/cache/x86_64/cloud share=$PWD/build/rig/x86_64

	tests/setup/kernels.sh x86_64 cloud generic
	mkdir -p "$share"
	tests/setup/initramfs.sh -o "$share/tcp.cpio" -k "$kernel" \
		-m "$modules_bench" \
		-f tests/rig/guest_devices.sh=devices.sh \
		tests/bench/tcp_guest.sh
	tests/setup/tools.sh "$share/tcp_tools.img" iperf3
	tests/rig/run.sh --memory 3000 --timeout 900 -- \
		env RUNS="${RUNS:-5}" BYTES="${BYTES:-16M}" BANTAM="$BANTAM" \
		KERNEL="$kernel/vmlinuz" INITRD="$share/tcp.cpio" \
		TOOLS="$share/tcp_tools.img" tests/bench/tcp.sh
}

[[ $# -gt 0 ]] || set -- start sandbox memory boot devices tcp arm
for group; do
	"bench_$group"
done
