#!/bin/bash
# Debian's arm64 packages, unpacked where this host has none of them:
#
#   root.sh GROUP...
#
# makes cache/aarch64/root/, or adds to it, with what the groups of `packages`
# below name and all that those depend on. It is what a cross compiler takes for
# its --sysroot, and what the arm64 rig has for a root. apt gets a
# configuration of its own, with arm64 as the only architecture and nothing
# installed, so that the host's packages stay as they are; it checks the hashes
# against its signed lists. dpkg-deb unpacks; no maintainer's script runs. Needs
# no root. Without network when everything is there; to begin anew, remove
# cache/aarch64/root and cache/aarch64/apt.
set -euo pipefail
cd "$(dirname "$0")/../.."

deb_arch=arm64
top=$PWD/cache/aarch64
root=$top/root
apt=$top/apt

# One line a group: what it is for is in docs/HACKING.md.
packages() {
	cat <<-END
		build	libc6-dev libgcc-12-dev libjansson-dev liburing-dev liblz4-dev
		build	libzstd-dev liblzma-dev libbz2-dev zlib1g-dev libssl-dev
		build	libfdt-dev check
	END
}

root_groups() {
	packages | cut -f 1 | uniq | paste -sd ' '
}

root_names() {
	packages | sed -n "s/^$1	//p" | tr '\n' ' '
}

# The host's sources and keys, and no other thing of the host's.
root_configure() {
	mkdir -p "$apt"/{state/lists/partial,cache/archives/partial,log} "$root"
	: >"$apt/status"
	cat >"$apt/conf" <<-END
		#clear APT::Architectures;
		#clear APT::Update::Post-Invoke;
		#clear APT::Update::Post-Invoke-Success;
		#clear DPkg::Post-Invoke;
		APT::Architecture "$deb_arch";
		APT::Architectures { "$deb_arch"; };
		APT::Sandbox::User "root";
		APT::Install-Recommends "false";
		Dir::State "$apt/state";
		Dir::State::status "$apt/status";
		Dir::Cache "$apt/cache";
		Dir::Log "$apt/log";
	END
}

root_apt() {
	apt-get -q -c "$apt/conf" "$@" </dev/null >>"$apt/log/apt" 2>&1
}

# root_download PACKAGE...: with all that they depend on, into apt's archives.
root_download() {
	root_apt install -y --download-only "$@"
}

# Once the usual links are there, files of /lib and /usr/lib are in one place.
root_links() {
	local name

	for name in bin sbin lib; do
		mkdir -p "$root/usr/$name"
		[[ -e $root/$name ]] || ln -s "usr/$name" "$root/$name"
	done
}

# Links to /lib/... would lead out of here.
root_relative() {
	local link

	find "$root" -type l -lname '/*' -print | while IFS= read -r link; do
		ln -sfnr "$root$(readlink "$link")" "$link"
	done
}

root_unpack() {
	local deb

	root_links
	for deb in "$apt"/cache/archives/*.deb; do
		[[ ! -e $apt/unpacked/${deb##*/} ]] || continue
		dpkg-deb --fsys-tarfile "$deb" |
			tar -x -C "$root" --keep-directory-symlink \
				--no-same-owner --no-same-permissions
		mkdir -p "$apt/unpacked"
		: >"$apt/unpacked/${deb##*/}"
	done
	root_relative
}

root_add() {
	local names

	read -ra names <<<"$(root_names "$1")"
	if [[ ${#names[@]} -eq 0 ]]; then
		echo "root: no group '$1', there are:" \
			"$(root_groups)" >&2
		exit 2
	fi
	# The list is in the stamp: one that grew is fetched.
	[[ "$(cat "$apt/done.$1" 2>/dev/null)" != "${names[*]}" ]] || return 0
	root_configure
	echo "root: downloading for $deb_arch: ${names[*]}" >&2
	if ! root_download "${names[@]}"; then
		# Lists that are older than the archive name files that are gone.
		root_apt update || true
		root_download "${names[@]}" || {
			tail -n 5 "$apt/log/apt" >&2
			echo "root: apt-get failed: is the network there?" >&2
			exit 1
		}
	fi
	root_unpack
	echo "${names[*]}" >"$apt/done.$1"
	echo "root: $root has it, $(du -sm "$root" | cut -f 1) MiB in all" >&2
}

if [[ $# -eq 0 ]]; then
	echo "usage: root.sh GROUP... ($(root_groups))" >&2
	exit 2
fi
mkdir -p "$top"
# One at a time.
exec {lock}>"$top/lock"
flock "$lock"
for group in "$@"; do
	root_add "$group"
done
