#!/bin/bash
# Runs the guests of this folder on /dev/kvm, and devices.sh, outcomes.sh,
# doctor.sh and bad_input.sh at the end: one line a case. See cases.sh for the
# environment; FLOOD is how many bytes a guest prints that nobody reads, few by
# default because an exit to user space is slow on some KVMs (3145728 overruns
# bantam's own buffer as well).
set -u
# shellcheck source=tests/guest/cases.sh
. tests/guest/cases.sh

# --- Statuses ----------------------------------------------------------------

vm exit 42 '' exit.elf
for pair in 0:0 1:1 42:42 119:119 120:119 255:119; do
	vm "status_${pair%:*}" "${pair#*:}" '' status.elf \
		-a "status=${pair%:*}"
done

# --- The static program --------------------------------------------------------

# What `make STATIC=1` made, which make check does: nothing else of a host's is
# needed to start it, and its own SHA-256 is the one of --result.
static=$PWD/build/x86_64-static/bantam

static_program()
{
	local sum

	if readelf -lW "$static" | grep -q INTERP; then
		not_ok static_program 'it asks for an interpreter'
		return
	fi
	read -r sum _ < <(sha256sum "$guests/exit.elf")
	bantam=$static vm static_program 42 '' exit.elf --result "$tmp/static"
	needs_kvm static_result || return 0
	: >"$out"
	grep -s "$sum" "$tmp/static" >"$out"
	judge static_result 0 0 "$sum"
}

if [ -x "$static" ]; then
	static_program
elif [ "$B" = build/x86_64 ] && needs_kvm static_program; then
	skip static_program "no $static: make STATIC=1"
fi

# --- The hand-over of each protocol --------------------------------------------

dd if=/dev/urandom of="$tmp/initrd" bs=3001 count=1 status=none
read -r sum _ < <(sum -r "$tmp/initrd")
initrd="^initrd: 3001 bytes, sum $((10#$sum))\$"

for kind in linux64.elf:linux64 linux32.elf:linux32 pvh.elf:pvh pvh32.elf:pvh \
	multiboot.elf:multiboot multiboot.bin:multiboot; do
	guest=boot_${kind%:*}
	vm "$guest" 0 "^door: ${kind#*:}\$" "$guest" -m 64M -a ram=64
	vm "${guest}_initrd" 0 "$initrd" "$guest" -i "$tmp/initrd"
	vm "${guest}_cmdline" 0 '^cmdline: .*a,b "c d" e=f$' "$guest" \
		-a 'a,b "c d" e=f'
done
vm boot_default_console 0 '^cmdline: console=ttyS0 x$' boot_linux64.elf -a x
vm boot_other_console 0 '^cmdline: console=tty0 x$' boot_linux64.elf \
	-a 'console=tty0 x'
vm boot_no_append 0 '^cmdline: console=ttyS0$' boot_linux64.elf
vm boot_positional 42 '' exit.elf --machine lean

for guest in boot_linux64.elf boot_pvh.elf boot_multiboot.elf; do
	for mib in 32 3071 3072 3073 5120; do
		vm "${guest}_${mib}M" 0 '' "$guest" -m ${mib}M -a ram=$mib
	done
done

# --- bzImages --------------------------------------------------------------------

bz=-abzimage=1
for format in gzip xz lzma lz4 zstd bzip2; do
	vm "bzimage_$format" 0 '^door: linux64$' "$format.bzimage" "$bz"
done
vm bzimage_initrd_limit 0 "$initrd" lz4.bzimage "$bz" -i "$tmp/initrd" -m 512M
vm bzimage_elf32 0 '^door: linux32$' gzip32.bzimage "$bz"
vm bzimage_own64 0 '^door: linux64$' own64.bzimage "$bz"
vm bzimage_own32 0 '^door: linux32$' own32.bzimage "$bz"
vm bzimage_entry 0 '^door: linux64$' gzip.bzimage,entry=bzimage "$bz"
vm entry_multiboot 0 '^door: multiboot$' boot_multiboot.bin,entry=multiboot
vm entry_pvh 0 '^door: pvh$' boot_pvh.elf,entry=pvh

# --- Devices -------------------------------------------------------------------

