# shellcheck shell=bash
# Sourced by run.sh, outcomes.sh, doctor.sh and bad_input.sh: runs bantam,
# judges how it ended, keeps the score. The caller is at the top of the tree.
#
#   B       the build directory, by default build/x86_64
#   BANTAM  the program, by default $B/bantam
#   GUESTS  the folder of guests, by default $B/tests/guest
#   KVM_ONLY  not empty: in the rig, which makes up for a host without a
#           /dev/kvm: leave out what that host has run already
#   CASE_FILE  for the name of the case that runs, should it never end

B=${B:-build/x86_64}
bantam=$(readlink -m "${BANTAM:-$B/bantam}")
guests=$(readlink -m "${GUESTS:-$B/tests/guest}")
if [ ! -x "$bantam" ] || [ ! -f "$guests/exit.elf" ]; then
	echo "$0: no $bantam or no guests in $guests: make check-build" >&2
	exit 1
fi

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
chmod 755 "$tmp"
out=$tmp/out
err=$tmp/err
passed=0
failed=0
skipped=0
unrun=0
last=${EPOCHREALTIME/./}

kvm_missing=
if [ ! -e /dev/kvm ]; then
	kvm_missing='there is no /dev/kvm'
elif [ ! -r /dev/kvm ] || [ ! -w /dev/kvm ]; then
	kvm_missing='no permission on /dev/kvm'
fi

# "${without_kvm[@]}" COMMAND...: where there is no /dev/kvm; at need a mount
# namespace, and a file for /dev/null there.
# shellcheck disable=SC2016 # the inner shell expands
hide_kvm='mount -t tmpfs none /dev && : >/dev/null && exec "$@"'
without_kvm=()
[ ! -e /dev/kvm ] || without_kvm=(unshare -m sh -c "$hide_kvm" sh)

# A case that hangs is killed, and the shell's own word for that kept out.
patience=20
[ -z "${KVM_ONLY-}" ] || patience=50 # the rig is slow, and beside others
limit=(timeout --foreground -s KILL "$patience")

# With the time since the last one.
ok()
{
	local tenths=$(((${EPOCHREALTIME/./} - last) / 100000))

	echo "ok $1, $((tenths / 10)).$((tenths % 10)) s"
	passed=$((passed + 1))
	last=${EPOCHREALTIME/./}
}

not_ok()
{
	echo "not ok $1: $2"
	# awk ends the last line, whatever the guest did.
	tail -n 8 "$out" 2>/dev/null | cat -v | awk '{ print "    out: " $0 }'
	tail -n 8 "$err" 2>/dev/null | cat -v | awk '{ print "    err: " $0 }'
	failed=$((failed + 1))
	last=${EPOCHREALTIME/./}
}

skip()
{
	echo "skip: $1: $2"
	skipped=$((skipped + 1))
}

# can_hide_kvm NAME: whether without_kvm works.
can_hide_kvm()
{
	"${without_kvm[@]}" true 2>/dev/null && return 0
	skip "$1" 'no mount namespace to hide /dev/kvm in'
	return 1
}

# begins NAME: for who wonders what hangs.
begins()
{
	[ -z "${CASE_FILE-}" ] || echo "${0##*/}: $1" >"$CASE_FILE"
}

# needs_kvm NAME: true, or the case is not run, which summary() says.
needs_kvm()
{
	begins "$1"
	[ -z "$kvm_missing" ] && return 0
	unrun=$((unrun + 1))
	return 1
}

# needs_no_kvm NAME: false where only the others are wanted.
needs_no_kvm()
{
	begins "$1"
	[ -z "${KVM_ONLY-}" ]
}

# needs_closed_kvm NAME: a /dev/kvm that an ordinary user may not open; we are
# root. In the rig it is open to everybody at first, so opened_kvm has to follow.
needs_closed_kvm()
{
	needs_kvm "$1" || return 1
	if [ "$(id -u)" -ne 0 ]; then
		skip "$1" 'only root can become somebody else'
		return 1
	fi
	[ -z "${KVM_ONLY-}" ] || chmod 0660 /dev/kvm
	[ $(($(stat -c 0%a /dev/kvm) & 6)) -ne 6 ] && return 0
	skip "$1" '/dev/kvm is open to everybody here'
	return 1
}

opened_kvm()
{
	[ -z "${KVM_ONLY-}" ] || chmod 0666 /dev/kvm
}

# has_line FILE PATTERN: a line that has it (extended). No grep: in the rig each
# program that starts costs as much as a guest.
has_line()
{
	local line

	while IFS= read -r line || [ -n "$line" ]; do
		[[ ! $line =~ $2 ]] || return 0
	done <"$1"
	return 1
}

# has_other FILE TEXT: a line that does not begin with that.
has_other()
{
	local line

	while IFS= read -r line || [ -n "$line" ]; do
		[[ $line == "$2"* ]] || return 0
	done <"$1"
	return 1
}

# judge NAME FOUND EXPECTED [PATTERN]: compare statuses, and look for PATTERN
# (extended) in the output, or on stderr if it begins with "2:". Otherwise a
# guest that ends by itself leaves stderr empty, but for the word of warning on
# a host with less memory than the guest.
judge()
{
	local where=$out pattern=${4-}

	if [ "$2" -ne "$3" ]; then
		not_ok "$1" "status $2, expected $3"
		return
	fi
	if [ "${pattern#2:}" != "$pattern" ]; then
		where=$err
		pattern=${pattern#2:}
	elif [ "$3" -le 119 ] && has_other "$err" 'bantam: --memory: '; then
		not_ok "$1" "something on stderr"
		return
	fi
	if [ -n "$pattern" ] && ! has_line "$where" "$pattern"; then
		not_ok "$1" "no \"$pattern\""
		return
	fi
	ok "$1"
}

# vm NAME STATUS PATTERN GUEST [ARG...]: one machine, from start to end.
vm()
{
	local name=$1 expected=$2 pattern=$3 guest=$4 status

	shift 4
	needs_kvm "$name" || return 0
	"${limit[@]}" "$bantam" run -k "$guests/$guest" "$@" \
		</dev/null >"$out" 2>"$err"
	status=$?
	judge "$name" $status "$expected" "$pattern"
}

# start ARG...: a machine in the background, its output on descriptor 3.
# Its process id is $pid.
start()
{
	rm -f "$tmp/fifo"
	mkfifo "$tmp/fifo"
	"${limit[@]}" "$bantam" run "$@" </dev/null >"$tmp/fifo" 2>"$err" &
	pid=$!
	exec 3<"$tmp/fifo"
	: >"$out"
}

# until_line TEXT: read the machine's output as far as that.
until_line()
{
	local line

	while IFS= read -r -t $patience line <&3; do
		line=${line%$'\r'}
		printf '%s\n' "$line" >>"$out"
		[ "$line" = "$1" ] && return 0
	done
	return 1
}

# finish: the rest of the output, then the status.
finish()
{
	cat <&3 >>"$out"
	exec 3<&-
	wait "$pid"
}

summary()
{
	[ $unrun -eq 0 ] || skip "$unrun cases of $0" \
		"$kvm_missing; \`make check\` runs them in the rig"
	echo "$0: $passed ok, $failed not ok, $skipped skipped"
	[ "$failed" -eq 0 ]
}
