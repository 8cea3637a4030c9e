#!/bin/bash
# zboot.sh IMAGE FORMAT OUT: an arm64 kernel as builds and distributions ship
# it: the plain Image compressed (gzip, zstd), or that with the header of an EFI
# application that unpacks itself in front (zboot-gzip, zboot-zstd), as the
# kernel's own build makes with CONFIG_EFI_ZBOOT. There is no code in it: good
# for a loader that unpacks the payload. Fields: zboot-header.S in Linux's
# drivers/firmware/efi/libstub.
set -euo pipefail

zboot_pack() {
	case $1 in
	gzip) gzip -1 -c ;;
	zstd) zstd -q -c ;;
	*)
		echo "zboot: no format '$1'" >&2
		exit 2
		;;
	esac <"$image"
}

# zboot_le32 VALUE: its four bytes.
zboot_le32() {
	local value=$1 i

	for i in 0 8 16 24; do
		printf '%b' "\\x$(printf %02x $(((value >> i) & 0xff)))"
	done
}

# zboot_header NAME OFFSET SIZE: 64 bytes of it, then the PE signature and the
# machine.
zboot_header() {
	printf 'MZ\0\0zimg'
	zboot_le32 "$2"
	zboot_le32 "$3"
	zboot_le32 0
	zboot_le32 0
	printf '%s' "$1"
	head -c $((32 - ${#1})) /dev/zero
	zboot_le32 $((0x818223cd))
	zboot_le32 64
	printf 'PE\0\0\x64\xaa'
}

if [[ $# -ne 3 ]]; then
	sed -n '2s/^# \([^:]*\):.*/usage: \1/p' "$0" >&2
	exit 2
fi
image=$1
format=$2
out=$3
part=$out.$$
trap 'rm -f "$part" "$part.payload"' EXIT

if [[ $format != zboot-* ]]; then
	zboot_pack "$format" >"$part"
	mv "$part" "$out"
	exit
fi
format=${format#zboot-}
offset=$((0x1000))
name=$format
[[ $format != zstd ]] || name=zstd22
zboot_pack "$format" >"$part.payload"
length=$(stat -c %s "$part.payload")
# Behind it the unpacked size, which gzip alone has by itself.
[[ $format == gzip ]] || zboot_le32 "$(stat -c %s "$image")" >>"$part.payload"
zboot_header "$name" "$offset" "$length" >"$part"
truncate -s "$offset" "$part"
cat "$part.payload" >>"$part"
mv "$part" "$out"
