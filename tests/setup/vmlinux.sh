#!/bin/bash
# vmlinux.sh BZIMAGE OUT: takes the kernel proper, an ELF file, out of a
# bzImage, like scripts/extract-vmlinux of Linux but by the header's own
# fields (payload_offset and payload_length, Documentation/arch/x86/boot.rst).
#
# This is how tests get a vmlinux, and how the rig's kernel starts at once:
# QEMU's software CPU needs 3 s to unpack it.
set -euo pipefail

vmlinux_fail() {
	echo "vmlinux: $image: $1" >&2
	exit 1
}

# vmlinux_number OFFSET SIZE: a little-endian field of the image.
vmlinux_number() {
	od -An -v -t "u$2" -j "$1" -N "$2" --endian=little "$image" | tr -d ' '
}

if [[ $# -ne 2 ]]; then
	echo "usage: vmlinux.sh BZIMAGE OUT" >&2
	exit 2
fi
image=$1
out=$2

[[ $(vmlinux_number $((0x202)) 4) == "$((0x53726448))" ]] ||
	vmlinux_fail "no setup header, expected HdrS at 0x202"
sectors=$(vmlinux_number $((0x1f1)) 1)
[[ $sectors -ne 0 ]] || sectors=4
start=$(((sectors + 1) * 512 + $(vmlinux_number $((0x248)) 4)))
# Linux appends the unpacked size, which gzip alone has by itself.
length=$(($(vmlinux_number $((0x24c)) 4) - 4))
magic=$(od -An -v -t x1 -j "$start" -N 6 "$image" | tr -d ' ')

case $magic in
1f8b*) unpack=(gzip -dc) && length=$((length + 4)) ;;
fd377a585a00) unpack=(xz -dc) ;;
5d0000*) unpack=(xz -dc --format=lzma) ;;
02214c18*) unpack=(lz4 -dc) ;;
28b52ffd*) unpack=(zstd -dc) ;;
425a68*) unpack=(bzip2 -dc) ;;
*) vmlinux_fail "a payload that starts with $magic, of no known format" ;;
esac
trap 'rm -f "$out.part"' EXIT
dd if="$image" bs=64K skip="$start" count="$length" \
	iflag=skip_bytes,count_bytes status=none | "${unpack[@]}" >"$out.part"
mv "$out.part" "$out"
