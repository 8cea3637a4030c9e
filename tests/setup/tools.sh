#!/bin/bash
# Makes a disk image with programs of this host for a guest that has only
# busybox: tools.sh [-a ARCH] OUT PROGRAM...
#
# For another architecture ARCH they are those of its root (root.sh).
#
# OUT is an ext4 file system with bin/PROGRAM, the libraries of all of them in
# lib/, and at its top a script `run PROGRAM [ARG...]`, for wherever it is
# mounted. A disk and no initramfs: a guest reads only what it uses. Needs no
# root. Written beside its name and renamed; left alone while it is newer than
# every program.
set -euo pipefail

arch=$(uname -m)
[[ ${1-} != -a ]] || { arch=$2 && shift 2; }
if [[ $# -lt 2 ]]; then
	sed -n '3s/^# \?//p' "$0" >&2
	exit 2
fi
out=$1
shift

root=
cross=
[[ $arch == "$(uname -m)" ]] || {
	cross=$arch-linux-gnu-
	root=$(readlink -f "$(dirname "$0")/../../cache/$arch/root")
}

# tools_find NAME: its path.
tools_find() {
	local dir

	for dir in /usr/local/bin /usr/bin /usr/sbin /bin /sbin; do
		[[ ! -x $root$dir/$1 ]] || { readlink -f "$root$dir/$1" && return; }
	done
	echo "tools: no program $1 for $arch" >&2
	return 1
}

# tools_stubs PROGRAM: libraries of functions that nobody calls, in place of the
# clients of remote storage that fio is linked with: these bring fifty others, which
# a guest would take longer to relocate at each start than to do what it is told.
tools_stubs() {
	local library

	# A line a function: its name, and its version if it has one.
	readelf -W --dyn-syms "$1" |
		sed -nE 's/.* UND ((rbd|rados|glfs|nbd|ibv|rdma|pmem|pmemblk)_[^ ]*).*/\1/p' |
		tr -s @ ' ' >"$tree/stubs"
	while read -r library _; do
		echo "void $library(void) {}"
	done <"$tree/stubs" >"$tree/stubs.c"
	awk 'NF > 1 { of[$2] = of[$2] " " $1 ";" }
		END { for (one in of) print one " {" of[one] " };" }' \
		"$tree/stubs" >"$tree/stubs.map"
	for library in $(readelf -d "$1" | sed -nE 's/.*\(NEEDED\).*\[(.*)\]/\1/p' |
		grep -E '^lib(rbd|rados|gfapi|nbd|ibverbs|rdmacm|pmem|pmemblk)\.'); do
		"${cross}gcc" -shared -nostdlib -Wl,-soname,"$library" \
			-Wl,--version-script,"$tree/stubs.map" \
			-o "$tree/lib/$library" "$tree/stubs.c"
	done
	rm "$tree"/stubs*
}

# The libraries of a program, but for stubs: "libc.so.6 => /lib/.../libc.so.6
# (0x...)", and the loader by its path.
tools_libraries() {
	local loader

	if [[ -z $root ]]; then
		LD_LIBRARY_PATH=$tree/lib ldd "$1"
	else
		loader=("$root"/lib/ld-linux-*.so.*)
		"qemu-$arch-static" -L "$root" -E "LD_LIBRARY_PATH=$tree/lib" \
			"${loader[0]}" --list "$1"
	fi | grep -vF "$tree/" | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p; s/^\t\(\/[^ ]*ld-[^ ]*\) .*/\1/p'
}

programs=()
for name; do
	programs+=("$(tools_find "$name")")
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
	tools_stubs "$program"
done
for program in "${programs[@]}"; do
	cp "$program" "$tree/bin/"
	tools_libraries "$program"
done | sort -u | while read -r library; do
	[[ $library == "$root"/* ]] || library=$root$library
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
