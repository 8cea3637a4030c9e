#!/bin/bash
# What four devices in processes of their own cost, for tests/bench/run.sh:
# start-up beside QEMU's microvm with the same four devices, what of that is the
# sandbox's beside the least that four jails take (bare_jail.c), and the memory of
# all processes. As root, for a tap; on a /dev/kvm.
#
# From the environment: B, BANTAM, RUNS, MICROVM (QEMU's command to that point).
set -euo pipefail
cd "$(dirname "$0")/../.."

B=${B:-build/x86_64}
BANTAM=${BANTAM:-$PWD/$B/bantam}
read -ra microvm <<<"${MICROVM:?command}"
work=$(mktemp -d)
tap=tapbench

sandbox_end() {
	ip link delete "$tap" 2>/dev/null || true
	rm -rf "$work"
}

# sandbox_pss PID: KiB of it and its children, less what is guest memory: that
# is shared memory, and but for some pages of vhost-user's nothing else is.
sandbox_pss() {
	local pid

	for pid in "$1" $(pgrep -P "$1"); do
		cat "/proc/$pid/smaps_rollup"
	done | awk '
		/^Pss_Anon|^Pss_File/ { own += $2 }
		END { printf "%.2f", own / 1024 }'
}

# sandbox_share OUTPUT: of compare's medians, what the sandbox adds to bantam,
# and four jails to a program that does nothing.
sandbox_share() {
	awk '
		$2 == "wall" { median[$1] = $4 }
		END {
			sandbox = median["bantam-on"] - median["bantam-off"]
			jails = median["bare-4-jails"] - median["bare-no-jail"]
			printf "  the sandbox adds %.1f ms, four bare jails %.1f ms: x%.2f\n",
				sandbox, jails, sandbox / jails
		}' "$1"
}

# It ends as a machine does, not by SIGKILL: the next one uses the same disk.
sandbox_memory() {
	local pid reader

	mkfifo "$work/out"
	"$BANTAM" run -m 128M -a how=spin "${devices[@]}" --sandbox "$1" --grace 0s \
		"$PWD/$B/tests/guest/die.elf" >"$work/out" </dev/null &
	pid=$!
	# The guest says a line, and spins.
	exec {reader}<"$work/out"
	read -r _ <&"$reader"
	echo "  bantam --sandbox $1: PSS $(sandbox_pss "$pid") MiB in $(($(pgrep -cP "$pid" || true) + 1)) processes"
	kill -TERM "$pid"
	wait "$pid" 2>/dev/null || true
	exec {reader}<&-
	rm "$work/out"
}

trap sandbox_end EXIT
if ! ip tuntap add "$tap" mode tap vnet_hdr; then
	echo "   skip: no tap can be made here: it takes root and /dev/net/tun"
	exit 0
fi
ip link set "$tap" up
truncate -s 16M "$work/disk"
devices=(-d "$work/disk" -n "tap=$tap" --console null --rng on)
guest=$PWD/$B/tests/guest/exit.elf
bare=$PWD/$B/tests/bench/bare_jail
run=("$BANTAM" run -m 128M "${devices[@]}")
"$PWD/$B/tests/bench/compare" -n "${RUNS:-31}" \
	qemu-microvm "${microvm[@]}" -m 128 -kernel "$guest" \
	-drive "if=none,id=d,file=$work/disk,format=raw" \
	-device virtio-blk-pci,drive=d,disable-legacy=on \
	-netdev "tap,id=n,ifname=$tap,script=no,downscript=no,vhost=off" \
	-device virtio-net-pci,netdev=n,disable-legacy=on,romfile= \
	-device virtio-serial-pci,disable-legacy=on -chardev null,id=c \
	-device virtconsole,chardev=c \
	-device virtio-rng-pci,disable-legacy=on -- \
	bantam-off "${run[@]}" --sandbox off "$guest" -- \
	bantam-on "${run[@]}" --sandbox on "$guest" -- \
	bare-no-jail "$bare" 0 -- bare-4-jails "$bare" 4 \
	2>"$work/messages" >"$work/figures" || {
	tail -n 5 "$work/messages"
	exit 1
}
cat "$work/figures"
echo "   target: bantam-on at most x0.35"
sandbox_share "$work/figures"
echo "   target: at most x1.3"
sandbox_memory off
sandbox_memory on
echo "   target: all of bantam's processes at most 8 MiB, without guest memory"
