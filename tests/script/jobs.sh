# shellcheck shell=bash disable=SC2154 # what cases.sh sets
# Sourced after tests/guest/cases.sh: several programs at a time, each known by
# a name, and a runtime directory of the script's own. Everything waits for
# output or for an end, nothing for time to pass; $limit ends what hangs.

export XDG_RUNTIME_DIR=$tmp/run
mkdir -m 700 "$XDG_RUNTIME_DIR"
sockets=$XDG_RUNTIME_DIR/bantam

declare -A job_pid job_fd

# job NAME COMMAND...: in the background, its output on a FIFO; stderr goes to
# $tmp/NAME.err. stdin is the caller's.
job()
{
	local name=$1 fd

	shift
	[ -p "$tmp/$name.fifo" ] || mkfifo "$tmp/$name.fifo"
	(exec "${limit[@]}" "$@" >"$tmp/$name.fifo" 2>"$tmp/$name.err") <&0 &
	job_pid[$name]=$!
	exec {fd}<"$tmp/$name.fifo"
	job_fd[$name]=$fd
}

# job_line NAME PATTERN: read its output as far as a line that has PATTERN
# (extended); the line is in $line then.
job_line()
{
	while IFS= read -r -t "$patience" -u "${job_fd[$1]}" line; do
		line=${line%$'\r'}
		printf '%s: %s\n' "$1" "$line" >>"$out"
		[[ $line =~ $2 ]] && return 0
	done
	echo "$1: no line with '$2'" >>"$out"
	return 1
}

# job_end NAME: read the rest, wait; its status is the function's.
job_end()
{
	local fd=${job_fd[$1]} line

	while IFS= read -r -u "$fd" line || [ -n "$line" ]; do
		printf '%s: %s\n' "$1" "$line"
	done >>"$out"
	exec {fd}<&-
	wait "${job_pid[$1]}"
}

# machine NAME GUEST [ARG...]: one with that name, and its serial port's output.
machine()
{
	local name=$1 guest=$2

	shift 2
	job "$name" "$bantam" run --name "$name" -k "$guests/$guest" "$@" \
		</dev/null
}

# bantam_is STATUS ARG...: run a verb; its output is in $said.
bantam_is()
{
	local expected=$1 status

	shift
	said=$("${limit[@]}" "$bantam" "$@" 2>>"$err" </dev/null)
	status=$?
	printf '%s: %s\n' "$*" "$said" >>"$out"
	[ "$status" -eq "$expected" ] && return 0
	echo "$*: status $status, expected $expected" >>"$out"
	return 1
}

# begin: a case of several steps. step COMMAND...: one that has to succeed.
begin()
{
	: >"$out"
	: >"$err"
	wrong=
}

step()
{
	"$@" && return 0
	[ -n "$wrong" ] || wrong="$*"
	return 1
}

# is STATUS COMMAND...: whether it ends with that.
is()
{
	local expected=$1 status

	shift
	"$@"
	status=$?
	[ "$status" -eq "$expected" ] && return 0
	echo "$*: status $status, expected $expected" >>"$out"
	return 1
}

# has TEXT: whether $said has it.
has()
{
	[[ $said == *"$1"* ]]
}

# nothing_left: no socket, and no process of a guest of ours.
nothing_left()
{
	[ -z "$(ls -A "$sockets")" ] || return 1
	! grep -lsa "$XDG_RUNTIME_DIR" /proc/[0-9]*/environ |
		grep -v -e "/$$/" -e /self/ | xargs -r -n 1 dirname |
		while read -r process; do
			readlink "$process/exe"
		done | grep -qx "$bantam"
}

# end NAME: judge the case.
end()
{
	if [ -n "$wrong" ]; then
		not_ok "$1" "$wrong"
	else
		ok "$1"
	fi
}
