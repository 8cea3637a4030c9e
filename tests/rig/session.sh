#!/bin/bash
# Second stage of the rig (see run.sh), process 1 on the overlay of the host's
# root: session.sh RUN, the run's directory. Runs RUN/command with its output
# to RUN/out and RUN/err, leaves the exit status in RUN/status and ends the
# machine.
set -uo pipefail

run=$1
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# Everything but the kernel, this process and the ones named.
session_kill_others() {
	local dir pid

	for dir in /proc/[0-9]*; do
		pid=${dir#/proc/}
		[[ " $$ $* " != *" $pid "* && -e $dir/exe ]] || continue
		kill -KILL "$pid" 2>/dev/null
	done
}

# The command gets pipes, as from a shell, not files on 9p.
mkfifo -m 0600 /run/out /run/err /run/never
cat /run/out >>"$run/out" &
cats=($!)
cat /run/err >>"$run/err" &
cats+=($!)

# Bytes of no meaning, whose interrupts the rig needs: see run_watch in run.sh.
if [[ $(uname -m) == x86_64 ]]; then
	stty -F /dev/ttyS1 raw -echo
	cat /dev/ttyS1 >/dev/null &
	cats+=($!)
fi

: >"$run/up"
while :; do
	: >"$run/beat"
	read -r -t 5 <>/run/never
done &
cats+=($!)
setsid --wait /bin/bash "$run/command" </dev/null >/run/out 2>/run/err
status=$?
# What it left behind may hold the pipes.
session_kill_others "${cats[@]}"
wait "${cats[@]:0:2}"
echo "$status" >"$run/status.part" && mv "$run/status.part" "$run/status"
sync
echo b >/proc/sysrq-trigger