for profile in lean legacy; do
	machine=--machine=$profile
	for cpus in 1 3 64; do
		vm "acpi_${profile}_$cpus" 0 '^profile:' acpi.elf "$machine" \
			-c "$cpus" -a "cpus=$cpus profile=$profile"
	done
	vm "serial_$profile" 0 '^interrupts:' serial.elf "$machine"
	vm "rtc_$profile" 0 '^time:' rtc.elf "$machine"
	vm "access_$profile" 0 '^survived$' access.elf "$machine"
	vm "poweroff_$profile" 0 '^going off' poweroff.elf "$machine"
done
vm acpi_auto_64bit 0 '^profile: lean' acpi.elf -a profile=lean
vm pci 0 '^pci: 00:0\.0 29c08086$' pci.elf --rng off
vm clock 0 '^pvclock:' clock.elf
for cpus in 1 2 64; do
	vm "smp_$cpus" 0 "^cpus: $cpus\$" smp.elf -c $cpus -a cpus=$cpus
done

# --- Resets ---------------------------------------------------------------------

for profile in lean legacy; do
	for how in i8042 cf9 acpi; do
		vm "reset_${how}_$profile" 2 '^boot 2$' reboot.elf \
			--machine $profile -a "how=$how count=2" --timeout 3s
		vm "no_reboot_${how}_$profile" 122 '2:--no-reboot' reboot.elf \
			--machine $profile -a how=$how --no-reboot
	done
done
vm reboot_ten_times 10 '^boot 10$' reboot.elf -a count=10 --timeout 3s
vm reboot_bzimage 0 '^door: linux64$' zstd.bzimage -a bzimage=1

# --- Guests that go wrong --------------------------------------------------------

vm crash_triple_fault 121 '2:guest crash' reboot.elf -a how=triple
vm crash_triple_fault_no_reboot 121 '2:guest crash' reboot.elf \
	-a how=triple --no-reboot
vm crash_registers 121 '2:(rip|RIP)' die.elf -a how=mmio
vm crash_code 121 '2:Code: .*<f3> 0f b8' die.elf -a how=emulate
vm panic_pvpanic 120 '2:panic' die.elf -a how=pvpanic
vm panic_text 120 'Kernel panic - not syncing: x' die.elf -a how=panic
vm panic_no 0 'no Kernel panic' die.elf -a how=oops
vm timeout_hlt 124 '2:--timeout' die.elf -a how=hlt --timeout 200ms
vm timeout_spin 124 '2:--timeout' die.elf -a how=spin --timeout 200ms

# --- Streams ----------------------------------------------------------------------

# stream_case NAME STATUS PATTERN COMMAND: a machine in a shell of its own, with
# whatever redirections COMMAND makes; $vm is bantam with its limit.
stream_case()
{
	local status

	needs_kvm "$1" || return 0
	vm="${limit[*]} $bantam run" g=$guests tmp=$tmp \
		bash -c "$4" >"$out" 2>"$err" </dev/null
	status=$?
	judge "$1" $status "$2" "$3"
}

seq -s ' ' 800 | tr '\n' . >"$tmp/numbers"

# shellcheck disable=SC2016 # the inner shell expands them
{
# The FIFO is full, open at both ends, and read at neither.
stream_case stdout_unread 0 '2:standard output: [0-9]+ bytes.*dropped' '
	mkfifo $tmp/unread
	exec 9<>$tmp/unread
	dd if=/dev/zero of=$tmp/unread oflag=nonblock status=none 2>$tmp/full
	exec $vm $g/stream.elf -a bytes=${FLOOD:-8192} >&9'
stream_case stdout_gone 0 '2:standard output' '
	$vm $g/stream.elf -a bytes=8192 > >(exec true)'
stream_case stdout_full 0 '2:standard output: No space' '
	exec $vm $g/stream.elf >/dev/full'
stream_case stdout_closed 42 '' 'exec $vm $g/exit.elf >&-'
stream_case stderr_closed 121 '' 'exec $vm $g/die.elf -a how=mmio 2>&-'
stream_case all_closed 42 '' 'exec $vm $g/exit.elf <&- >&- 2>&-'
stream_case stdin_closed 42 '' 'exec $vm $g/exit.elf <&-'
stream_case stdin_pipe 0 '^hello\.$' '
	printf hello. | $vm $g/echo.elf -a fifo=0'
stream_case stdin_pipe_ends 124 '2:--timeout' '
	printf abc | $vm $g/echo.elf -a fifo=0 --timeout 200ms >$tmp/abc
	status=$?
	grep -q "^abc" $tmp/abc && exit $status'
# Enabling the FIFO discards what was received before: a few bytes of "*".
stream_case stdin_file 0 '' '
	(printf "****************\n"; cat $tmp/numbers) >$tmp/typed
	$vm $g/echo.elf <$tmp/typed >$tmp/echoed || exit
	sed 1,2d $tmp/echoed | cmp - $tmp/numbers'
stream_case stdin_file_no_fifo 0 '' '
	$vm $g/echo.elf -a fifo=0 <$tmp/numbers >$tmp/echoed || exit
	sed 1d $tmp/echoed | cmp - $tmp/numbers'
stream_case serial_file 0 '' '
	$vm $g/boot_linux64.elf --serial file=$tmp/serial || exit
	grep -q "^door: linux64" $tmp/serial'
stream_case serial_null 0 '' '
	$vm $g/boot_linux64.elf --serial null >$tmp/none || exit
	[ ! -s $tmp/none ]'
}

