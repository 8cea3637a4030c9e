#!/bin/bash
# `make demo`: from nothing to `uname -a` in a Linux guest under bantam, and
# how long each step took. Installs what is missing, builds, fetches Debian's
# cloud kernel, makes an initramfs, and boots where a guest can run: on
# /dev/kvm, or, where that cannot run Linux, in the rig (tests/rig/run.sh).
# $B is the build directory and $MAKE the make to use, as the Makefile sets
# them.
set -euo pipefail
cd "$(dirname "$0")/.."

B=${B:-build/x86_64}
make=${MAKE:-make}
kernel=cache/x86_64/cloud/vmlinuz
initrd=build/demo/initrd.cpio
steps=()

# demo_step WHAT COMMAND [ARG...]: run it and note its time.
demo_step() {
	local what=$1 started=$EPOCHREALTIME tenths

	shift
	echo "== $what"
	"$@"
	tenths=$(((${EPOCHREALTIME/./} - ${started/./}) / 100000))
	steps+=("$(printf '%5d.%d s  %s' $((tenths / 10)) $((tenths % 10)) \
		"$what")")
}

demo_build() {
	$make --no-print-directory -j"$(nproc)" "$B/bantam"
}

demo_initramfs() {
	mkdir -p build/demo
	cat >build/demo/init <<-'END'
		#!/bin/sh
		mount -t proc proc /proc
		echo "--- the guest:"
		uname -a
		echo "CPUs: $(nproc), $(grep MemTotal /proc/meminfo)"
		echo "--- powering off"
		poweroff -f
	END
	tests/setup/initramfs.sh -o "$initrd" build/demo/init
}

demo_choose() {
	where=/dev/kvm
	"$B/bantam" doctor || where=rig
	if [[ $where == rig ]]; then
		echo "so the guest boots in the rig: a KVM nested in QEMU's" \
			"software CPU, many times slower"
		tests/setup/deps.sh rig
		tests/setup/kernels.sh x86_64 generic
	else
		echo "so the guest boots on /dev/kvm"
	fi
}

demo_boot() {
	local status launch=()
	local run=("$B/bantam" run -m 512M -c 2 -k "$kernel" -i "$initrd"
		-a quiet --timeout 120s)

	[[ $where != rig ]] || launch=(tests/rig/run.sh --timeout 180 --)
	echo "${run[*]}"
	"${launch[@]}" "${run[@]}" </dev/null | tee build/demo/log || {
		status=$?
		echo "demo: the guest ended with status $status" >&2
		exit 1
	}
	if ! grep -q '^Linux .* x86_64' build/demo/log; then
		echo "demo: no output of uname -a" >&2
		exit 1
	fi
}

demo_step "packages" tests/setup/deps.sh build guest
demo_step "build" demo_build
demo_step "kernel" tests/setup/kernels.sh x86_64 cloud
demo_step "initramfs" demo_initramfs
demo_step "where to boot" demo_choose
demo_step "boot to power-off ($where)" demo_boot
echo "== done"
printf '%s\n' "${steps[@]}"
