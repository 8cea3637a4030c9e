#!/bin/bash
# Runs a command on a nested KVM, the rig: a Debian kernel under QEMU's
# software CPU, whose AMD-V, or Arm EL2, is complete enough for KVM to run any
# guest.
#
#   run.sh [--arch ARCH] [--name NAME] [--gic 2|3] [--memory MIB] [--timeout SECONDS] [--silence SECONDS] [--] COMMAND...
#
# The command sees this host's file system, in the same working directory, and
# may write anywhere: the writes are dropped at the end, but for those below
# $RIG_SHARE, which is build/rig/NAME on both sides, NAME being ARCH by default:
# rigs that run at the same time have different ones. It is root there, has no
# stdin, no network, one CPU, and a /dev/kvm that every user may open. $RIG_DISK
# there is a disk of its own for whoever wants a block device: 256 MiB, empty,
# with O_DIRECT and discard, 512 byte sectors on blocks of 4 KiB; $RIG_BAD_DISK is
# one of 16 MiB with errors: sectors 4096 and 20480 cannot be read, 8192 and 24576
# cannot be written. Of the environment it gets PATH, TERM, CI, BANTAM*, RIG_* and the sanitizers'
# options. Its output streams to stdout and stderr while it runs and its exit
# status becomes ours; 124 when the time is up, 125 when the rig itself fails,
# with the end of its kernel's log, and 126 when it hangs: a heart that beats in
# it every 5 s (session.sh) has stood still for --silence. Then QEMU's monitor is asked where
# the CPU is, and an NMI makes an x86_64 kernel say the same.
#
# ARCH is this host's by default. With another one the root is of Debian's
# packages for that (tests/setup/root.sh), and of this host only the repository
# is there, at its place. --gic is the interrupt controller of an aarch64 rig,
# which limits what its guests may have.
#
# How: QEMU boots cache/ARCH/generic with an initramfs (init.sh), which
# mounts the root over 9p under an overlay on a tmpfs and runs
# session.sh there. One CPU: with two, QEMU's multi-threaded emulation of
# nested SVM has hung. What a run says to us travels in files on a second 9p
# mount, where a write is complete when it returns.
set -euo pipefail

run_usage() {
	sed -n '6s/^# *//p' "$0" >&2
	exit 2
}

arch=$(uname -m)
name=
gic=3
memory=2048
limit=600
silence=120 # seconds without a beat; the host may be busy
poke=${RIG_POKE:-1} # every so many seconds; see run_watch
while [[ $# -gt 0 ]]; do
	case $1 in
	--arch) arch=${2:?} && shift 2 ;;
	--name) name=${2:?} && shift 2 ;;
	--gic) gic=${2:?} && shift 2 ;;
	--memory) memory=${2:?} && shift 2 ;;
	--timeout) limit=${2:?} && shift 2 ;;
	--silence) silence=${2:?} && shift 2 ;;
	--) shift && break ;;
	-*) run_usage ;;
	*) break ;;
	esac