# centiseconds COMMAND...: of CPU that it takes, on stdout.
centiseconds()
{
	local TIMEFORMAT='%U %S' spent

	spent=$({ time "$@" >"$out" 2>"$err" </dev/null; } 2>&1)
	awk '{ printf "%d", 100 * ($1 + $2) }' <<<"$spent"
}

# An end of input is no reason to spin: two seconds more cost next to nothing.
case_stdin_idle()
{
	local short long

	needs_kvm stdin_idle || return 0
	short=$(centiseconds "$bantam" run "$guests/echo.elf" --timeout 500ms)
	long=$(centiseconds "$bantam" run "$guests/echo.elf" --timeout 2500ms)
	if [ $((long - short)) -lt 60 ]; then
		ok stdin_idle
	else
		not_ok stdin_idle "CPU in 0.5 s: $short cs, in 2.5 s: $long cs"
	fi
}
case_stdin_idle

# --- Stopping -----------------------------------------------------------------------

case_power_button()
{
	needs_kvm "power_button_$1" || return 0
	start "$guests/powerbutton.elf" --machine "$1" --grace 15s
	until_line ready
	kill -TERM "$pid"
	finish
	judge "power_button_$1" $? 0 '^pressed 1$'
}

case_grace()
{
	needs_kvm stop_grace || return 0
	start "$guests/powerbutton.elf" -a ignore=1 --grace 200ms
	until_line ready
	kill -TERM "$pid"
	finish
	judge stop_grace $? 0 '^pressed 1$'
}

# The grace is longer than the case may take.
case_second_signal()
{
	needs_kvm "stop_twice_$1" || return 0
	start "$guests/powerbutton.elf" -a ignore=1 --grace 60s
	until_line ready
	kill -"$1" "$pid"
	until_line 'pressed 1'
	kill -"$1" "$pid"
	finish
	judge "stop_twice_$1" $? 0 '^pressed 1$'
}

# A guest that spins at CPL 0 must not hold a stop up either.
case_stop_spinning()
{
	needs_kvm stop_spinning || return 0
	start "$guests/die.elf" -a how=spin --grace 100ms -c 4
	until_line spinning
	kill -INT "$pid"
	finish
	judge stop_spinning $? 0 '^spinning$'
}

case_sigkill()
{
	local limit=() # whose own death would not be bantam's

	needs_kvm stop_sigkill || return 0
	cp "$guests/die.elf" "$tmp/killed.elf"
	start "$tmp/killed.elf" -a how=spin
	until_line spinning
	kill -KILL "$pid"
	finish 2>/dev/null
	if grep -lsa "$tmp/killed.elf" /proc/[0-9]*/cmdline >"$out"; then
		not_ok stop_sigkill 'a process is still there'
	else
		ok stop_sigkill
	fi
}

case_power_button lean
case_power_button legacy
case_grace
case_second_signal TERM
case_second_signal INT
case_stop_spinning
case_sigkill

# --- The terminal -------------------------------------------------------------------

