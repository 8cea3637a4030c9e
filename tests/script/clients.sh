#!/bin/bash
# Control clients that do what they should not, and consoles. HOSTILE and TALK
# are the programs of hostile.c and talk.c, FLOOD how many bytes a guest prints to readers that have
# stopped; see tests/guest/cases.sh for the rest of the environment.
set -u
# shellcheck source=tests/guest/cases.sh
. tests/guest/cases.sh
# shellcheck source=tests/script/jobs.sh
. tests/script/jobs.sh

hostile=${HOSTILE:-$B/tests/script/hostile}
talk=${TALK:-$B/tests/script/talk}
flood=${FLOOD:-8192}

# bounded: the machine whose status was $said has never been large; the guest is
# small. A sanitizer keeps what is freed, so it says nothing there.
bounded()
{
	local pid=${said#*\"pid\":} peak

	peak=$(awk '/^VmHWM:/ { print $2 }' "/proc/${pid%%,*}/status")
	echo "peak: $peak KiB" >>"$out"
	[ "$peak" -lt 16384 ] || [[ $B == *-address* || $B == *-thread* ]]
}

# hostile NAME DEED: it does its worst, the machine lives on, and so do others.
case_hostile()
{
	local deed=$1

	needs_kvm "hostile_$deed" || return 0
	begin
	machine victim die.elf -a how=spin --grace 0s
	step job_line victim spinning
	mkfifo "$tmp/hold.$deed"
	job deed "$hostile" "$sockets/victim.sock" "$deed" \
		< <(cat "$tmp/hold.$deed")
	exec 8>"$tmp/hold.$deed"
	step job_line deed '^done$'
	if [ "$deed" = crowd ]; then
		step bantam_is 125 ctl --json victim status
		step has 'too many connections'
		exec 8>&-
		step is 0 job_end deed
	fi
	# Its connections go when the machine comes to see that.
	step eventually bantam_is 0 ctl --json victim status
	step has '"name":"victim"'
	step bounded
	exec 8>&-
	[ "$deed" = crowd ] || step is 0 job_end deed
	step bantam_is 0 stop victim
	step is 0 job_end victim
	step nothing_left
	end "hostile_$deed"
}

# eventually COMMAND...: it succeeds before long.
eventually()
{
	local count

	for ((count = 0; count < 200; count++)); do
		"$@" && return 0
	done
	return 1
}

# The guest prints to clients that do not read, and ends as if they did.
case_mute_reader()
{
	needs_kvm mute_reader || return 0
	begin
	mkfifo "$tmp/hold"
	machine prints echo.elf --grace 0s
	step job_line prints ready
	job deed "$hostile" "$sockets/prints.sock" mute < <(cat "$tmp/hold")
	exec 8>"$tmp/hold"
	step job_line deed '^done$'
	head -c "$flood" /dev/zero | tr '\0' x >"$tmp/typed"
	echo . >>"$tmp/typed"
	job types "$bantam" console prints <"$tmp/typed"
	step is 0 job_end types
	step is 0 job_end prints
	exec 8>&-
	step is 0 job_end deed
	step nothing_left
	end mute_reader
}

# The FIFO is full, open at both ends, and read at neither; the guest ends all
# the same.
case_console_reader_stops()
{
	needs_kvm console_reader_stops || return 0
	begin
	machine prints echo.elf --grace 0s
	step job_line prints ready
	mkfifo "$tmp/unread"
	exec 9<>"$tmp/unread"
	dd if=/dev/zero of="$tmp/unread" oflag=nonblock status=none \
		2>"$tmp/full"
	"${limit[@]}" "$bantam" console prints </dev/null >&9 2>>"$err" &
	pid=$!
	job types "$bantam" console prints <"$tmp/typed"
	step job_line prints 'x\.'
	step is 0 job_end types
	step is 0 job_end prints
	kill "$pid"
	wait "$pid"
	exec 9<&-
	step nothing_left
	end console_reader_stops
}

case_console_pipe()
{
	needs_kvm console_pipe || return 0
	begin
	machine types echo.elf
	step job_line types ready
	printf 'hello.' | "${limit[@]}" "$bantam" console types \
		>"$tmp/console" 2>>"$err"
	step [ "${PIPESTATUS[1]}" -eq 0 ]
	step grep -qx 'hello\.' "$tmp/console"
	step is 0 job_end types
	step nothing_left
	end console_pipe
}

# The end of stdin is not the end of the console.
case_console_json()
{
	needs_kvm console_json || return 0
	begin
	machine types echo.elf
	step job_line types ready
	job json "$bantam" console --json types </dev/null
	step job_line json '^\{"offset":[0-9]+\}$'
	step bantam_is 0 ctl types console.input data=Lg==
	step job_line json '"method":"console.output".*"data":"Lg=="'
	step job_line json '"event":"stopped"'
	step is 0 job_end json
	step is 0 job_end types
	end console_json
}

# console_terminal NAME KEYS: type KEYS on a terminal with a console; it is left
# as it was, and so is the machine.
case_console_terminal()
{
	local name=console_terminal_$1 keys=$2

	needs_kvm "$name" || return 0
	begin
	machine term echo.elf --grace 0s
	step job_line term ready
	rm -f "$tmp/keys"
	mkfifo "$tmp/keys"
	# shellcheck disable=SC2016 # the inner shell expands them
	CONSOLE="$bantam console term" tmp=$tmp job screen script -qec \
		'stty -g >$tmp/before; $CONSOLE; echo $? >$tmp/status
		stty -g >$tmp/after' /dev/null < <(cat "$tmp/keys")
	exec 8>"$tmp/keys"
	step job_line screen 'Ctrl-A d: leave'
	echo hello >&8
	step job_line screen hello
	printf %b "$keys" >&8
	step is 0 job_end screen
	exec 8>&-
	step cmp "$tmp/before" "$tmp/after"
	step grep -qx 0 "$tmp/status"
	step grep -q 'left; the machine goes on' "$out"
	step bantam_is 0 ps --json
	step has '"name":"term"'
	step bantam_is 0 ctl term quit
	step is 0 job_end term
	step nothing_left
	end "$name"
}

# Nobody hears the guest's "ready". One client at a time, and none keeps it from
# going on.
case_serial_socket()
{
	local socket=$tmp/serial.sock

	needs_kvm serial_socket || return 0
	begin
	machine socket echo.elf -a fifo=0 --serial "socket=$socket"
	step eventually bantam_is 0 ctl --json socket status
	step [ "$(stat -c %a "$socket")" = 600 ]
	mkfifo "$tmp/words"
	job first "$talk" "$socket" < <(cat "$tmp/words")
	exec 8>"$tmp/words"
	echo hello >&8
	step job_line first hello
	step is 0 "${limit[@]}" "$talk" "$socket" </dev/null >"$tmp/second"
	step [ ! -s "$tmp/second" ]
	step grep -q 'turned away' "$tmp/socket.err"
	step bantam_is 125 run "$guests/exit.elf" --serial "socket=$socket"
	step grep -q 'socket=.*somebody listens there' "$err"
	exec 8>&-
	# The first one has said all, and still listens; ps has to be asked, for
	# its machine to be sure to have come round.
	step bantam_is 0 ps
	step bantam_is 0 ctl socket console.input Lg==
	step is 0 job_end first
	step grep -q '^first: \.$' "$out"
	step is 0 job_end socket
	step grep -q 'bytes of the guest.s output were dropped' "$tmp/socket.err"
	step [ ! -e "$socket" ]
	step nothing_left
	end serial_socket
}

for deed in flood half bad long mute deaf crowd; do
	case_hostile $deed
done
case_mute_reader
case_console_reader_stops
case_console_pipe
case_console_json
case_serial_socket
case_console_terminal detach '\0001d'
case_console_terminal quit '\0001x'
summary