done
[[ $# -gt 0 ]] || run_usage

cwd=$PWD
cd "$(dirname "$0")/../.."
# shellcheck source=tests/setup/modules.sh
. tests/setup/modules.sh
repo=$PWD
share=$repo/build/rig/${name:-$arch}
kernel=cache/$arch/generic
root=/
[[ $arch == "$(uname -m)" ]] || root=$repo/cache/$arch/root
initramfs=build/rig/$arch/init.cpio
export RIG_SHARE=$share RIG_DISK=/dev/vda RIG_BAD_DISK=/dev/vdb

# The rig's own initramfs, made anew when one of its sources is newer.
run_initramfs() {
	local source

	if [[ -e $initramfs ]]; then
		for source in tests/rig/init.sh tests/setup/initramfs.sh \
			tests/setup/modules.sh "$kernel/release"; do
			[[ $source -nt $initramfs ]] && break
			source=
		done
		[[ -n $source ]] || return 0
	fi
	tests/setup/initramfs.sh -o "$initramfs" -a "$arch" -k "$kernel" \
		-m "$modules_rig" tests/rig/init.sh
}

run_prepare() {
	tests/setup/deps.sh guest rig || return
	if [[ $root != / ]]; then
		tests/setup/deps.sh arm || return
		tests/setup/root.sh "$arch" rig || return
	fi
	tests/setup/kernels.sh "$arch" generic && run_initramfs
}

# The command as a script for the other side.
run_write_command() {
	local name

	printf 'cd %q || exit 125\n' "$cwd"
	while IFS= read -r name; do
		case $name in
		PATH | TERM | CI | BANTAM* | RIG_* | *SAN_OPTIONS)
			printf 'export %s=%q\n' "$name" "${!name}"
			;;
		esac
	done < <(compgen -e)
	printf 'exec'
	printf ' %q' "$@"
	printf '\n'
}

# Where the rig's kernel talks to, on its command line, too; then the machine.
#
# x86_64 without XSAVE: QEMU's SVM does not tell the nested KVM of a guest's
# XSETBV, so that guests find wrong sizes in CPUID leaf 0xd and warn; and hiding
# only a part of the states breaks their signal frames. And neither it nor its
# guests may believe that string instructions are fast, which QEMU emulates
# element by element: no ERMS, and a model of family 15 for which Linux takes none
# for good (init_amd_k8); a third less time for all. On aarch64 pointer
# authentication by QEMU's own cipher, as the architected one is slow.
run_machine() {
	machine=()
	case $arch in
	x86_64)
		tty=ttyS0
		machine=(-M q35 -kernel "$kernel/vmlinux"
			-cpu "max,-xsave,-erms,family=15,model=5,stepping=1")
		;;
	aarch64)
		tty=ttyAMA0
		machine=(-M "virt,virtualization=on,gic-version=$gic"
			-cpu "max,pauth-impdef=on" -kernel "$kernel/vmlinuz")
		;;
	esac
}

# On x86_64 there is a second serial port, see run_watch.
run_start_qemu() {
	local second=()

	[[ $arch != x86_64 ]] || second=(-serial chardev:poke)
	timeout --kill-after=5 "$limit" \
		"qemu-system-$arch" "${machine[@]}" -accel tcg -smp 1 \
		-m "$memory" -nodefaults -no-reboot -display none \
		-serial "file:$run/kernel" \
		-chardev "pipe,id=poke,path=$run/poke" "${second[@]}" \
		-chardev "pipe,id=monitor,path=$run/monitor" \
		-mon chardev=monitor,mode=readline \
		-drive "if=none,id=disk,file=$run/disk,format=raw,cache=unsafe,discard=unmap" \
		-blockdev "$bad" \
		-object iothread,id=io -device "virtio-blk-pci,drive=disk,iothread=io,disable-legacy=on,$disk" \
		-device virtio-blk-pci,drive=bad,disable-legacy=on \
		-initrd "$initramfs" -append "$append" \
		-virtfs "local,path=$root,mount_tag=rootfs,readonly=on,$nine" \
		-virtfs "local,path=$repo,mount_tag=repo,readonly=on,$nine" \
		-virtfs "local,path=$share,mount_tag=share,$nine" \
		</dev/null >"$run/qemu" 2>&1 &
	qemu=$!
}

# run_monitor SECONDS COMMAND...: what QEMU's monitor answers in that time.
run_monitor() {
	local line seconds=$1

	shift
	printf '%s\n' "$@" >&"$monitor"
	while IFS= read -r -t "$seconds" -u "$monitor_out" line; do
		echo "rig: qemu: ${line//[$'\r\e']/}"
	done | grep -Ev 'K$|: \(qemu\)|: (XMM|FPR|FCW)'
}

# Where it hangs. Three looks at the CPU tell a loop from a halt.
run_explain() {
	{
		run_monitor 2 'info status' 'info registers' 'info lapic'
		run_monitor 2 'info registers' | grep -E 'RIP|CR3|PC='
		run_monitor 2 'info registers' | grep -E 'RIP|CR3|PC='
		run_monitor 5 nmi
	} >&2 || true
	tail -n 60 "$run/kernel" | sed 's/^/rig: kernel: /' >&2
}

