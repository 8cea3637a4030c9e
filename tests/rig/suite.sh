#!/bin/bash
# Linux under bantam, case by case: suite.sh [CASE...], inside the rig (see
# check.sh, which prepares and calls it). A line a case: `ok NAME`, or `not ok
# NAME: why` with the command, the messages and the end of the guest's console
# behind it.
#
# Each case is a function case_NAME below. It boots guests, whose user space is
# busybox and the lines given on stdin, and ends at the first expectation that
# does not hold. bantam runs as an ordinary user everywhere.
# shellcheck disable=SC2317 # cases are called by their names
set -uo pipefail

shared=${RIG_SHARE:?to be run in the rig by tests/rig/check.sh}
work=$(mktemp -d /tmp/suite.XXXXXX)
chmod 0755 "$work"
bantam=$work/bantam
vmlinuz=$work/vmlinuz
out=$work/out
err=$work/err
case_limit=520 # seconds; ten reboots take the longest
user=(setpriv --reuid=65534 --regid=65534 --clear-groups)

# --- What cases use ----------------------------------------------------------

suite_fail() {
	echo "$1" >"$work/why"
	exit 1
}

# suite_initrd: the guests' initramfs with the lines on stdin as /case.
suite_initrd() {
	mkdir -p "$work/tree"
	cat >"$work/tree/case"
	(cd "$work/tree" && echo case | cpio --quiet -o -H newc) |
		cat "$shared/guest.cpio" - >"$work/initrd"
}

# suite_start OPTION...: bantam with these, in the background as `pid`, its
# input the descriptor `feed`.
suite_start() {
	rm -f "$work/feed"
	mkfifo "$work/feed"
	exec {feed}<>"$work/feed"
	suite_command "$@"
	"${command[@]}" <"$work/feed" >"$out" 2>"$err" &
	pid=$!
}

# Kernel, initrd and an upper limit of time stand for what a case does not say.
suite_command() {
	command=("${user[@]}" "$bantam" run)
	[[ " $* " == *" -k "* ]] || command+=(-k "$vmlinuz")
	[[ " $* " == *" -i "* ]] || command+=(-i "$work/initrd")
	[[ " $* " == *" -a "* ]] || command+=(-a quiet)
	[[ " $* " == *" --timeout "* ]] || command+=(--timeout 90s)
	[[ " $* " == *" -m "* ]] || command+=(-m 256M)
	command+=("$@")
	echo "${command[*]}" >"$work/command"
}

# suite_boot STATUS OPTION...: a guest from start to end, the case's lines on
# stdin; bantam has to end with STATUS.
suite_boot() {
	local want=$1

	shift
	suite_initrd
	suite_command "$@"
	"${command[@]}" </dev/null >"$out" 2>"$err"
	suite_status "$?" "$want"
}

suite_status() {
	[[ $1 -eq $2 ]] || suite_fail "ended with status $1, expected $2"
}

# suite_end STATUS: wait for what suite_start started.
suite_end() {
	local status=0

	wait "$pid" || status=$?
	suite_status "$status" "$1"
}

# suite_says PATTERN, suite_tells PATTERN: a line of the guest's console, of
# bantam's messages.
suite_says() {
	grep -qE -- "$1" "$out" || suite_fail "no line /$1/ on the console"
}

suite_tells() {
	grep -qE -- "$1" "$err" || suite_fail "no line /$1/ on stderr"
}

# suite_await COUNT PATTERN: until the console shows that many such lines.
suite_await() {
	local tries

	for ((tries = 0; tries < 900; tries++)); do
		[[ $(grep -cE -- "$2" "$out") -lt $1 ]] || return 0
		kill -0 "$pid" 2>/dev/null ||
			suite_fail "ended before line $1 of /$2/"
		sleep 0.1
	done
	suite_fail "no line $1 of /$2/ in 90 s"
}

suite_never() {
	local line

	line=$(grep -m 1 -E -- "$1" "$out") || return 0
	suite_fail "on the console: ${line%$'\r'}"
}

# suite_between NAME MIN MAX: the number on the console's line `NAME: `.
suite_between() {
	local number

	number=$(sed -nE "s/^$1: ([0-9]+)\r?$/\1/p" "$out" | head -n 1)
	[[ -n $number ]] || suite_fail "no line '$1: NUMBER' on the console"
	[[ $number -ge $2 && $number -le $3 ]] ||
		suite_fail "$1 is $number, expected $2 to $3"
}

suite_less() {
	[[ $1 -lt $2 ]] || suite_fail "$1 $3, expected less than $2"
}

# Bad input: one line of message, which says PATTERN, and no guest.
suite_one_error() {
	suite_tells "^bantam: .*$1"
	[[ $(wc -l <"$err") -eq 1 ]] || suite_fail "more than a line on stderr"
	[[ ! -s $out ]] || suite_fail "something on stdout"
}

