# shellcheck shell=bash disable=SC2154,SC2317 # of suite.sh, which calls
# Devices in processes of their own: what those are, what becomes of a guest when
# they are killed, and of them when bantam ends.

sandbox_devices=(block0 block1 net0 console0 rng0)

# A disk with the tools, one to write to, a tap, a console and an rng; each round
# of the guest's uses them all, checks what it can, and says so. It ends at a
# word from us.
sandbox_start() {
	chmod 0777 "$work"
	devices_image disk 16
	devices_tap tap0 10.9.0.1/24
	suite_initrd <<-'END'
		. /devices.sh
		devices_load
		devices_tools /dev/vda
		devices_address eth0 10.9.0.2/24
		(read -r word && touch /tmp/stop) </dev/console &
		round=1
		while [ ! -e /tmp/stop ]; do
			tool fio --name=round --filename=/dev/vdb --size=2M \
				--rw=randwrite --bs=16k --iodepth=8 --ioengine=libaio \
				--direct=1 --verify=crc32c --randseed=$round \
				--minimal >/tmp/fio 2>&1 || echo "wrong: fio, $(tail -n 1 /tmp/fio)"
			dd if=/dev/hwrng of=/tmp/random bs=512 count=4 2>/dev/null
			[ "$(wc -c </tmp/random)" -eq 2048 ] || echo "wrong: rng"
			ping -c 1 -W 20 10.9.0.1 >/dev/null || echo "wrong: ping"
			echo "line $round" >/dev/hvc0
			echo "round: $round"
			round=$((round + 1))
		done
		dmesg -r | grep -E 'I/O error|needs reset|reset' | sed -n 's/^<[0-4]>/severe: /p'
		echo "the end"
	END
	suite_start -m 512M --name sandbox --timeout 400s -d "$tools,ro" \
		-d "$work/disk" -n tap=tap0 --console "file=$work/console" \
		"${@:---sandbox=on}"
	suite_await '^round: 1'
}

# sandbox_status DEVICE MEMBER: of `ctl status`.
sandbox_status() {
	"${user[@]}" "$bantam" ctl --json sandbox status 2>>"$work/ctl" |
		sed -nE "s/.*\"label\":\"$1\"[^}]*\"$2\":\"?([^,\"}]*)\"?.*/\1/p"
}

# sandbox_pids: of all device processes.
sandbox_pids() {
	local device

	for device in "${sandbox_devices[@]}"; do
		sandbox_status "$device" pid
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
	for device in "${sandbox_devices[@]}"; do
		one=$(sandbox_status "$device" pid)
		[[ -d /proc/$one ]] || suite_fail "$device: no process '$one'"
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
		block0) kind=$tools ;;
		block1) kind=$work/disk ;;
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
	local count device one next tries

	for ((count = 1; count <= $1; count++)); do
		for device in "${sandbox_devices[@]}"; do
			one=$(sandbox_status "$device" pid)
			kill -KILL "$one" || suite_fail "$device: no process '$one'"
			tries=300
			next=$one
			while [[ $next == "$one" || $next == null ||
				$(sandbox_status "$device" restarts) -lt $count ]]; do
				((tries-- > 0)) || suite_fail "$device: was not started again, after $count: $("${user[@]}" "$bantam" ctl --json sandbox status)"
				next=$(sandbox_status "$device" pid)
			done
		done
		suite_await '^round: '
	done
	suite_await '^round: '
}

sandbox_killed() {
	local rounds line

	sandbox_start
	sandbox_kill "$1"
	sandbox_stop
	# What the console took, it printed.
	rounds=$(grep -c '^round: ' "$out")
	for ((line = 1; line <= rounds; line++)); do
		grep -qE "^line $line"$'\r?$' "$work/console" ||
			suite_fail "line $line of $rounds is not in the console's file"
	done
}

case_sandbox_kill() {
	sandbox_killed 3
}

case_full_sandbox_kill() {
	sandbox_killed 100
}

# However bantam ends, nothing of it is left, and no zombie meanwhile.
case_sandbox_ends() {
	local signal pids zombies

	for signal in KILL TERM; do
		sandbox_start
		mapfile -t pids < <(sandbox_pids)
		[[ ${#pids[@]} -eq ${#sandbox_devices[@]} ]] || suite_fail "processes: ${pids[*]}"
		mapfile -t -O "${#pids[@]}" pids < <(pgrep -P "$pid")
		kill -KILL "${pids[2]}"
		suite_await '^round: '
		zombies=$(ps -o stat= --ppid "$pid" | grep -c ^Z)
		[[ $zombies -eq 0 ]] || suite_fail "$zombies zombies"
		mapfile -t -O "${#pids[@]}" pids < <(pgrep -P "$pid")
		kill "-$signal" "$pid"
		[[ $signal == KILL ]] || kill "-$signal" "$pid"
		wait "$pid" 2>/dev/null
		sandbox_gone "${pids[@]}"
	done
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
	kill -KILL "$(sandbox_status block0 pid)"
	suite_await_message 'block0: .*killed by signal 9'
	[[ $(sandbox_status block0 state) == failed ]] || suite_fail "block0 is '$(sandbox_status block0 state)'"
	[[ $(sandbox_status block0 pid) == null ]] || suite_fail 'there is a process'
	echo go on >&"$feed"
	suite_end 0
	suite_says '^random: 16'
}
