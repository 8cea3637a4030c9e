# shellcheck shell=sh
# Sourced by cases in a guest of the rig (see guest_init.sh) that has virtio
# devices: loads their drivers, and has what cases do with them.

# shellcheck source=tests/setup/modules.sh
. /modules.sh

devices_load() {
	# shellcheck disable=SC2086 # names
	modules_load $modules_virtio $modules_ext4
	# Ports come by messages, after the driver is there.
	grep -qs 0x0003 /sys/bus/virtio/devices/*/device &&
		devices_try 100 test -e /dev/hvc0
}

# devices_tools DISK: the programs of tests/setup/tools.sh, as `tool NAME ...`.
devices_tools() {
	mkdir -p /tools
	mount -t ext4 -o ro "$1" /tools
}

tool() {
	/tools/run "$@"
}

# devices_address INTERFACE ADDRESS/BITS
devices_address() {
	ip link set lo up
	ip address add "$2" dev "$1"
	ip link set "$1" up
}

# devices_try COUNT COMMAND...: until it succeeds.
devices_try() {
	tries=$1
	shift
	while ! "$@"; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || return 1
		usleep 200000
	done
}

# devices_ping COUNT ARG...: so many echoes, one after the other, and how many of
# them had an answer. Each by itself: of several, ping takes the last for lost when
# it takes longer than two of those before, or a second.
devices_ping() {
	left=$1 answers=0
	shift
	while [ "$left" -gt 0 ]; do
		ping -c 1 -W 60 "$@" >/dev/null && answers=$((answers + 1))
		left=$((left - 1))
	done
	echo "$answers answered"
}

# devices_frames INTERFACE rx|tx QUEUE: how many it has had.
devices_frames() {
	tool ethtool -S "$1" | sed -n "s/^ *$2_queue_$3_packets: //p"
}

# devices_pairs INTERFACE ADDRESS: how many pairs of queues there may be, and are;
# and, from each of two CPUs, echoes of that address, with the frames that its own
# pair has had meanwhile.
devices_pairs() {
	echo "pairs: $(tool ethtool -l "$1" | sed -n 's/^Combined:[^0-9]*//p' | paste -s -d ' ' -)"
	for cpu in 0 1; do
		taskset -p $((cpu + 1)) $$ >/dev/null
		sent=$(devices_frames "$1" tx "$cpu") got=$(devices_frames "$1" rx "$cpu")
		echo "echoes$cpu: $(devices_ping 3 "$2")"
		# A tap knows for 3 s on which queue to answer.
		ping -c 5 -i 0.1 "$2" >/dev/null
		echo "sent$cpu: $(($(devices_frames "$1" tx "$cpu") - sent))"
		echo "got$cpu: $(($(devices_frames "$1" rx "$cpu") - got))"
	done
	taskset -p 3 $$ >/dev/null
}
