#!/bin/bash
# What a script does with named machines: start some, wait for events, steer
# them, list them, stop them, and read every status. See tests/guest/cases.sh
# for the environment.
set -u
# shellcheck source=tests/guest/cases.sh
. tests/guest/cases.sh
# shellcheck source=tests/script/jobs.sh
. tests/script/jobs.sh

# --- Three machines -------------------------------------------------------------

case_three_machines()
{
	needs_kvm three_machines || return 0
	begin
	machine spin die.elf -a how=spin --grace 0s
	machine echo echo.elf --expect never
	machine button powerbutton.elf --grace 15s
	step job_line spin spinning
	step job_line echo ready
	step job_line button ready
	# Long before it is needed: nothing tells when it is connected.
	job waits "$bantam" wait --json echo

	step bantam_is 0 ps --json
	for name in spin echo button; do
		step has "\"name\":\"$name\""
	done
	step has '"state":"running"'
	step bantam_is 0 ps
	step has spin

	# An event is waited for: the subscription is known to be there.
	job events "$bantam" ctl --json spin subscribe \
		events=paused,resumed,stopped
	step job_line events '^\{"events":'
	step bantam_is 0 ctl spin pause
	step job_line events '"event":"paused"'
	step bantam_is 0 ps --json
	step [ "$(grep -o paused <<<"$said" | wc -l)" -eq 1 ]
	step bantam_is 0 ctl --json spin status
	step has '"state":"paused"'
	step bantam_is 125 ctl --json spin pause
	step has '"errno":"EALREADY"'
	step bantam_is 0 ctl spin resume
	step job_line events '"event":"resumed"'

	# Each end, as three different clients see it.
	job presses "$bantam" stop --json button
	step bantam_is 0 stop --json spin
	step has '"event":"stopped","reason":"stopped","status":0'
	step job_line events '"reason":"stopped","status":0'
	step is 0 job_end events
	step is 0 job_end spin
	step job_line button '^pressed 1$'
	step job_line presses '"event":"stopped"'
	step is 0 job_end presses
	step is 0 job_end button
	# "." ends it, and --expect was missed.
	step bantam_is 0 ctl echo console.input Lg==
	step job_line waits '"status":123'
	step is 123 job_end waits
	step is 123 job_end echo

	step bantam_is 0 ps --json
	step [ "$said" = '[]' ]
	step nothing_left
	end three_machines
}

case_hundred_in_a_row()
{
	local count

	needs_kvm hundred_in_a_row || return 0
	begin
	for ((count = 0; count < 100; count++)); do
		machine hundred die.elf -a how=spin --grace 0s
		step job_line hundred spinning || break
		step bantam_is 0 stop hundred
		# The name is free when `stop` returns, and so is the process.
		step [ ! -e "$sockets/hundred.sock" ] || break
		step is 0 job_end hundred
		if [ -s "$tmp/hundred.err" ]; then
			step cat "$tmp/hundred.err"
			step false
			break
		fi
	done
	step nothing_left
	end hundred_in_a_row
}

# --- Ends that nobody announces ---------------------------------------------------

case_killed()
{
	local limit_before=("${limit[@]}")

	needs_kvm killed_machine || return 0
	begin
	limit=() # the machine itself is to be killed
	machine killed die.elf -a how=spin --grace 0s
	limit=("${limit_before[@]}")
	step job_line killed spinning
	job waits "$bantam" wait killed
	# It is connected once the machine has a second client's answer.
	job events "$bantam" ctl --json killed subscribe
	step job_line events '^\{"events":'
	kill -KILL "${job_pid[killed]}"
	step is 137 job_end killed 2>>"$err"
	step is 125 job_end waits
	step is 0 job_end events
	step test -S "$sockets/killed.sock"
	step bantam_is 0 ps --json
	step [ "$said" = '[]' ]
	step grep -q 'killed: .* dead' "$err"
	step bantam_is 125 ctl killed status
	# The next of this name takes it over.
	machine killed die.elf -a how=spin --grace 0s
	step job_line killed spinning
	step bantam_is 0 stop killed
	step is 0 job_end killed
	step nothing_left
	end killed_machine
}

case_name_in_use()
{
	needs_kvm name_in_use || return 0
	begin
	machine taken die.elf -a how=spin --grace 0s
	step job_line taken spinning
	step bantam_is 125 run --name taken "$guests/exit.elf"
	step grep -q -- '--name taken: .*bantam stop taken' "$err"
	step bantam_is 0 stop "$sockets/taken.sock"
	step is 0 job_end taken
	step nothing_left
	end name_in_use
}

# A machine that hangs holds up neither `ps` nor the others of its list.
case_hung()
{
	needs_kvm hung_machine || return 0
	begin
	machine hung die.elf -a how=spin --grace 0s
	machine well die.elf -a how=spin --grace 0s
	step job_line hung spinning
	step job_line well spinning
	step bantam_is 0 ctl --json hung status
	pid=${said#*\"pid\":}
	pid=${pid%%,*}
	kill -STOP "$pid"
	step bantam_is 0 ps --json
	step has "{\"name\":\"hung\",\"pid\":$pid,\"state\":\"hung\"}"
	step has '"name":"well"'
	kill -CONT "$pid"
	step bantam_is 0 stop hung
	step bantam_is 0 stop well
	step is 0 job_end hung
	step is 0 job_end well
	step nothing_left
	end hung_machine
}

case_no_machine()
{
	local verb

	begin
	for verb in wait stop console 'ctl nobody status'; do
		# shellcheck disable=SC2086 # a verb and its words
		set -- $verb
		[ $# -gt 1 ] || set -- "$verb" nobody
		step bantam_is 125 "$@"
	done
	step [ "$(grep -c 'nobody: expected a running machine' "$err")" -eq 4 ]
	step bantam_is 0 ps
	step bantam_is 125 wait
	step bantam_is 125 wait ../x.sock
	step bantam_is 125 wait a/b
	step bantam_is 125 wait 'a b'
	step bantam_is 125 ctl nobody
	step bantam_is 125 ps --yaml
	end no_machine
}

case_no_runtime_directory()
{
	begin
	step is 125 env XDG_RUNTIME_DIR=relative "$bantam" ps 2>>"$err"
	step grep -q 'XDG_RUNTIME_DIR: expected an absolute path' "$err"
	end no_runtime_directory
}

case_three_machines
case_hundred_in_a_row
case_killed
case_name_in_use
case_hung
case_no_machine
case_no_runtime_directory
summary
