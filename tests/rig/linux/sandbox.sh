# shellcheck shell=bash disable=SC2154,SC2317 # of suite.sh, which calls
# Devices in processes of their own: what those are, what becomes of a guest when
# they are killed, and of them when bantam ends.

sandbox_devices=(block0 net0 console0 rng0)

# sandbox_start [SECONDS]: a disk, a tap, a console and an rng; each round of the guest's uses them all,
# checks what it can, and says so; they are some seconds apart, for a process that
# dies within a second of its start is one death of five. It ends at a word from us.
sandbox_start() {
	chmod 0777 "$work"
	devices_image disk 16
	devices_tap tap0 10.9.0.1/24
	suite_initrd <<-'END'
		. /devices.sh
		devices_load
		devices_address eth0 10.9.0.2/24
		(read -r word </dev/console && touch /tmp/stop) &
		round=1
		while [ ! -e /tmp/stop ]; do
			writers=
			for part in 0 1 2 3; do
				dd if=/dev/urandom of=/tmp/part$part bs=64k count=4 2>/dev/null
				dd if=/tmp/part$part of=/dev/vda bs=4k seek=$((part * 64)) \
					oflag=direct conv=notrunc 2>/dev/null || echo "wrong: write" &
				writers="$writers $!"
			done
			wait $writers
			for part in 0 1 2 3; do
				dd if=/dev/vda of=/tmp/back bs=4k count=64 skip=$((part * 64)) \
					iflag=direct 2>/dev/null || echo "wrong: read"
				cmp /tmp/part$part /tmp/back || echo "wrong: data"
			done
			dd if=/dev/hwrng of=/tmp/random bs=512 count=4 2>/dev/null
			[ "$(wc -c </tmp/random)" -eq 2048 ] || echo "wrong: rng"
			ping -c 1 -W 20 10.9.0.1 >/dev/null || echo "wrong: ping"
			echo "line $round" >/dev/hvc0
			echo "round: $round"
			round=$((round + 1))
			sleep 3
		done
		dmesg -r | grep -E 'I/O error|needs reset|reset' | sed -n 's/^<[0-4]>/severe: /p'
		echo "the end"
	END
	suite_start --name sandbox --timeout "${1:-400}s" -d "$work/disk" -n tap=tap0 \
		--console "file=$work/console" --sandbox on
	suite_await '^round: 1'
}

# Ask bantam, for sandbox_status and sandbox_processes: once, it takes its time.
sandbox_ask() {
	status=$("${user[@]}" "$bantam" ctl --json sandbox status 2>&1) ||
		suite_fail "ctl: $status"
}

# sandbox_status DEVICE MEMBER: of what it said.
sandbox_status() {
	sed -nE "s/.*\"label\":\"$1\"[^}]*\"$2\":\"?([^,\"}]*)\"?.*/\1/p" <<<"$status"
}

# sandbox_processes: `process`, by device.
sandbox_processes() {
	local device

	declare -gA process=()
	sandbox_ask
	for device in "${sandbox_devices[@]}"; do
		process[$device]=$(sandbox_status "$device" pid)
		[[ -d /proc/${process[$device]} ]] ||
			suite_fail "$device: no process '${process[$device]}'"
	done
}

# sandbox_gone PID...: none of them is there any more, in 10 s at most.
sandbox_gone() {
	local one tries=100

	for one; do
		while [[ -d /proc/$one ]]; do
			((tries-- > 0)) || suite_fail "process $one is still there: $(tr '\0' ' ' <"/proc/$one/cmdline"), $(sed -n 's/^State://p' "/proc/$one/status")"
			read -r -t 0.1 <>"$work/feed"
		done
	done
}

sandbox_stop() {
	echo stop >&"$feed"
	suite_end 0
	suite_says '^the end'
	suite_never '^(wrong|severe): '
}

