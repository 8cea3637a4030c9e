#!/bin/bash
# Makes an initramfs of the distribution's static busybox:
#
#   initramfs.sh -o OUT [-a ARCH] [-k KERNEL -m MODULES] [-f FILE=NAME]... INIT
#
# INIT becomes /init, -f puts FILE at /NAME. MODULES are names in one word; those
# that KERNEL, a directory of kernels.sh, has as files go to /lib/modules, and
# modules.sh to /modules.sh.
# Every applet of busybox is there by name. For another architecture ARCH than
# this host's, busybox comes from its root (root.sh). The image is not compressed:
# unpacking costs the guest more than reading the few bytes saves. Written
# beside its name and renamed, so that a reader never sees half of one.
set -euo pipefail

initramfs_usage() {
	sed -n '2,4s/^# \?//p' "$0" >&2
	exit 2
}

out=
arch=$(uname -m)
kernel=
modules=
files=()
while getopts o:a:k:m:f: option; do
	case $option in
	o) out=$OPTARG ;;
	a) arch=$OPTARG ;;
	k) kernel=$OPTARG ;;
	m) modules=$OPTARG && files+=("$(dirname "$0")/modules.sh=modules.sh") ;;
	f) files+=("$OPTARG") ;;
	*) initramfs_usage ;;
	esac
done
shift $((OPTIND - 1))
[[ -n $out && $# -eq 1 ]] || initramfs_usage

busybox=$(command -v busybox || true)
emulator=()
if [[ $arch != "$(uname -m)" ]]; then
	busybox=$(dirname "$0")/../../cache/$arch/root/usr/bin/busybox
	emulator=("qemu-$arch-static")
fi
if [[ ! -e $busybox ]]; then
	echo "initramfs: no busybox for $arch: install busybox-static, or run" \
		"tests/setup/root.sh $arch rig" >&2
	exit 1
fi

tree=$(mktemp -d)
part=$out.$$
trap 'rm -rf "$tree" "$part"' EXIT
mkdir -p "$tree"/{bin,dev,proc,sys,run,tmp,lib/modules,etc}
cp "$busybox" "$tree/bin/busybox"
for applet in $("${emulator[@]}" "$busybox" --list); do
	[[ $applet == busybox ]] || ln -s busybox "$tree/bin/$applet"
done
install -m 0755 "$1" "$tree/init"
for module in $modules; do
	[[ ! -e $kernel/modules/$module.ko ]] ||
		cp "$kernel/modules/$module.ko" "$tree/lib/modules/"
done
for pair in ${files[@]+"${files[@]}"}; do
	install -D -m 0755 "${pair%%=*}" "$tree/${pair#*=}"
done

mkdir -p "$(dirname "$out")"
(cd "$tree" && find . | LC_ALL=C sort |
	cpio --quiet --reproducible -o -H newc -R 0:0) >"$part"
# Who reads it now keeps the one that he has.
if cmp -s "$part" "$out"; then
	touch "$out"
else
	mv "$part" "$out"
fi