# on_terminal NAME STATUS KEYS ARG...: run bantam on a terminal, type KEYS when
# the guest is ready, and compare the terminal's settings before and after.
on_terminal()
{
	local name=$1 expected=$2 keys=$3 line

	shift 3
	needs_kvm "$name" || return 0
	rm -f "$tmp/keys" "$tmp/fifo"
	mkfifo "$tmp/keys" "$tmp/fifo"
	: >"$out"
	: >"$err"
	# shellcheck disable=SC2016 # the inner shell expands them
	BANTAM_CASE="$bantam run $*" tmp=$tmp "${limit[@]}" script -qec \
		'stty -g >$tmp/before; $BANTAM_CASE; echo $? >$tmp/status
		stty -g >$tmp/after' /dev/null <"$tmp/keys" >"$tmp/fifo" &
	pid=$!
	exec 4>"$tmp/keys" 3<"$tmp/fifo"
	if [ -n "$keys" ]; then
		until_line ready
		printf %b "$keys" >&4
	fi
	finish
	exec 4>&-
	if ! cmp -s "$tmp/before" "$tmp/after"; then
		not_ok "$name" 'the terminal is not as it was'
		return
	fi
	judge "$name" "$(cat "$tmp/status")" "$expected"
}

on_terminal terminal_quit 0 '\0001x' "$guests/echo.elf"
on_terminal terminal_typing 0 'hello.' "$guests/echo.elf"
on_terminal terminal_help 0 '\0001hx.' "$guests/echo.elf"
on_terminal terminal_ctrl_a 0 '\0001\0001.' "$guests/echo.elf"
on_terminal terminal_ctrl_c 0 '\0003.' "$guests/echo.elf"
on_terminal terminal_crash 121 '' "$guests/die.elf -a how=mmio"
on_terminal terminal_panic 120 '' "$guests/die.elf -a how=panic"
on_terminal terminal_timeout 124 '' "$guests/die.elf -a how=spin --timeout 100ms"
on_terminal terminal_usage 125 '' "$guests/die.elf -c 0"

# --- Configurations -----------------------------------------------------------------

# config_case NAME STATUS PATTERN GUEST ARG...: the machine starts from the
# configuration that it prints, and the guest finds the same.
config_case()
{
	local name=$1 expected=$2 pattern=$3 guest=$4 status

	shift 4
	needs_kvm "$name" || return 0
	: >"$out"
	"$bantam" run -k "$guests/$guest" "$@" --print-config \
		>"$tmp/vm.json" 2>"$err" &&
		"${limit[@]}" "$bantam" run -k "$guests/$guest" "$@" \
			</dev/null >"$tmp/words" 2>"$err"
	if [ $? -ne "$expected" ]; then
		not_ok "$name" 'the machine itself'
		return
	fi
	"${limit[@]}" "$bantam" run --config "$tmp/vm.json" \
		</dev/null >"$out" 2>"$err"
	status=$?
	if [ $status -eq "$expected" ] && ! cmp -s "$tmp/words" "$out"; then
		diff "$tmp/words" "$out" >"$err"
		not_ok "$name" 'the guest found another machine'
		return
	fi
	judge "$name" $status "$expected" "$pattern"
}

config_case config_lean 0 '^profile: lean' acpi.elf --machine lean -c 3 \
	-a 'cpus=3 profile=lean'
config_case config_legacy 0 '^profile: legacy' acpi.elf --machine=legacy \
	-c 64 -a 'cpus=64 profile=legacy' --grace 1s
config_case config_boot 0 '^cmdline: .*a,b "c d" e=f ram=3073$' boot_pvh.elf,entry=pvh \
	-m 3073M -i "$tmp/initrd" -a 'a,b "c d" e=f ram=3073'
config_case config_ends 123 '2:--expect' reboot.elf -a how=acpi --no-reboot \
	--timeout 9s --expect 'x,y' --fail-on '"z"'

case_big_memory()
{
	local total

	total=$(awk '/^MemTotal:/ { print int($2 / 1048576) }' /proc/meminfo)
	if [ "$total" -ge 63 ]; then
		skip big_memory 'this host has more memory than a guest can'
	else
		vm big_memory 0 '2:--memory' boot_linux64.elf -m 64G \
			-a ram=65536
	fi
}
case_big_memory

summary
status=$?
for script in devices outcomes doctor bad_input; do
	tests/guest/$script.sh || status=1
done
exit $status
