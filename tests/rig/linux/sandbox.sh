# shellcheck shell=bash disable=SC2154,SC2317 # of suite.sh, which calls
# Devices in processes of their own: what those are, what becomes of a guest when
# they are killed, and of them when bantam ends.

sandbox_devices=(block0 net0 console0 rng0)

# sandbox_disk: the rig's disk takes its time for this shell and what it starts, as
# one that is in memory does not: there is always something in flight.
sandbox_disk() {
	local group=/sys/fs/cgroup/slow

	echo +io >/sys/fs/cgroup/cgroup.subtree_control
	mkdir -p "$group"
	echo "$(<"/sys/class/block/${RIG_DISK##*/}/dev") riops=400 wiops=400" \
		>"$group/io.max" || suite_fail "the disk cannot be made slow"
	echo "$BASHPID" >"$group/cgroup.procs"
}

# sandbox_start [SECONDS]: a disk, a tap, a console and an rng, each of them busy: fio
# writes and verifies, a TCP stream goes to us and comes back, and each round of
# the guest's, which it says, has random numbers and a line for the console. It
# ends at a word from us. The tools' disk has no process.
sandbox_start() {
	chmod 0777 "$work"
	sandbox_disk
	devices_tap tap0 10.9.0.1/24
	timeout "${1:-400}" busybox nc -l -p 5001 -e cat >/dev/null 2>&1 &
	suite_initrd <<-'END'
		. /devices.sh
		devices_load
		devices_tools /dev/vdb
		devices_address eth0 10.9.0.2/24
		(read -r word </dev/console && touch /tmp/stop) &
		head -c 16384 /dev/urandom >/tmp/piece
		mkfifo /tmp/copy
		md5sum </tmp/copy >/tmp/sent &
		sent=$!
		while [ ! -e /tmp/stop ]; do
			cat /tmp/piece
			usleep 50000
		done | tee /tmp/copy | nc 10.9.0.1 5001 | md5sum >/tmp/back &
		back=$!
		/tools/run fio --name=load --filename=/dev/vda --size=8M \
			--rw=randwrite --bs=4k --iodepth=16 --ioengine=libaio \
			--direct=1 --verify=crc32c --verify_backlog=64 \
			--time_based --runtime=3600 >/tmp/fio 2>&1 &
		fio=$!
		writes=0
		while [ "$writes" -eq 0 ]; do
			usleep 100000
			read -r _ _ _ _ writes _ </sys/block/vda/stat
		done
		round=1
		while [ ! -e /tmp/stop ]; do
			dd if=/dev/hwrng of=/tmp/random bs=512 count=1 2>/dev/null
			[ "$(wc -c </tmp/random)" -eq 512 ] || echo "wrong: rng"
			echo "line $round" >/dev/hvc0
			echo "round: $round"
			round=$((round + 1))
			usleep 100000
		done
		wait $sent $back
		[ -s /tmp/sent ] && cmp /tmp/sent /tmp/back || echo "wrong: stream"
		kill -TERM $fio || echo "wrong: fio ended"
		wait $fio
		echo "fio: $?"
		sed 's/^/fio says: /' /tmp/fio
		dmesg -r | grep -E 'I/O error|needs reset|reset' | sed -n 's/^<[0-4]>/severe: /p'
		echo "the end"
	END
	suite_start -m 512M --name sandbox --timeout "${1:-400}s" \
		-d "$RIG_DISK,direct=on" \
		-d "$tools,ro,sandbox=off" -n tap=tap0 \
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

# The status of a fio that was told to end, and has found nothing wrong, is 128.
sandbox_stop() {
	echo stop >&"$feed"
	suite_end 0
	suite_says '^the end'
	suite_says '^fio: 128'
	suite_never '^(wrong|severe): |^fio says: .*(verify: |err= *[1-9])'
}

# sandbox_find DEVICE: its process, among bantam's children.
sandbox_find() {
	local one name children

	read -r -a children <"/proc/$pid/task/$pid/children"
	for one in "${children[@]}"; do
		read -r name 2>/dev/null <"/proc/$one/comm" || continue
		[[ $name != "bantam-$1" ]] || { process[$1]=$one && return; }
	done
	suite_fail "$1: no process"
}

# All four go on, in whatever order.
sandbox_go_on() {
	local device left=${#sandbox_devices[@]}

	for ((; left > 0; left--)); do
		suite_read "$events" "$work/events" '"state":"(restarted|failed)"'
		[[ $line != *failed* ]] || suite_fail "$line"
	done
	for device in "${sandbox_devices[@]}"; do
		sandbox_find "$device"
	done
}

# The guest goes on with them, for more than a second: one that dies sooner is one
# death of five.
sandbox_work() {
	local since=${EPOCHREALTIME/./}

	while ((${EPOCHREALTIME/./} - since < 1100000)); do
		suite_await '^round: '
	done
}

# sandbox_look: what /proc says of each process. Few programs are started for it:
# the guest is busy meanwhile.
sandbox_look() {
	local device one kind name told found

	for device in "${sandbox_devices[@]}"; do
		one=${process[$device]}
		told=$(<"/proc/$one/status")
		[[ $told == *$'\nSeccomp:\t2\n'* ]] || suite_fail "$device: no filter"
		[[ $told == *$'\nNoNewPrivs:\t1\n'* ]] || suite_fail "$device: new privileges"
		for kind in Inh Prm Eff Bnd Amb; do
			[[ $told == *$'\nCap'$kind$':\t0000000000000000\n'* ]] ||
				suite_fail "$device: $(grep ^Cap "/proc/$one/status")"
		done
		found=$(ls -A "/proc/$one/root/" 2>&1)
		[[ -z $found ]] || suite_fail "$device: in its root: $found"
		for kind in user pid mnt net ipc uts; do
			[[ -e /proc/$one/ns/$kind && ! "/proc/$one/ns/$kind" -ef "/proc/$pid/ns/$kind" ]] ||
				suite_fail "$device: bantam's own $kind namespace"
		done
		case $device in
		block0) kind=$RIG_DISK ;;
		net0) kind=/dev/net/tun ;;
		*) kind='socket:' ;;
		esac
		found=
		while read -r name; do
			if [[ $name == "$kind"* ]]; then
				found=y
			elif [[ $name == /* && $name != /dev/null ]]; then
				suite_fail "$device: has $name"
			fi
		done < <(find "/proc/$one/fd" -type l -printf '%l\n')
		[[ -n $found ]] || suite_fail "$device: has no $kind"
	done
}

# sandbox_killed ROUNDS [SECONDS]: look at each process, and kill it so often, every
# other time as soon as its device goes on, in the middle of what the one before has
# left.
sandbox_killed() {
	local count device events lost

	sandbox_start "${2:-400}"
	exec {events}< <("${user[@]}" "$bantam" ctl --json sandbox subscribe device)
	suite_read "$events" "$work/events" '"events"'
	sandbox_processes
	sandbox_look
	for ((count = 0; count < $1; count++)); do
		for device in "${sandbox_devices[@]}"; do
			kill -KILL "${process[$device]}" ||
				suite_fail "$device: no process ${process[$device]}"
		done
		sandbox_go_on
		((count % 2 == 0)) || sandbox_work
	done
	sandbox_ask
	for device in "${sandbox_devices[@]}"; do
		[[ $(sandbox_status "$device" restarts) -eq $1 ]] ||
			suite_fail "$device: restarts: $status"
	done
	sandbox_stop
	# What the console took, it printed.
	lost=$(seq -f 'line %.0f' "$(grep -c '^round: ' "$out")" |
		grep -vxFf <(tr -d '\r' <"$work/console"))
	[[ -z $lost ]] || suite_fail "not in the console's file: $lost"
}

case_sandbox_kill() {
	sandbox_killed 20
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