# Centiseconds of CPU that bantam's main thread has used.
suite_main_time() {
	awk '{ print $14 + $15 }' "/proc/$pid/task/$pid/stat"
}

# --- Booting, and what the guest sees ------------------------------------------

# That an interrupt took long is the speed of the rig, not ours.
case_boot() {
	suite_boot 0 -m 512M -c 2 <<-'END'
		echo "cpus: $(nproc)"
		echo "memory: $(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)"
		echo "bridge: $(cat /sys/bus/pci/devices/0000:00:00.0/uevent)"
		echo "clock: $(cat /sys/devices/system/clocksource/*/current_clocksource)"
		echo "x2apic: $(grep -cw x2apic /proc/cpuinfo)"
		for file in physical_package_id core_id thread_siblings_list; do
			echo "$file: $(cat /sys/devices/system/cpu/cpu?/topology/$file |
				sort -u | wc -l)"
		done
		sed 's/^/irq: /' /proc/interrupts
		echo "rtc: $(cat /sys/class/rtc/rtc0/name)"
		echo "date: $(date +%s)"
		dmesg | sed -n 's/.*\] Memory: /ram: /p'
		dmesg -r | grep -v 'interrupt took' | sed -n 's/^<[0-4]>/severe: /p'
		dmesg | grep -iE 'firmware bug|acpi.*(error|exception|warning)|no irq|nobody cared|bios bug|spurious|not accessible' |
			sed 's/^/suspect: /'
	END
	suite_says '^cpus: 2'
	suite_between memory 440000 524288
	suite_says 'PCI_ID=8086:29C0'
	suite_says '^clock: (kvm-clock|tsc)'
	suite_says '^x2apic: 2'
	suite_says '^physical_package_id: 1'
	suite_says '^core_id: 2'
	suite_says '^thread_siblings_list: 2'
	suite_says '^irq: .*ttyS0'
	suite_says '^rtc: rtc_cmos'
	suite_between date $((EPOCHSECONDS - 120)) "$EPOCHSECONDS"
	# All but what the first MiB loses to the firmware's places.
	suite_says '^ram: [0-9]+K/52[34][0-9]{3}K available'
	suite_never '^(severe|suspect): '
}

case_machine_legacy() {
	suite_boot 0 -m 512M -c 2 --machine legacy <<-'END'
		echo "cpus: $(nproc)"
		echo "clocks: $(cat /sys/devices/system/clocksource/*/available_clocksource)"
		sed 's/^/irq: /' /proc/interrupts
		dmesg -r | grep -v 'interrupt took' | sed -n 's/^<[0-4]>/severe: /p'
	END
	suite_says '^cpus: 2'
	suite_says '^clocks: .*acpi_pm'
	suite_says '^irq: +4: .*ttyS0'
	suite_says '^irq: +9: .*acpi'
	suite_never '^severe: '
}

case_one_cpu() {
	suite_boot 0 <<-'END'
		echo "cpus: $(nproc)"
	END
	suite_says '^cpus: 1'
}

case_eight_cpus() {
	suite_boot 0 -m 512M -c 8 <<-'END'
		echo "cpus: $(nproc)"
		for cpu in 0 1 2 3 4 5 6 7; do
			taskset -c $cpu sh -c 'echo "on $(cut -d " " -f 39 /proc/self/stat)"'
		done
	END
	suite_says '^cpus: 8'
	suite_says '^on 7'
}

# More than the rig has: a warning, and a guest with all of it.
case_memory_8g() {
	suite_boot 0 -m 8G <<-'END'
		echo "memory: $(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)"
	END
	suite_between memory 7900000 8388608
	suite_tells 'memory'
}

case_memory_128m() {
	suite_boot 0 -m 128M <<-'END'
		echo here
	END
	suite_says '^here'
}

# Less than the kernel's own size.
case_memory_too_small() {
	suite_boot 125 -m 32M </dev/null
	suite_one_error 'memory'
}

case_command_line() {
	suite_boot 0 -a 'quiet one="two words" three=4,5' <<-'END'
		echo "line: $(cat /proc/cmdline)"
	END
	suite_says '^line: .*quiet one="two words" three=4,5'
	suite_says '^line: .*console=ttyS0'
}

# --- Kernels and entries ---------------------------------------------------------

# suite_kernel FILE[,entry=...]: it boots.
suite_kernel() {
	suite_boot 0 -m 512M -k "$1" <<-'END'
		echo "release: $(uname -r)"
	END
	suite_says "^release: $(<"$RIG_KERNEL/release")"
}

case_entry_bzimage() {
	suite_kernel "$vmlinuz,entry=bzimage"
}