# What /proc says of each process, and that their filters let them do their work.
case_sandbox_processes() {
	local device one kind names

	sandbox_start
	sandbox_processes
	for device in "${sandbox_devices[@]}"; do
		one=${process[$device]}
		grep -qE '^Seccomp:\s*2$' "/proc/$one/status" || suite_fail "$device: no filter"
		grep -qE '^NoNewPrivs:\s*1$' "/proc/$one/status" || suite_fail "$device: new privileges"
		[[ $(grep -cE '^Cap(Inh|Prm|Eff|Bnd|Amb):\s*0+$' "/proc/$one/status") -eq 5 ]] ||
			suite_fail "$device: $(grep ^Cap "/proc/$one/status")"
		[[ -z $(ls -A "/proc/$one/root/") ]] || suite_fail "$device: in its root: $(ls -A "/proc/$one/root/")"
		for kind in user pid mnt net ipc uts; do
			[[ $(readlink "/proc/$one/ns/$kind") != "$(readlink "/proc/$pid/ns/$kind")" ]] ||
				suite_fail "$device: bantam's own $kind namespace"
		done
		names=$(find "/proc/$one/fd" -type l -printf '%l\n' | sort -u)
		case $device in
		block0) kind=$work/disk ;;
		net0) kind=/dev/net/tun ;;
		*) kind='socket:.*' ;;
		esac
		grep -qx "$kind" <<<"$names" || suite_fail "$device: has no $kind: $names"
		names=$(grep -E '^/' <<<"$names" | grep -vxE "$kind|/dev/null|/memfd:.*" || true)
		[[ -z $names ]] || suite_fail "$device: has $names"
	done
	sandbox_stop
}

# sandbox_kill ROUNDS: kill each process so often; the guest goes on each time.
sandbox_kill() {
	local count device

	for ((count = 1; count <= $1; count++)); do
		for device in "${sandbox_devices[@]}"; do
			kill -KILL "${process[$device]}" ||
				suite_fail "$device: no process ${process[$device]}"
			suite_await_message "$device: goes on in another process, "
			process[$device]=${line##* }
		done
		suite_await '^round: '
	done
	suite_await '^round: '
}

# sandbox_killed ROUNDS [SECONDS]
sandbox_killed() {
	local rounds count device

	sandbox_start "${2:-400}"
	sandbox_processes
	sandbox_kill "$1"
	sandbox_ask
	for device in "${sandbox_devices[@]}"; do
		[[ $(sandbox_status "$device" restarts) -eq $1 ]] ||
			suite_fail "$device: restarts: $status"
	done
	sandbox_stop
	# What the console took, it printed.
	rounds=$(grep -c '^round: ' "$out")
	for ((count = 1; count <= rounds; count++)); do
		grep -qE "^line $count"$'\r?$' "$work/console" ||
			suite_fail "line $count of $rounds is not in the console's file"
	done
}

case_sandbox_kill() {
	sandbox_killed 2
}

limit_full_sandbox_kill=1200
case_full_sandbox_kill() {
	sandbox_killed 100 "$limit_full_sandbox_kill"
}

# sandbox_ends SIGNAL...: however bantam ends, nothing of it is left, and no zombie
# meanwhile.
sandbox_ends() {
	local signal pids zombies

	sandbox_start
	sandbox_processes
	kill -KILL "${process[net0]}"
	suite_await_message 'net0: goes on in another process, '
	mapfile -t pids < <(pgrep -P "$pid")
	[[ ${#pids[@]} -ge ${#sandbox_devices[@]} ]] ||
		suite_fail "processes: ${pids[*]}"
	zombies=$(pgrep -P "$pid" -r Z)
	[[ -z $zombies ]] || suite_fail "zombies: $zombies"
	for signal; do
		kill "-$signal" "$pid"
	done
	wait "$pid" 2>/dev/null
	sandbox_gone "${pids[@]}"
}

case_sandbox_ends_killed() {
	sandbox_ends KILL
}

# The second one does not wait for the guest.
case_sandbox_ends_stopped() {
	sandbox_ends TERM TERM
}

# With restart=off the device alone fails, and clients hear of it.
case_sandbox_restart_off() {
	devices_image disk 8
	suite_initrd <<-'END'
		. /devices.sh
		devices_load
		echo "up"
		read -r word
		dd if=/dev/hwrng of=/tmp/random bs=16 count=1 2>/dev/null
		wc -c </tmp/random | sed 's/^/random: /'
	END
	suite_start -d "$work/disk,restart=off" --name sandbox --sandbox on
	suite_await '^up'
	sandbox_ask
	kill -KILL "$(sandbox_status block0 pid)"
	suite_await_message 'block0: .*killed by signal 9'
	sandbox_ask
	[[ $(sandbox_status block0 state) == failed ]] || suite_fail "block0: $status"
	[[ $(sandbox_status block0 pid) == null ]] || suite_fail "block0: $status"
	echo go on >&"$feed"
	suite_end 0
	suite_says '^random: 16'
}
