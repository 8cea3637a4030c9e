#!/bin/sh
# First stage of the rig (see run.sh), /init of its initramfs: loads the
# modules, puts the host's root under an overlay and hands over to
# tests/rig/session.sh in it. Runs under busybox.
#
# On its command line: rig.repo= and rig.run=, the repository and this run's
# directory, as absolute paths on the host; rig.foreign when the root is not the
# host's, so that the repository is missing there.
set -eu

rig_fail() {
	echo "rig: $1" >/dev/kmsg
	reboot -f
}
trap 'rig_fail "the first stage failed"' EXIT

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev

# shellcheck source=tests/setup/modules.sh
. /modules.sh
# shellcheck disable=SC2086 # names
modules_load $modules_rig || rig_fail "no module $module"

repo=$(sed -n 's/.*rig\.repo=\([^ ]*\).*/\1/p' /proc/cmdline)
run=$(sed -n 's/.*rig\.run=\([^ ]*\).*/\1/p' /proc/cmdline)

# The host's files do not change during a run, but for the shared directory.
nine=trans=virtio,version=9p2000.L,msize=512000
mkdir /host /new /upper
mount -t 9p -o "$nine,ro,cache=loose" rootfs /host
mount -t tmpfs -o mode=0755 tmpfs /upper
mkdir /upper/files /upper/work
mount -t overlay -o lowerdir=/host,upperdir=/upper/files,workdir=/upper/work \
	overlay /new
if grep -qw rig.foreign /proc/cmdline; then
	mkdir -p "/new$repo" /new/proc /new/sys /new/dev /new/run /new/tmp \
		/new/root /new/var/tmp /new/etc
	mount -t 9p -o "$nine,ro,cache=loose" repo "/new$repo"
	printf '%s\n' root:x:0:0:root:/root:/bin/bash \
		nobody:x:65534:65534:nobody:/:/bin/false >/new/etc/passwd
	echo 'root:x:0:' >/new/etc/group
fi
mount -t 9p -o "$nine,cache=none" share "/new${run%/*}"

mount -t proc proc /new/proc
mount -t sysfs sysfs /new/sys
mount -t devtmpfs devtmpfs /new/dev
mount -t cgroup2 cgroup2 /new/sys/fs/cgroup
mount -t tmpfs -o mode=0755 tmpfs /new/run
mkdir /new/run/lock /new/dev/pts /new/dev/shm
mount -t devpts -o gid=5,mode=0620,ptmxmode=0666 devpts /new/dev/pts
mount -t tmpfs -o mode=1777 tmpfs /new/dev/shm
ln -s /proc/self/fd /new/dev/fd
ln -s fd/0 /new/dev/stdin
ln -s fd/1 /new/dev/stdout
ln -s fd/2 /new/dev/stderr
# Guests that ask for huge pages fault less: a good third of a boot here.
echo advise >/sys/kernel/mm/transparent_hugepage/shmem_enabled
# Tests run as an ordinary user, too.
chmod 0666 /new/dev/kvm /new/dev/vda /new/dev/vdb
chmod 1777 /new/tmp
ip link set lo up
umount /dev /sys /proc
trap - EXIT
exec switch_root /new /bin/bash "$repo/tests/rig/session.sh" "$run"
