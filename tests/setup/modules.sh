# shellcheck shell=sh disable=SC2034 # for whoever sources it
# Sourced, by busybox's shell, too: which modules of Debian's kernels are used,
# by their files' names, in the order in which they can be loaded. A kernel that
# has one built in lacks the file, so who loads them looks for it:
# modules_load in the initramfs, where this is /modules.sh.

# What virtio devices want, in the rig as in its guests.
modules_pci='virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev
	virtio_pci'
modules_virtio="$modules_pci virtio_mmio failover net_failover virtio_blk
	virtio_net virtio_console virtio-rng"
modules_ext4='crc32c_generic crc16 mbcache jbd2 ext4'

# TCP of the bench's guests, from a disk with the tools.
modules_bench="$modules_pci failover net_failover virtio_blk virtio_net
	$modules_ext4"

# The suite's guests: each case loads what it is about.
modules_guest="button evdev gpio_keys pvpanic pvpanic-mmio $modules_virtio
	$modules_ext4 fuse virtiofs"

# The rig itself: KVM, its root over 9p, taps and bridges, vhost and vsock,
# disks.
modules_rig="irqbypass kvm ccp kvm-amd $modules_pci virtio_console virtio_blk
	netfs fscache 9pnet 9pnet_virtio 9p overlay
	tun llc stp bridge veth vhost_iotlb vhost tap vhost_net
	vsock vmw_vsock_virtio_transport_common vhost_vsock
	$modules_ext4 loop"

# Of devices that are not there yet, for those who work on them.
modules_more='kvm-intel virtio_balloon pvpanic-pci gpio-pl061
	rtc-pl031'

# modules_load NAME...: those that are files. Return: 1 if one does not load.
modules_load() {
	for module; do
		[ ! -e "/lib/modules/$module.ko" ] ||
			insmod "/lib/modules/$module.ko" || return 1
	done
}
