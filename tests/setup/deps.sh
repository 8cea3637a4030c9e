#!/bin/bash
# Installs, through apt, the Debian packages that a job needs and that are
# missing: deps.sh GROUP... with the groups of `packages` below.
#
# With everything there it only asks dpkg: no root, no network, milliseconds.
# Otherwise it says what it installs and what for; apt-get update runs only
# when apt does not know a package. Where it may not install, it prints the
# command for the administrator and ends with status 1.
#
# The group cross, for a machine of another architecture, also has that one's
# libraries unpacked below cache/ by root.sh.
set -euo pipefail

# Device trees are for Arm.
libfdt=
[[ $(uname -m) != aarch64 ]] || libfdt="build	libfdt-dev	device trees"

# One line a package: its group, its name, what it is for.
packages() {
	cat <<-END
		$libfdt
		build	gcc	the compiler
		build	libc6-dev	C library and kernel headers
		build	make	the build
		build	pkgconf|pkg-config	compiler flags of the libraries
		build	libjansson-dev	JSON
		build	liburing-dev	io_uring, for disks
		build	libseccomp-dev	system call filters of device processes
		build	libcap-ng-dev	their capabilities
		build	liblz4-dev	kernel payloads in lz4
		build	libzstd-dev	kernel payloads in zstd
		build	liblzma-dev	kernel payloads in xz and lzma
		build	libbz2-dev	kernel payloads in bzip2
		build	zlib1g-dev	kernel payloads in gzip
		build	libssl-dev	SHA-256 of what was booted
		cross	gcc-aarch64-linux-gnu	compiles for Arm
		cross	libc6-dev-arm64-cross	what the compiler expects there
		guest	busybox-static	user space of Linux guests
		guest	cpio	initramfs images
		guest	lz4	unpacks Debian's cloud kernel
		guest	xz-utils	unpacks Debian's generic kernel
		rig	qemu-system-x86	the nested KVM
		rig	qemu-system-common	virtiofsd, a server of files
		rig	passt	user-mode networking
		rig	iproute2	taps
		rig	e2fsprogs	a disk with tools, a look into images
		rig	pciutils	lspci, in guests as these
		rig	fio	writes and verifies
		rig	ethtool	offloads
		rig	iperf3	streams
		rig	rng-tools5|rng-tools-debian|rng-tools	rngtest
		arm	qemu-system-arm	the nested KVM of another architecture
		arm	qemu-user-static	runs its unit tests
		arm	device-tree-compiler	reads our device trees back
		check	check	unit test framework
		check	acpica-tools	iasl, which reads our ACPI tables back
		check	procps	pgrep and pkill
		check	zstd	test payloads
		check	bzip2	test payloads
		check	mandoc	the manual page
		check	zsh	its completion
		check	fish	its completion
		full	dpdk-dev	testpmd, a network that others serve
		fuzz	clang	the fuzzers' compiler
		fuzz	libclang-rt-14-dev|libclang-rt-dev	libFuzzer
		lint	clang-format	layout of the source
		lint	clang-tidy	static analysis
		lint	cppcheck	static analysis
		lint	shellcheck	the scripts
	END
}

deps_groups() {
	packages | cut -s -f 1 | uniq | paste -sd ' '
}

# The last thing to do, whether or not something was missing.
deps_done() {
	[[ " $wanted_all " != *" cross "* ]] ||
		exec "$(dirname "$0")/root.sh" aarch64 build
	exit 0
}

deps_installed() {
	[[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == \
		installed ]]
}

# A package may have several names, the preferred one first.
deps_any_installed() {
	local name

	for name in ${1//|/ }; do
		deps_installed "$name" && return 0
	done
	return 1
}

deps_candidate_known() {
	local name

	for name in "$@"; do
		apt-cache show "$name" >/dev/null 2>&1 || return 1
	done
}

deps_fail() {
	echo "deps: $1; as root, run: apt-get update && apt-get install" \
		"--no-install-recommends ${missing[*]}" >&2
	exit 1
}

if [[ $# -eq 0 ]]; then
	echo "usage: deps.sh GROUP... ($(deps_groups))" >&2
	exit 2
fi
for wanted in "$@"; do
	if ! packages | grep -q "^$wanted	"; then
		echo "deps: no group '$wanted', there are:" \
			"$(deps_groups)" >&2
		exit 2
	fi
done

wanted_all=$*
missing=()
why=()
while IFS=$'\t' read -r group names use; do
	[[ " $* " == *" $group "* ]] || continue
	deps_any_installed "$names" && continue
	missing+=("${names%%|*}")
	why+=("${names%%|*} ($use)")
done < <(packages)
[[ ${#missing[@]} -gt 0 ]] || deps_done

printf -v list '%s, ' "${why[@]}"
echo "deps: missing for $*: ${list%, }" >&2
[[ $(id -u) -eq 0 ]] || deps_fail "not root, so nothing was installed"

export DEBIAN_FRONTEND=noninteractive
if ! deps_candidate_known "${missing[@]}"; then
	echo "deps: apt-get update (apt does not know all of them yet)" >&2
	apt-get -qq update </dev/null >&2 || deps_fail "apt-get update failed"
fi
echo "deps: apt-get install ${missing[*]}" >&2
install=(apt-get -q -o Dpkg::Use-Pty=0 install -y --no-install-recommends "${missing[@]}")
if ! "${install[@]}" </dev/null >&2; then
	# Lists that are older than the archive name files that are gone.
	echo "deps: once more, with fresh lists" >&2
	apt-get -qq update </dev/null >&2 || deps_fail "apt-get update failed"
	"${install[@]}" </dev/null >&2 || deps_fail "apt-get install failed"
fi
deps_done
