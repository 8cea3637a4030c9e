#!/bin/bash
# A root of Debian's packages for another architecture than this host's:
#
#   root.sh ARCH GROUP...
#
# makes cache/ARCH/root/, or adds to it, with what the groups of `packages`
# below name and all that those depend on. It is what a cross compiler takes for
# its --sysroot, and what the rig of that architecture has for a root. apt.sh
# tells where the packages come from; dpkg-deb unpacks them, and no maintainer's
# script runs. Needs no root. Without network when everything is there; to begin
# anew, remove cache/ARCH/root and cache/ARCH/apt.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/setup/apt.sh
. tests/setup/apt.sh

# One line a group, or several.
packages() {
	cat <<-END
		build	libc6-dev libgcc-12-dev libjansson-dev liburing-dev liblz4-dev
		build	libzstd-dev liblzma-dev libbz2-dev zlib1g-dev libssl-dev
		build	libfdt-dev check libseccomp-dev libcap-ng-dev
		rig	dash bash coreutils util-linux mount procps findutils grep sed mawk
		rig	cpio gzip iproute2 kmod passt busybox-static diffutils libpam-runtime
		rig	e2fsprogs pciutils fio ethtool iperf3 rng-tools5
		bench	qemu-system-arm
	END
}

root_groups() {
	packages | cut -f 1 | uniq | paste -sd ' '
}

root_names() {
	packages | sed -n "s/^$1	//p" | tr '\n' ' '
}

# root_download PACKAGE...: with all that they depend on, into apt's archives.
root_download() {
	apt_get -o APT::Install-Recommends=false install -y --download-only "$@"
}

# Once the usual links are there, files of /lib and /usr/lib are in one place.
root_links() {
	local name

	for name in bin sbin lib; do
		mkdir -p "$root/usr/$name"
		[[ -e $root/$name ]] || ln -s "usr/$name" "$root/$name"
	done
}

# What a maintainer's script would have linked.
root_alternatives() {
	[[ ! -e $root/usr/bin/mawk ]] || ln -sf mawk "$root/usr/bin/awk"
}

# Links to /lib/... would lead out of here.
root_relative() {
	local link

	find "$root" -type l -lname '/*' -print | while IFS= read -r link; do
		ln -sfnr "$root$(readlink "$link")" "$link"
	done
}

root_unpack() {
	local deb unpacked=$apt_own/unpacked

	root_links
	mkdir -p "$unpacked"
	for deb in "$apt_own"/cache/archives/*.deb; do
		[[ ! -e $unpacked/${deb##*/} ]] || continue
		dpkg-deb --fsys-tarfile "$deb" |
			tar -x -C "$root" --keep-directory-symlink \
				--no-same-owner --no-same-permissions
		: >"$unpacked/${deb##*/}"
	done
	root_alternatives
	root_relative
}

root_add() {
	local names done=$apt_own/done.$1

	read -ra names <<<"$(root_names "$1")"
	if [[ ${#names[@]} -eq 0 ]]; then
		echo "root: no group '$1', there are: $(root_groups)" >&2
		exit 2
	fi
	# The list is in the stamp: one that grew is fetched.
	[[ "$(cat "$done" 2>/dev/null)" != "${names[*]}" ]] || return 0
	echo "root: downloading for $deb_arch: ${names[*]}" >&2
	if ! root_download "${names[@]}"; then
		# Lists that are older than the archive name files that are gone.
		apt_update
		root_download "${names[@]}" || {
			tail -n 5 "$apt_log" >&2
			echo "root: apt-get failed: is the network there?" >&2
			exit 1
		}
	fi
	root_unpack
	echo "${names[*]}" >"$done"
	echo "root: $root has it, $(du -sm "$root" | cut -f 1) MiB in all" >&2
}

if [[ $# -lt 2 ]]; then
	echo "usage: root.sh ARCH GROUP... ($(root_groups))" >&2
	exit 2
fi
root=$PWD/cache/$1/root
apt_for "$1"
apt_separate
shift
# One at a time.
exec {lock}>"$apt_own/lock"
flock "$lock"
for group in "$@"; do
	root_add "$group"
done
