#!/bin/bash
# Speed of virtio devices, bantam beside QEMU: the same freestanding guest, the
# same host, in turn, RUNS rounds (5): devices.sh [block] [net]. On a /dev/kvm:
# the host's or, through tests/rig/run.sh, the rig's.
#
# From the environment: BANTAM (the program), B (the build folder), RUNS, COUNT,
# DIRECT_ONLY (not empty: block with O_DIRECT only).
set -euo pipefail
cd "$(dirname "$0")/../.."

B=${B:-build/x86_64}
BANTAM=${BANTAM:-$PWD/$B/bantam}
guest=$PWD/$B/tests/guest/virtio_bench_pvh.elf
runs=${RUNS:-5}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

q35=(qemu-system-x86_64 -M q35 -accel kvm -cpu "host,-arch-capabilities" -m 256 -nodefaults
	-no-user-config -display none -serial stdio
	-device "isa-debug-exit,iobase=0xf4,iosize=1"
	-object "iothread,id=io" -kernel "$guest")

# bench_figure COMMAND...: operations per second of a guest's run.
bench_figure() {
	"$@" </dev/null 2>"$work/err" | tr -d '\r' |
		awk '/^bench: / { printf "%.1f %.2f\n", $2 * 1e9 / $4, $3 * 1e3 / $4 }'
}

# bench_bantam on|off OPTIONS: with the device in its process, or in main.
bench_bantam() {
	bench_figure "$BANTAM" run -m 256M -k "$guest" -a "$2" --sandbox "$1" \
		"${bantam_device[@]}" || true
}

# bench_pair NAME OPTIONS: QEMU and bantam in turn, with the arrays
# qemu_device and bantam_device; medians and the medians of the ratios, to QEMU
# and to bantam with its device in main.
bench_pair() {
	local name=$1 append=$2 i qemu bantam off who

	: >"$work/rows"
	for ((i = 0; i <= runs; i++)); do
		qemu=$(bench_figure "${q35[@]}" "${qemu_device[@]}" \
			-append "$append" || true)
		[[ -n $qemu ]] || sed 's/^/   QEMU: /' "$work/err"
		off=$(bench_bantam off "$append")
		bantam=$(bench_bantam on "$append")
		if [[ -z $qemu || -z $bantam || -z $off ]]; then
			who=QEMU
			[[ -z $qemu ]] || who=bantam
			echo "   $name: no figure of $who"
			sed 's/^/   /' "$work/err"
			return 0
		fi
		# The first round warms up.
		[[ $i -eq 0 ]] || echo "$qemu $bantam $off" >>"$work/rows"
	done
	awk -v name="$name" '
		function median(a, n,    i, j, t) {
			for (i = 1; i <= n; i++)
				for (j = i + 1; j <= n; j++)
					if (a[j] < a[i]) {
						t = a[i]; a[i] = a[j]; a[j] = t
					}
			return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
		}
		{
			q[NR] = $1; b[NR] = $3; m[NR] = $4; r[NR] = $3 / $1
			o[NR] = $5; s[NR] = $3 / $5
		}
		END {
			printf "  %-36s QEMU %9.0f/s  bantam %9.0f/s (%.1f MB/s)  x%.2f  --sandbox off %9.0f/s  x%.2f\n",
				name, median(q, NR), median(b, NR), median(m, NR),
				median(r, NR), median(o, NR), median(s, NR)
		}' "$work/rows"
}

# bench_host_io RW SIZE DEPTH DIRECT: the host's own figure for $disk, by the
# same kind of request.
bench_host_io() {
	if ! command -v fio >/dev/null; then
		echo "   skip: the host's own io_uring: no fio"
		return 0
	fi
	fio --name=host --filename="$disk" --readonly --rw="$1" --size=64M \
		--bs="$2" --iodepth="$3" --direct="$4" --ioengine=io_uring \
		--runtime=2 --time_based --minimal 2>/dev/null |
		awk -F ';' '{ printf "  %-36s io_uring on the host %9.0f/s\n", "", $8 }'
}

