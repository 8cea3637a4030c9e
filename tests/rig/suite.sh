#!/bin/bash
# Linux under bantam, case by case: suite.sh [--from CASE] [CASE|FILE...], inside
# the rig (see check.sh, which prepares, and parts.sh, which calls it); devices.sh
# stands for the cases of that file in linux/, the word full for those of make
# check-full. A line a case: `ok NAME`, or
# `not ok NAME: why` with the command, the messages and the end of the guest's
# console behind it.
#
# Each case is a function case_NAME in one of linux/*.sh, or of linux/aarch64/*.sh
# for that architecture; cases are of x86_64 in part, so that without arguments an
# aarch64 rig runs those of the latter that are for its interrupt controller.
# A case boots guests, whose
# user space is busybox and the lines given on stdin, and ends at the first
# expectation that does not hold. bantam runs as an ordinary user everywhere.
# A case that does not end fails alone, and says where bantam's threads were.
# shellcheck disable=SC2317,SC2034 # cases use all this, called by their names
set -uo pipefail
cd "$(dirname "$0")/../.." || exit

made=${RIG_MADE:?to be run in the rig by tests/rig/check.sh}
work=$(mktemp -d /tmp/suite.XXXXXX)
chmod 0755 "$work"
# Small tools by busybox, which is linked already: a program that has to look for
# its libraries takes 50 ms to start in the rig, and cases start a dozen. But for
# cmp and md5sum, which take busybox long for large files.
mkdir "$work/tools"
busybox sh -c 'cd "$1" && shift && for tool; do ln -s "$0" "$tool"; done' \
	"$(type -P busybox)" "$work/tools" awk cat chmod cp cpio cut dd du grep \
	head mkdir mkfifo rm sed sort stat tail touch tr truncate wc
PATH=$work/tools:$PATH
bantam=$work/bantam
vmlinuz=$work/vmlinuz
out=$work/out
err=$work/err
case_limit=480 # or limit_CASE; seconds; vhost_block takes the longest, 94 beside two rigs
line_limit=180 # seconds to wait for a line; other things may run beside it
guest_limit=${RIG_GUEST_LIMIT:-180s} # more where the host is very busy
user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
export XDG_RUNTIME_DIR=$work/runtime
install -d -m 0700 -o 65534 -g 65534 "$XDG_RUNTIME_DIR"

# A kernel's self-tests of its cryptography, what it does about faults of CPUs
# that the rig's does not have, and that it clears memory twice, say nothing about
# us, and take a third of a boot there; case_boot has them all, and case_arm_boot
# all but the first.
append='quiet cryptomgr.notests mitigations=off init_on_alloc=0'

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
		cat "$made/guest.cpio" - >"$work/initrd"
}

# suite_start OPTION...: bantam with these, in the background as `pid`; its
# input is the descriptor `feed`, of which it has no other copy, and its output and
# messages are read by suite_await and suite_await_message.
suite_start() {
	rm -f "$work"/{feed,lines,messages}
	mkfifo "$work"/{feed,lines,messages}
	exec {feed}<>"$work/feed"
	suite_command "$@"
	"${command[@]}" <"$work/feed" >"$work/lines" 2>"$work/messages" \
		{feed}>&- &
	pid=$!
	exec {lines}<"$work/lines" {messages}<"$work/messages"
}