case_vmlinux() {
	suite_kernel "$RIG_KERNEL/vmlinux"
}

case_vmlinux_pvh() {
	suite_kernel "$RIG_KERNEL/vmlinux,entry=pvh"
}

case_payload_gzip() {
	suite_kernel "$shared/kernel.gzip"
}

case_payload_xz() {
	suite_kernel "$shared/kernel.xz"
}

case_payload_lzma() {
	suite_kernel "$shared/kernel.lzma"
}

case_payload_zstd() {
	suite_kernel "$shared/kernel.zstd"
}

case_payload_bzip2() {
	suite_kernel "$shared/kernel.bzip2"
}

# --- How guests end --------------------------------------------------------------

case_panic_sysrq() {
	suite_boot 120 -a 'quiet panic=0' <<-'END'
		echo c >/proc/sysrq-trigger
	END
}

case_panic_pvpanic() {
	suite_boot 120 -a 'quiet panic=0 console=null' <<-'END'
		insmod /lib/modules/pvpanic.ko
		insmod /lib/modules/pvpanic-mmio.ko
		echo c >/proc/sysrq-trigger
	END
}

case_panic_init_exits() {
	suite_boot 120 <<-'END'
		exit 3
	END
	suite_says 'Attempted to kill init'
}

case_panic_reboots() {
	suite_boot 120 -a 'quiet panic=1' <<-'END'
		echo c >/proc/sysrq-trigger
	END
}

case_triple_fault() {
	suite_boot 121 -a 'quiet reboot=t' <<-'END'
		reboot -f
	END
	suite_tells '[Rr][Ii][Pp]'
}

case_timeout() {
	local started=$EPOCHSECONDS

	suite_boot 124 --timeout 6s <<-'END'
		sleep 1000
	END
	suite_less $((EPOCHSECONDS - started)) 12 "seconds until --timeout 6s"
}

case_no_reboot() {
	suite_boot 122 --no-reboot <<-'END'
		reboot -f
	END
}

case_no_reboot_keyboard() {
	suite_boot 122 --no-reboot -a 'quiet reboot=k' <<-'END'
		reboot -f
	END
}

case_ten_reboots() {
	local i

	suite_initrd <<-'END'
		echo "up, cpus: $(nproc), $(cut -d " " -f 1 /proc/uptime) s"
		read -r word
		[ "$word" = reboot ] && reboot -f
	END
	suite_start -c 2 --timeout 500s
	for i in 1 2 3 4 5 6 7 8 9 10; do
		suite_await "$i" '^up, cpus: 2'
		echo reboot >&"$feed"
	done
	suite_await 11 '^up, cpus: 2'
	echo enough >&"$feed"
	suite_end 0
}

# --- Input -------------------------------------------------------------------------

case_input() {
	local sum

	suite_initrd <<-'END'
		stty raw -echo
		echo up
		echo "sum: $(head -c 20000 | md5sum)"
	END
	head -c 20000 /dev/urandom >"$work/data"
	sum=$(md5sum <"$work/data")
	suite_start
	suite_await 1 '^up'
	cat "$work/data" >&"$feed"
	suite_end 0
	suite_says "^sum: ${sum%% *}"
}

case_input_echo() {
	suite_initrd <<-'END'
		stty -echo
		echo up
		while read -r line && [ -n "$line" ]; do
			echo "<$line>"
		done
	END
	suite_start
	suite_await 1 '^up'
	echo 'hello, guest' >&"$feed"
	suite_await 1 '^<hello, guest>'
	echo >&"$feed"
	suite_end 0
}

# At its end stdin neither ends the guest nor keeps the main thread busy.
case_input_at_end() {
	local before spent

	suite_initrd <<-'END'
		echo up
		sleep 4
		echo done
	END
	suite_command
	"${command[@]}" </dev/null >"$out" 2>"$err" &
	pid=$!
	suite_await 1 '^up'
	before=$(suite_main_time)
	sleep 2
	spent=$(($(suite_main_time) - before))
	suite_end 0
	suite_says '^done'
	suite_less "$spent" 40 "centiseconds of CPU in 2 s of idling"
}

# --- Signals -------------------------------------------------------------------------

