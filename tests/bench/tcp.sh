#!/bin/bash
# TCP to and from a Linux guest through a tap and through passt, bantam beside
# QEMU (vhost off) in the same run: tcp.sh [tap] [user], in the rig, with what
# run.sh of this folder prepared. Both machines are there all the time, and
# iperf3 asks them in turn, RUNS rounds (5), BYTES each way (32M).
#
# From the environment: BANTAM (the program), KERNEL, INITRD, TOOLS.
set -euo pipefail

runs=${RUNS:-5}
bytes=${BYTES:-32M}
work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; rm -rf "$work"' EXIT

q35=(qemu-system-x86_64 -M q35 -accel kvm -cpu host -m 256 -nodefaults
	-no-user-config -display none -serial stdio
	-kernel "$KERNEL" -initrd "$INITRD"
	-drive "if=none,id=d,file=$TOOLS,format=raw,readonly=on,file.locking=off"
	-device "virtio-blk-pci,drive=d,disable-legacy=on")
bantam=("$BANTAM" run -m 256M -k "$KERNEL" -i "$INITRD" -d "$TOOLS,ro")

# tcp_start NAME COMMAND...: in the background, its output in a file.
tcp_start() {
	local name=$1

	shift
	"$@" </dev/null >"$work/$name" 2>&1 &
	pids+=($!)
}

# tcp_await NAME HOST PORT: the guest's iperf3 answers.
tcp_await() {
	local tries=${TRIES:-60}

	while ! timeout 10 iperf3 -c "$2" -p "$3" -n 1K --connect-timeout 1000 \
		>/dev/null 2>&1; do
		tries=$((tries - 1))
		if [[ $tries -eq 0 ]]; then
			echo "   no figure: the guest of $1 did not come up"
			tail -n 12 "$work/$1" | sed 's/^/   /'
			return 1
		fi
		sleep 1
	done
}

# tcp_rate HOST PORT OPTION...: MB/s that arrived.
tcp_rate() {
	timeout 60 iperf3 -c "$1" -p "$2" -n "$bytes" -f k "${@:3}" |
		awk '/receiver$/ { for (i = 2; i <= NF; i++)
			if ($i == "Kbits/sec") print $(i - 1) / 8000 }'
}

# tcp_pair NAME HOST PORT HOST PORT OPTION...: QEMU's and bantam's, in turn.
tcp_pair() {
	local i qemu ours

	: >"$work/rows"
	for ((i = 0; i <= runs; i++)); do
		qemu=$(tcp_rate "$2" "$3" "${@:6}" || true)
		ours=$(tcp_rate "$4" "$5" "${@:6}" || true)
		if [[ -z $qemu || -z $ours ]]; then
			echo "   $1: no figure: QEMU '$qemu' bantam '$ours'"
			continue
		fi
		# The first round warms up.
		[[ $i -eq 0 ]] || echo "$qemu $ours" >>"$work/rows"
	done
	awk -v name="$1" '
		function median(a, n,    i, j, t) {
			for (i = 1; i <= n; i++)
				for (j = i + 1; j <= n; j++)
					if (a[j] < a[i]) {
						t = a[i]; a[i] = a[j]; a[j] = t
					}
			return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
		}
		{ q[NR] = $1; b[NR] = $2; r[NR] = $2 / $1 }
		END {
			if (NR)
				printf "  %-28s QEMU %8.1f MB/s  bantam %8.1f MB/s  x%.2f\n",
					name, median(q, NR), median(b, NR), median(r, NR)
		}' "$work/rows"
}

# tcp_both WHAT QEMU-HOST QEMU-PORT BANTAM-HOST BANTAM-PORT
tcp_both() {
	tcp_await qemu "$2" "$3" || return 0
	tcp_await bantam "$4" "$5" || return 0
	tcp_pair "bytes to the guest, $1" "$2" "$3" "$4" "$5"
	tcp_pair "bytes from the guest, $1" "$2" "$3" "$4" "$5" -R
	kill "${pids[@]}"
	wait "${pids[@]}" 2>/dev/null || true
	pids=()
}

# tcp_tap NAME NUMBER: a tap whose other end is the guest's 10.9.NUMBER.2.
tcp_tap() {
	ip tuntap add "$1" mode tap vnet_hdr
	ip address add "10.9.$2.1/24" dev "$1"
	ip link set "$1" up
}

bench_tap() {
	local net=(-netdev "tap,id=n,ifname=tap7,script=no,downscript=no,vhost=off"
		-device "virtio-net-pci,netdev=n,disable-legacy=on")

	echo "== net: TCP of a Linux guest through a tap, $bytes each way"
	echo "   QEMU: ${q35[*]} ${net[*]}"
	tcp_tap tap7 7
	tcp_tap tap8 8
	tcp_start qemu "${q35[@]}" "${net[@]}" \
		-append "console=ttyS0 quiet cryptomgr.notests address=10.9.7.2/24"
	tcp_start bantam "${bantam[@]}" -n tap=tap8 \
		-a "quiet cryptomgr.notests address=10.9.8.2/24"
	tcp_both tap 10.9.7.2 5201 10.9.8.2 5201
	echo "   target: x1.0"
}

# passt tells its guest of the host's way out: here one that leads nowhere.
bench_user() {
	local net=(-netdev "stream,id=n,server=off,addr.type=unix,addr.path=$work/socket"
		-device "virtio-net-pci,netdev=n,disable-legacy=on")
	local guest="address=10.8.0.2/24 gateway=10.8.0.1"

	echo "== net: TCP of a Linux guest through passt, $bytes each way"
	echo "   QEMU: ${q35[*]} ${net[*]}"
	ip link set lo up
	ip link add up0 type veth peer name up1
	ip address add 10.8.0.2/24 dev up0
	ip link set up0 up
	ip link set up1 up
	ip route add default via 10.8.0.1 dev up0
	# Started by root it goes on as nobody.
	chmod 1777 "$work"
	tcp_start passt passt --quiet --foreground --stderr \
		--socket "$work/socket" -t 127.0.0.1/5207:5201
	until [[ -S $work/socket ]]; do
		if ! kill -0 "${pids[0]}" 2>/dev/null; then
			echo "   no figure: passt ended"
			sed 's/^/   /' "$work/passt"
			return 0
		fi
		sleep 0.1
	done
	tcp_start qemu "${q35[@]}" "${net[@]}" \
		-append "console=ttyS0 quiet cryptomgr.notests $guest"
	tcp_start bantam "${bantam[@]}" -n user,fwd=127.0.0.1:5208:5201 \
		-a "quiet cryptomgr.notests $guest"
	tcp_both passt 127.0.0.1 5207 127.0.0.1 5208
	echo "   target: x1.0"
}

[[ $# -gt 0 ]] || set -- tap user
for group; do
	"bench_$group"
done
