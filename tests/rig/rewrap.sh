#!/bin/bash
# rewrap.sh BZIMAGE VMLINUX FORMAT OUT: a bzImage with the setup part of
# BZIMAGE and VMLINUX as its payload, compressed as FORMAT (gzip, xz, lzma,
# lz4, zstd, bzip2), as the kernel's own build would for
# CONFIG_KERNEL_FORMAT. It has no code to unpack itself: good for a loader
# that unpacks the payload. Fields: Documentation/arch/x86/boot.rst.
set -euo pipefail

# rewrap_le32 VALUE: its four bytes.
rewrap_le32() {
	local value=$1 i

	for i in 0 8 16 24; do
		printf '%b' "\\x$(printf %02x $(((value >> i) & 0xff)))"
	done
}

# rewrap_patch OFFSET VALUE: a 32-bit field of the image under way.
rewrap_patch() {
	rewrap_le32 "$2" | dd of="$part" bs=1 seek="$1" conv=notrunc status=none
}

rewrap_pack() {
	case $format in
	gzip) gzip -c ;;
	xz) xz -1 --check=crc32 -c ;;
	lzma) xz -1 --format=lzma -c ;;
	lz4) lz4 -q -l -c ;;
	zstd) zstd -q -c ;;
	bzip2) bzip2 -1 -c ;;
	*)
		echo "rewrap: no format '$format'" >&2
		exit 2
		;;
	esac <"$vmlinux"
}

if [[ $# -ne 4 ]]; then
	echo "usage: rewrap.sh BZIMAGE VMLINUX FORMAT OUT" >&2
	exit 2
fi
image=$1
vmlinux=$2
format=$3
out=$4
part=$out.$$
trap 'rm -f "$part" "$part.payload"' EXIT

# The payload, and its unpacked size, which gzip alone has by itself.
rewrap_pack >"$part.payload"
[[ $format == gzip ]] ||
	rewrap_le32 "$(stat -c %s "$vmlinux")" >>"$part.payload"
length=$(stat -c %s "$part.payload")

# Where the 64-bit entry would be, at 0x200 of the protected-mode part, and
# around it is nothing.
offset=$((0x1000))
sectors=$(od -An -v -t u1 -j $((0x1f1)) -N 1 "$image" | tr -d ' ')
setup=$(((sectors + 1) * 512))
head -c "$setup" "$image" >"$part"
head -c "$offset" /dev/zero >>"$part"
cat "$part.payload" >>"$part"
size=$(((offset + length + 15) / 16 * 16))
truncate -s $((setup + size)) "$part"
rewrap_patch $((0x1f4)) $((size / 16)) # syssize
rewrap_patch $((0x248)) "$offset"      # payload_offset
rewrap_patch $((0x24c)) "$length"      # payload_length
mv "$part" "$out"