# Until QEMU ends: watch the heart once the rig is up. Return: 1 if it hangs.
#
# QEMU loses interrupts of a CPU with nested guests: its vmrun adds a bit to
# interrupt_request (helper_vmrun in svm_helper.c) without the lock that the
# timer's thread holds when it does the same, so that one of the two is lost. A
# timer that is lost while a guest loops comes no more, and everything stands
# still, with the interrupt in the APIC's IRR. The next interrupt from elsewhere
# makes QEMU look there again; so there is one, of the second serial port, all the time.
run_watch() {
	local beat='' last=$EPOCHSECONDS poked=$EPOCHSECONDS

	while kill -0 "$qemu" 2>/dev/null; do
		read -r -t 1 -u "$never" || true
		if [[ $((EPOCHSECONDS - poked)) -ge $poke ]]; then
			printf . >&"$poker"
			poked=$EPOCHSECONDS
		fi
		if [[ $(stat -c %y "$run/beat" 2>/dev/null) != "$beat" ]]; then
			beat=$(stat -c %y "$run/beat")
			[[ $((EPOCHSECONDS - last)) -lt 20 ]] ||
				echo "rig: stood still for" \
					"$((EPOCHSECONDS - last)) s" >&2
			last=$EPOCHSECONDS
		elif [[ $((EPOCHSECONDS - last)) -ge $silence ]]; then
			return 1
		fi
	done
}

# shellcheck disable=SC2317 # run by the trap
run_stop() {
	[[ -z $qemu ]] || kill "$qemu" 2>/dev/null || true
	rm -rf "$run"
}

run_fail() {
	echo "rig: $1" >&2
	sed 's/^/rig: qemu: /' "$run/qemu" >&2
	tail -n 30 "$run/kernel" 2>/dev/null | sed 's/^/rig: kernel: /' >&2
	exit 125
}

if [[ $repo == *[[:space:],]* ]]; then
	echo "rig: $repo: a space or comma in the path of the repository;" \
		"QEMU's and the kernel's options cannot carry it" >&2
	exit 125
fi
mkdir -p "$share"
run_machine
[[ ${#machine[@]} -gt 0 ]] || run_usage
run_prepare || exit 125

qemu=
run=$(mktemp -d "$share/run.XXXXXX")
trap run_stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
run_write_command "$@" >"$run/command"
: >"$run/out"
: >"$run/err"
: >"$run/kernel"
append="console=$tty quiet loglevel=4 panic=-1 mitigations=off nokaslr"
append+=" unknown_nmi_panic"
# A page for a guest or a process is cleared as it is, once is enough.
append+=" init_on_alloc=0"
# Each level of page tables is one more to go through for each of a guest's.
[[ $arch != x86_64 ]] || append+=" no5lvl"
append+=" rig.repo=$repo rig.run=$run"
[[ $root == / ]] || append+=" rig.foreign"
nine=security_model=none,multidevs=remap
disk=logical_block_size=512,physical_block_size=4096,opt_io_size=65536
truncate -s 256M "$run/disk"
truncate -s 16M "$run/bad"
bad='"driver": "blkdebug", "inject-error": ['
for error in read,4096 read,20480 write,8192 write,24576; do
	bad+='{"event": "none", "errno": 5, "iotype": "'${error%,*}'",'
	bad+=' "sector": '${error#*,}'},'
done
bad="${bad%,}], \"image\": {\"driver\": \"file\", \"filename\": \"$run/bad\"}"
bad="{\"node-name\": \"bad\", \"driver\": \"raw\", \"file\": {$bad}}"

mkfifo "$run"/{monitor.in,monitor.out,never,poke.in,poke.out}
# Both ends, so that nothing waits for QEMU to open the others.
exec {monitor}<>"$run/monitor.in" {monitor_out}<>"$run/monitor.out" \
	{never}<>"$run/never" {poker}<>"$run/poke.in"

started=$EPOCHREALTIME
run_start_qemu
tail -n +1 -s 0.1 --pid=$qemu -f "$run/out" &
tails=($!)
tail -n +1 -s 0.1 --pid=$qemu -f "$run/err" >&2 &
tails+=($!)
while [[ ! -e $run/up ]] && kill -0 "$qemu" 2>/dev/null; do
	sleep 0.1
done
took=$(((${EPOCHREALTIME/./} - ${started/./}) / 100000))
[[ ! -e $run/up ]] || echo "rig: up in ${took:0:-1}.${took: -1} s" >&2

if ! run_watch; then
	echo "rig: hung: no sign of life for $silence s: $*" >&2
	run_explain
	exit 126
fi
ended=0
wait "$qemu" || ended=$?
qemu=
wait "${tails[@]}" || true
[[ ! -e $run/status ]] || exit "$(<"$run/status")"
if [[ $ended -eq 124 || $ended -eq 137 ]]; then
	echo "rig: stopped after $limit s: $*" >&2
	exit 124
fi
[[ -e $run/up ]] || run_fail "did not come up"
run_fail "ended before the command did"