# Kernel, initrd and an upper limit of time stand for what a case does not say;
# $BANTAM_SANDBOX for where its devices run.
suite_command() {
	command=("${user[@]}" "$bantam" run)
	[[ " $* " == *" -k "* ]] || command+=(-k "$vmlinuz")
	[[ " $* " == *" -i "* ]] || command+=(-i "$work/initrd")
	[[ " $* " == *" -a "* ]] || command+=(-a "$append")
	[[ " $* " == *" --timeout "* ]] || command+=(--timeout "$guest_limit")
	[[ " $* " == *" -m "* ]] || command+=(-m 256M)
	[[ -z ${BANTAM_SANDBOX-} || " $* " == *" --sandbox "* ]] ||
		command+=(--sandbox "$BANTAM_SANDBOX")
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

	cat <&"$lines" >>"$out"
	cat <&"$messages" >>"$err"
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

# suite_read FD FILE PATTERN: as far as such a line, which is in `line` then.
suite_read() {
	local status

	while :; do
		IFS= read -r -t "$line_limit" -u "$1" line
		status=$?
		[[ $status -eq 0 ]] || break
		line=${line%$'\r'}
		printf '%s\n' "$line" >>"$2"
		[[ ! $line =~ $3 ]] || return 0
	done
	[[ $status -le 128 ]] || suite_fail "no line /$3/ in $line_limit s"
	# What it said of its end.
	timeout 5 cat <&"$messages" >>"$err"
	suite_fail "no line /$3/ before the end"
}

# suite_await PATTERN, suite_await_message PATTERN: wait for such a line of the
# console's, of the messages.
suite_await() {
	suite_read "$lines" "$out" "$1"
}

suite_await_message() {
	suite_read "$messages" "$err" "$1"
}

# suite_verb PATTERN ARG...: bantam with these succeeds and says that.
suite_verb() {
	local said pattern=$1

	shift
	said=$("${user[@]}" "$bantam" "$@" 2>&1 </dev/null) ||
		suite_fail "$*: status $?: $said"
	[[ $said =~ $pattern ]] || suite_fail "$*: no /$pattern/: $said"
}

suite_never() {
	local line

	line=$(grep -m 1 -E -- "$1" "$out") || return 0
	suite_fail "on the console: ${line%$'\r'}"
}

# suite_number NAME: the number on the console's line `NAME: `, as `number`.
suite_number() {
	number=$(sed -nE "/^$1: ([0-9]+)\r?$/{s//\1/p;q}" "$out")
	[[ -n $number ]] || suite_fail "no line '$1: NUMBER' on the console"
}

# suite_between NAME MIN MAX: that number.
suite_between() {
	suite_number "$1"
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

# --- Running them ------------------------------------------------------------------------

suite_report() {
	[[ -e $work/command ]] && sed 's/^/    command: /' "$work/command"
	sed 's/^/    stderr: /' "$err"
	tail -n 60 "$out" | tr -d '\r' | sed 's/^/    console: /'
	[[ ! -e $work/threads ]] || sed 's/^/    threads: /' "$work/threads"
}

# suite_watch PID CASE: end a case that does not end by itself, and keep where its
# bantam was; twice, to tell who runs from who waits.
# shellcheck disable=SC2009 # pgrep shows no threads
suite_watch() {
	local never second limit=limit_$2

	limit=${!limit:-$case_limit}

	mkfifo "$work/never.$1"
	exec {never}<>"$work/never.$1"
	rm "$work/never.$1"
	read -r -t "$limit" -u "$never"
	for second in 0 1; do
		ps -eLo pid,tid,stat,time,wchan:30,args | grep "$bantam"
		[[ $second -eq 1 ]] || read -r -t 2 -u "$never"
	done >"$work/threads"
	echo "no end in $limit s" >"$work/why"
	kill -KILL "$1"
	suite_kill
}

# The guests that a failed case leaves.
suite_kill() {
	pkill -KILL -f "^$bantam " 2>/dev/null
}

suite_run() {
	local name=$1 started=$EPOCHREALTIME tenths case watch status=0

	[[ -z ${CASE_FILE-} ]] || echo "$name" >"$CASE_FILE"
	: >"$out"
	: >"$err"
	rm -f "$work/command" "$work/threads"
	echo 'ended without a reason' >"$work/why"
	"case_$name" &
	case=$!
	suite_watch "$case" "$name" &
	watch=$!
	wait "$case" 2>/dev/null || status=$?
	kill -KILL "$watch" 2>/dev/null
	wait "$watch" 2>/dev/null
	if [[ $status -eq 0 ]]; then
		tenths=$(((${EPOCHREALTIME/./} - ${started/./}) / 100000))
		echo "ok $name, $((tenths / 10)).$((tenths % 10)) s"
		return 0
	fi
	echo "not ok $name: $(<"$work/why")"
	suite_report
	suite_kill
	return 1
}

files=(tests/rig/linux/*.sh)
own=("${files[@]}")
if [[ $(uname -m) == aarch64 ]]; then
	own=(tests/rig/linux/aarch64/gicv2.sh)
	! grep -q GICv3 /proc/interrupts ||
		own=(tests/rig/linux/aarch64/gicv3.sh)
	files+=(tests/rig/linux/aarch64/*.sh)
fi
for file in "${files[@]}"; do
	# shellcheck source=/dev/null
	. "$file"
done

# On the rig's own disk, so to speak: an ordinary user may not get at the
# repository.
cp "${BANTAM:?the program}" "$bantam"
cp "${RIG_KERNEL:?the directory of the kernel}/vmlinuz" "$vmlinuz"

# suite_cases FILE...: in them, but for what is for make check-full alone.
suite_cases() {
	sed -n 's/^case_\([a-z0-9_]*\)() {$/\1/p' "$@" | grep -v ^full_
}

from=
[[ ${1-} != --from ]] || { from=$2 && shift 2; }
mapfile -t cases < <(
	[[ $# -gt 0 ]] || suite_cases "${own[@]}"
	for word; do
		case $word in
		full) compgen -A function case_full_ | sed 's/^case_//' ;;
		*.sh) suite_cases "tests/rig/linux/$word" ;;
		*) echo "$word" ;;
		esac
	done
)
failed=0
for name in "${cases[@]}"; do
	[[ -z $from || $from == "$name" ]] || continue
	from=
	suite_run "$name" || failed=1
done
exit "$failed"
