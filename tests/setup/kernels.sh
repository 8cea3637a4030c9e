#!/bin/bash
# Fetches Debian's kernels: kernels.sh ARCH FLAVOUR..., where a flavour is
#
#   cloud    linux-image-cloud-amd64, what the x86_64 test guests boot
#   generic  linux-image-amd64 or -arm64, the rig's own kernel; on aarch64 its
#            guests', too
#
# Each becomes cache/ARCH/FLAVOUR/ with vmlinuz (a bzImage, or a plain Image),
# vmlinux (the ELF in a bzImage), config, release (the kernel's version) and
# modules/*.ko, flat. Only modules that modules.sh names are kept, and wanted is
# the list of them. One that is there and has all of today's list is left alone,
# without network; remove the directory to fetch it anew.
# Needs no root: apt checks the package's hash against its signed lists,
# dpkg-deb unpacks it.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/setup/apt.sh
. tests/setup/apt.sh
# shellcheck source=tests/setup/modules.sh
. tests/setup/modules.sh

mapfile -t modules < <(tr -s ' \t' '\n' <<<"$modules_guest $modules_bench \
	$modules_rig $modules_more" | sort -u)

kernels_meta_package() {
	case $1 in
	cloud) echo "linux-image-cloud-$deb_arch" ;;
	generic) echo "linux-image-$deb_arch" ;;
	*)
		echo "kernels: no flavour '$1', there are: cloud, generic" >&2
		exit 2
		;;
	esac
}

# The package that the metapackage stands for today; nothing when apt does
# not know.
kernels_package() {
	apt_show --no-all-versions "$1" |
		sed -n 's/^Depends: *\([^ ,]*\).*/\1/p' | head -n 1
}

# kernels_download META DIR: the .deb into DIR.
kernels_download() {
	local meta=$1 dir=$2 package

	package=$(kernels_package "$meta")
	[[ -n $package ]] || return 1
	echo "kernels: downloading $package" >&2
	(cd "$dir" && apt_get download "$package")
}

kernels_fail() {
	tail -n 5 "$apt_log" >&2
	echo "kernels: $1" >&2
	exit 1
}

# kernels_keep TREE OUT: from an unpacked package what is used here.
kernels_keep() {
	local tree=$1 out=$2 kernels file module

	kernels=("$tree"/boot/vmlinuz-*)
	mkdir -p "$out/modules"
	mv "${kernels[0]}" "$out/vmlinuz"
	[[ $arch != x86_64 ]] ||
		tests/setup/vmlinux.sh "$out/vmlinuz" "$out/vmlinux"
	mv "$tree"/boot/config-* "$out/config"
	echo "${kernels[0]##*/vmlinuz-}" >"$out/release"
	for module in "${modules[@]}"; do
		file=$(find "$tree/lib/modules" -name "$module.ko" -print -quit)
		[[ -z $file ]] || mv "$file" "$out/modules/"
	done
	echo "${modules[*]}" >"$out/wanted"
	chmod -R u=rwX,go=rX "$out"
}

# kernels_have OUT: all that is wanted today; also where a kernel lacks some.
kernels_have() {
	[[ -e $1/vmlinuz && -e $1/wanted ]] &&
		[[ -z $(comm -13 <(tr ' ' '\n' <"$1/wanted" | sort -u) \
			<(printf '%s\n' "${modules[@]}")) ]]
}

# kernels_place KEEP OUT: renamed when complete, and an older one out of the
# way; another run may have been faster.
kernels_place() {
	mv -T "$2" "$1.old" 2>/dev/null || [[ ! -e $2 ]]
	mv -T "$1" "$2" 2>/dev/null || kernels_have "$2"
}

kernels_fetch() {
	local flavour=$1 out=cache/$arch/$1 meta temp

	meta=$(kernels_meta_package "$flavour")
	! kernels_have "$out" || return 0
	[[ ! -e $out/vmlinuz ]] ||
		echo "kernels: $out is of another list of modules" >&2
	mkdir -p "cache/$arch"
	temp=$(mktemp -d "cache/$arch/.$flavour.XXXXXX")
	# shellcheck disable=SC2064 # the name of now is what is to be removed
	trap "rm -rf '$PWD/$temp'" EXIT
	if ! kernels_download "$meta" "$temp"; then
		apt_update || kernels_fail \
			"apt lacks $meta; as root, run: apt-get update"
		kernels_download "$meta" "$temp" || kernels_fail \
			"apt-get download of $meta failed: is the network there?"
	fi
	echo "kernels: unpacking" >&2
	dpkg-deb -x "$temp"/*.deb "$temp/tree"
	kernels_keep "$temp/tree" "$temp/keep"
	kernels_place "$temp/keep" "$out"
	rm -rf "$temp"
	trap - EXIT
	echo "kernels: $out is $(cat "$out/release")" >&2
}

if [[ $# -lt 2 ]]; then
	echo "usage: kernels.sh ARCH FLAVOUR... (cloud, generic)" >&2
	exit 2
fi
arch=$1
shift
# Rigs that start side by side want the same ones.
mkdir -p cache
exec {lock}>cache/kernels.lock
flock "$lock"
apt_for "$arch"
for flavour in "$@"; do
	kernels_fetch "$flavour"
done
