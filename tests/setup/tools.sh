#!/bin/bash
# Makes a disk image with programs of this host for a guest that has only
# busybox: tools.sh OUT PROGRAM...
#
# OUT is an ext4 file system with bin/PROGRAM, the libraries of all of them in
# lib/, and at its top a script `run PROGRAM [ARG...]`, for wherever it is
# mounted. A disk and no initramfs: a guest reads only what it uses. Needs no
# root. Written beside its name and renamed; left alone while it is newer than
# every program.
set -euo pipefail

if [[ $# -lt 2 ]]; then
	sed -n '3s/^# \?//p' "$0" >&2
	exit 2
fi
out=$1
shift

programs=()
for name; do
	program=$(PATH=$PATH:/usr/sbin:/sbin command -v "$name") || {
		echo "tools: no program $name here" >&2
		exit 1
	}
	programs+=("$(readlink -f "$program")")
done

tools_is_new() {
	local program

	[[ -e $out ]] || return 1
	for program in "${programs[@]}" "$0"; do
		[[ ! $program -nt $out ]] || return 1
	done
}
! tools_is_new || exit 0

tree=$(mktemp -d)
part=$out.$$
trap 'rm -rf "$tree" "$part"' EXIT
mkdir -p "$tree/bin" "$tree/lib" "$(dirname "$out")"
for program in "${programs[@]}"; do
	cp "$program" "$tree/bin/"
	# "libc.so.6 => /lib/.../libc.so.6 (0x...)", and the loader by its path.
	ldd "$program" | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p; s/^\t\(\/[^ ]*ld-[^ ]*\) .*/\1/p'
done | sort -u | while read -r library; do
	cp -L "$library" "$tree/lib/"
done
# mkfs.ext4 is mke2fs by another name, and asks what it was called.
[[ ! -e $tree/bin/mke2fs ]] || ln -s mke2fs "$tree/bin/mkfs.ext4"
cat >"$tree/run" <<'END_RUN'
#!/bin/sh
top=${0%/*}
program=$1
shift
exec "$top"/lib/ld-*.so.* --library-path "$top/lib" "$top/bin/$program" "$@"
END_RUN
chmod 0755 "$tree/run"
size=$(($(du -sm "$tree" | cut -f 1) * 5 / 4 + 8))
truncate -s "${size}M" "$part"
PATH=$PATH:/usr/sbin:/sbin mke2fs -q -t ext4 -d "$tree" -O ^has_journal "$part"
mv "$part" "$out"