# The button's driver reports a key; this user space obeys it.
suite_button() {
	suite_initrd <<-'END'
		insmod /lib/modules/evdev.ko
		insmod /lib/modules/button.ko
		for input in /sys/class/input/event*; do
			[ "$(cat $input/device/name)" = 'Power Button' ] &&
				event=/dev/input/${input##*/}
		done
		echo "up, ${event:-no button}"
		dd bs=24 count=1 <"$event" >/dev/null 2>&1
		echo pressed
	END
	suite_start "$@"
	suite_await 1 '^up, /dev/input'
	kill -TERM "$pid"
	suite_end 0
	suite_says '^pressed'
}

case_button() {
	suite_button --grace 60s
}

case_button_legacy() {
	suite_button --grace 60s --machine legacy
}

case_grace() {
	local started

	suite_initrd <<-'END'
		echo up
		sleep 1000
	END
	suite_start --grace 2s
	suite_await 1 '^up'
	started=$EPOCHSECONDS
	kill -TERM "$pid"
	suite_end 0
	suite_less $((EPOCHSECONDS - started)) 8 "seconds until --grace 2s"
}

case_second_signal() {
	local started

	suite_initrd <<-'END'
		echo up
		sleep 1000
	END
	suite_start --grace 80s
	suite_await 1 '^up'
	started=$EPOCHSECONDS
	kill -TERM "$pid"
	sleep 0.5
	kill -0 "$pid" || suite_fail "the first signal ended it"
	kill -TERM "$pid"
	suite_end 0
	suite_less $((EPOCHSECONDS - started)) 5 "seconds until the second signal"
}

# --- /dev/kvm --------------------------------------------------------------------------

case_no_permission() {
	chmod 0600 /dev/kvm
	suite_boot 125 </dev/null
	chmod 0666 /dev/kvm
	suite_one_error '/dev/kvm'
}

case_no_kvm() {
	mv /dev/kvm /dev/kvm.away
	suite_boot 125 </dev/null
	mv /dev/kvm.away /dev/kvm
	suite_one_error '/dev/kvm'
}

# What `make demo` decides by. Nothing fails here, whatever may be missing.
case_doctor() {
	"${user[@]}" "$bantam" doctor >"$out" 2>"$err"
	suite_status "$?" 0
	suite_says '^ok +kernel code +.*on the CPU itself'
	suite_says '^ok +instructions +int3, int n, popcnt,'
	suite_says '^ok +MSI '
	suite_never '^(fail|skip) '
	[[ $(tail -n 1 "$out") == 'Can Linux run here? Yes.' ]] ||
		suite_fail "the last line is not a yes"
}

case_doctor_json() {
	"${user[@]}" "$bantam" doctor --json >"$out" 2>"$err"
	suite_status "$?" 0
	suite_says '^  "linux": true,$'
	suite_says '^  "why": ""$'
}

# --- Running them ------------------------------------------------------------------------

suite_report() {
	[[ -e $work/command ]] && sed 's/^/    command: /' "$work/command"
	sed 's/^/    stderr: /' "$err"
	tail -n 60 "$out" | tr -d '\r' | sed 's/^/    console: /'
	[[ ! -e $work/threads ]] || sed 's/^/    threads: /' "$work/threads"
}

# Ends a case that does not end by itself, and keeps where its bantam was; ends
# with the case otherwise.
# shellcheck disable=SC2009 # pgrep shows no threads
suite_watch() {
	local second

	for ((second = 0; second < case_limit; second++)); do
		sleep 1
		kill -0 "$1" 2>/dev/null || return
	done
	ps -eLo pid,tid,stat,time,wchan:30,args | grep "$bantam" >"$work/threads"
	echo "no end in $case_limit s" >"$work/why"
	kill -KILL "$1"
	suite_kill
}

# The guests that a failed case leaves.
suite_kill() {
	pkill -KILL -f "^$bantam " 2>/dev/null
}

suite_run() {
	local name=$1 started=$EPOCHREALTIME tenths case status=0

	: >"$out"
	: >"$err"
	rm -f "$work/command" "$work/threads"
	echo 'ended without a reason' >"$work/why"
	"case_$name" &
	case=$!
	suite_watch "$case" &
	wait "$case" 2>/dev/null || status=$?
	if [[ $status -eq 0 ]]; then
		tenths=$(((${EPOCHREALTIME/./} - ${started/./}) / 100000))
		echo "ok $name, $((tenths / 10)).$((tenths % 10)) s"
		return 0
	fi
	echo "not ok $name: $(<"$work/why")"
	suite_report
	suite_kill
	[[ ! -e /dev/kvm.away ]] || mv /dev/kvm.away /dev/kvm
	chmod 0666 /dev/kvm
	return 1
}

# On the rig's own disk, so to speak: an ordinary user may not get at the
# repository.
cp "${BANTAM:?the program}" "$bantam"
cp "${RIG_KERNEL:?the directory of the kernel}/vmlinuz" "$vmlinuz"

cases=("$@")
if [[ ${#cases[@]} -eq 0 ]]; then
	mapfile -t cases < <(sed -n 's/^case_\([a-z0-9_]*\)() {$/\1/p' "$0")
fi
failed=0
for name in "${cases[@]}"; do
	suite_run "$name" || failed=1
done
exit "$failed"