# bench_reads NAME FACTOR: with the same devices, all kinds; FACTOR times COUNT
# of them.
bench_reads() {
	local count=$((${COUNT:-4000} * $2))

	bench_pair "4 KiB random, depth 1, $1" \
		"what=read random=1 size=4096 depth=1 count=$count"
	bench_host_io randread 4k 1 "$direct"
	bench_pair "4 KiB random, depth 32, $1" \
		"what=read random=1 size=4096 depth=32 count=$((4 * count))"
	bench_host_io randread 4k 32 "$direct"
	bench_pair "128 KiB sequential, $1" \
		"what=read size=131072 depth=8 count=$((count / 2))"
	bench_host_io read 128k 8 "$direct"
}

# What takes O_DIRECT: the file, or the rig's disk with the same bytes.
bench_direct_disk() {
	dd if="$disk" of=/dev/null bs=4096 count=1 iflag=direct \
		status=none 2>/dev/null && return
	[[ -b ${RIG_DISK-} ]] || return
	cat "$disk" "$disk" "$disk" "$disk" |
		dd of="$RIG_DISK" bs=1M iflag=fullblock oflag=direct status=none
	disk=$RIG_DISK
}

bench_block() {
	local aio direct=0 disk=$work/disk

	echo "== block: reads by a guest at CPL 3, 64 MiB file in the page cache, or O_DIRECT"
	echo "   QEMU: ${q35[*]} -drive if=none,id=d,file=F,format=raw,aio=io_uring|native,cache=writeback|none -device virtio-blk-pci,drive=d,iothread=io,disable-legacy=on"
	head -c 64M /dev/urandom >"$disk"
	qemu_device=(-drive "if=none,id=d,file=$disk,format=raw,aio=io_uring,cache=writeback"
		-device "virtio-blk-pci,drive=d,iothread=io,disable-legacy=on")
	bantam_device=(-d "$disk")
	[[ -n ${DIRECT_ONLY-} ]] || bench_reads "page cache" 10
	direct=1
	if ! bench_direct_disk; then
		echo "   skip: O_DIRECT: not for $disk, and there is no other disk"
		return 0
	fi
	echo "   O_DIRECT: $disk"
	bantam_device=(-d "$disk,direct")
	for aio in io_uring native; do
		qemu_device[1]="if=none,id=d,file=$disk,format=raw,aio=$aio,cache=none"
		bench_reads "direct, $aio" 1
	done
	echo "   target: x1.0 at depth 1, x1.2 at depth 32; x0.95 of --sandbox off"
}

bench_net() {
	local size

	echo "== net: frames sent to a tap by a guest at CPL 3"
	echo "   QEMU: ${q35[*]} -netdev tap,id=n,ifname=tap9,script=no,downscript=no,vhost=off -device virtio-net-pci,netdev=n,disable-legacy=on"
	ip link delete tap9 2>/dev/null || true
	if ! ip tuntap add tap9 mode tap vnet_hdr; then
		echo "   skip: no tap can be made here: it takes root and /dev/net/tun"
		return 0
	fi
	ip link set tap9 up
	qemu_device=(-netdev "tap,id=n,ifname=tap9,script=no,downscript=no,vhost=off"
		-device "virtio-net-pci,netdev=n,disable-legacy=on")
	bantam_device=(-n "tap=tap9")
	for size in 64 1514; do
		bench_pair "send, $size bytes" \
			"what=send size=$size depth=64 count=${COUNT:-20000}"
	done
	for size in 64 1514; do
		bench_flood "$size" &
		bench_pair "receive, $size bytes" \
			"what=recv depth=64 count=${COUNT:-20000}"
		kill "$!" 2>/dev/null || true
		wait "$!" 2>/dev/null || true
	done
	ip link delete tap9
	echo "   target: x1.0; x0.95 of --sandbox off"
}

# bench_flood BYTES: frames without end into the tap, whoever reads them.
bench_flood() {
	exec "$PWD/$B/tests/bench/flood" tap9 "$1"
}

[[ -r /dev/kvm && -w /dev/kvm ]] || {
	echo "skip: no /dev/kvm that may be used"
	exit 0
}
[[ $# -gt 0 ]] || set -- block net
for group; do
	"bench_$group"
done
