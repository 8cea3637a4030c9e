# shellcheck shell=bash disable=SC2034,SC2154,SC2317 # of suite.sh, which calls
# Linux on the other end: input, signals, and the control socket.

# Centiseconds of CPU that bantam's main thread has used.
suite_main_time() {
	awk '{ print $14 + $15 }' "/proc/$pid/task/$pid/stat"
}

# A line that it answers, then more bytes than the terminal's queues hold. At its end
# stdin neither ends the guest nor keeps the main thread busy. Then the guest does
# not hear of the power button, and --grace ends it.
case_input() {
	local before spent started sum

	suite_initrd <<-'END'
		stty -echo
		echo up
		read -r line
		echo "<$line>"
		stty raw
		echo raw
		echo "sum: $(head -c 10000 | md5sum)"
		sleep 2
		echo slept
		sleep 1000
	END
	head -c 10000 /dev/urandom >"$work/data"
	sum=$(md5sum <"$work/data")
	suite_start --grace 2s
	suite_await '^up'
	echo 'hello, guest' >&"$feed"
	suite_await '^<hello, guest>'
	suite_await '^raw'
	cat "$work/data" >&"$feed"
	exec {feed}>&-
	suite_await "^sum: ${sum%% *}"
	before=$(suite_main_time)
	suite_await '^slept'
	spent=$(($(suite_main_time) - before))
	started=$EPOCHSECONDS
	kill -TERM "$pid"
	suite_end 0
	suite_less $((EPOCHSECONDS - started)) 8 "seconds until --grace 2s"
	suite_less "$spent" 40 "centiseconds of CPU in 2 s of idling"
}

# steer_button: a guest's lines. The button's driver reports a key; this user space
# obeys it. It has the device open before it says so: a key goes to nobody else.
steer_button() {
	cat <<-'END'
		insmod /lib/modules/evdev.ko
		insmod /lib/modules/button.ko
		for input in /sys/class/input/event*; do
			[ "$(cat $input/device/name)" = 'Power Button' ] &&
				event=/dev/input/${input##*/}
		done
		exec 9<"${event:-/dev/null}"
		echo "up, ${event:-no button}"
		dd bs=24 count=1 <&9 >/dev/null 2>&1
		echo pressed
	END
}

# The guest talks over hvc0, which leads here, the serial port nowhere; its kernel
# finds out by itself.
case_button() {
	suite_initrd < <(
		cat <<-'END'
			. /devices.sh
			devices_load
			exec <>/dev/hvc0 >&0 2>&1
			echo "line: $(cat /proc/cmdline)"
			stty -echo
			echo ready
			read -r word
			echo "<$word>"
		END
		steer_button
	)
	suite_start --console stdio --grace 60s
	suite_await '^ready'
	echo hello >&"$feed"
	suite_await '^<hello>'
	suite_await '^up, /dev/input'
	kill -TERM "$pid"
	suite_end 0
	suite_says '^line: .*console=hvc0'
	suite_says '^pressed'
}

# A pause is longer than what the kernel calls a lockup of a CPU, which is busy
# all the while; a reset brings a new kernel; and the second signal does not wait
# for a guest that ignores the button.
case_control() {
	local before paused=5 started

	suite_initrd <<-'END'
		stty -echo
		echo 2 >/proc/sys/kernel/watchdog_thresh
		yes >/dev/null &
		echo "up, lockups after $((2 * $(cat /proc/sys/kernel/watchdog_thresh))) s"
		echo "before: $(date +%s)"
		read -r word
		sleep 3
		echo "after: $(date +%s)"
		dmesg | grep -iE 'lockup|stall|unstable' | sed 's/^/suspect: /'
		echo "$word"
		sleep 1000
	END
	suite_start --name linux --grace 80s --log info
	suite_await '^up, lockups after 4 s'
	suite_await '^before'
	suite_verb '' ctl linux pause
	suite_verb '"name":"linux".*"state":"paused"' ps --json
	read -r -t "$paused" <&"$feed"
	suite_verb '' ctl linux resume
	suite_verb 'running' ctl linux status
	echo resumed >&"$feed"
	suite_await '^resumed'
	suite_never '^suspect'
	suite_number before
	before=$number
	suite_between after $((before + paused)) $((EPOCHSECONDS + 1))
	suite_verb '' ctl linux reset
	suite_await '^up, '
	suite_verb '"resets":1' ctl --json linux status
	started=$EPOCHSECONDS
	kill -TERM "$pid"
	suite_await_message 'the power button is pressed'
	kill -TERM "$pid"
	suite_end 0
	suite_less $((EPOCHSECONDS - started)) 5 "seconds until the second signal"
	suite_tells 'stopped'
}
