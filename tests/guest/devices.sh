#!/bin/bash
# Virtio devices driven by freestanding guests at CPL 3, on /dev/kvm: both
# transports, both ring formats, polling, MSI-X and interrupt lines. See
# cases.sh for the environment.
set -u
# shellcheck source=tests/guest/cases.sh
. tests/guest/cases.sh

image=$tmp/disk.img
sectors=2048

# How the guest drives the device, and what bantam has to be told for it: a
# line each of NAME, the guest's options, the device's keys.
ways()
{
	cat <<-'EOF'
		pci_poll irq=poll
		pci_msix irq=msix
		pci_line irq=line
		pci_packed irq=msix,packed=1 ,packed=on
		mmio_poll irq=poll,mmio=1 ,transport=mmio
		mmio_line irq=line,mmio=1 ,transport=mmio
		mmio_packed irq=line,mmio=1,packed=1 ,transport=mmio,packed=on
	EOF
}

make_image()
{
	rm -f "$image"
	truncate -s $((sectors * 512)) "$image"
}

# check_image DISK: what virtio_block.c leaves: sectors 0 to 279 say which they are, but for
# those that it zeroed.
check_image()
{
	awk 'BEGIN {
		for (s = 0; s < 280; s++)
			for (i = 0; i < 64; i++)
				print (s >= 264 && s < 272) ? 0 : s * 64 + i
	}' >"$tmp/expected"
	od -An -v -t u8 -w8 -N $((280 * 512)) "$1" | tr -d ' ' |
		cmp -s - "$tmp/expected"
}

block_case()
{
	make_image
	vm "block_$1" 0 '^block: 2048 sectors, id disk-0' virtio_block.elf \
		-a "${2//,/ } sectors=$sectors" -d "$image,serial=disk-0${3-}"
	[ -z "$kvm_missing" ] || return 0
	# What it wrote is in the file.
	if check_image "$image"; then
		ok "block_$1_image"
	else
		not_ok "block_$1_image" 'the file does not hold what was written'
	fi
}

while read -r name guest keys; do
	block_case "$name" "$guest" "$keys"
	vm "rng_$name" 0 '^rng: 16 draws' virtio_rng.elf -a "${guest//,/ }" \
		--rng "source=/dev/urandom${keys-}"
done < <(ways)

# As the last of them left it.
vm block_ro 0 '^block:' virtio_block.elf -a "ro=1" -d "$image,ro"

# A file on a file system that has O_DIRECT, the rig's disk where there is none,
# or a file system of our own.
case_direct()
{
	local disk=$tmp/direct

	needs_kvm block_direct || return 0
	truncate -s $((sectors * 512)) "$disk"
	if ! dd if="$disk" of=/dev/null bs=4096 count=1 iflag=direct \
		status=none 2>/dev/null; then
		disk=${RIG_DISK-}
	fi
	if [ -z "$disk" ]; then
		mkdir "$tmp/mnt"
		truncate -s 16M "$tmp/mnt.img"
		mke2fs -q -t ext4 "$tmp/mnt.img" 2>/dev/null
		if ! mount -o loop "$tmp/mnt.img" "$tmp/mnt" 2>/dev/null; then
			skip block_direct 'no file system with O_DIRECT here'
			return 0
		fi
		disk=$tmp/mnt/disk
		truncate -s $((sectors * 512)) "$disk"
	fi
	vm block_direct 0 '^block:' virtio_block.elf -d "$disk,direct"
	if check_image "$disk"; then
		ok block_direct_image
	else
		not_ok block_direct_image 'the disk does not hold what was written'
	fi
	# Here requests are in flight indeed: the page cache answers at once.
	vm hostile_direct 0 '2:rng0: failed until its driver resets it' virtio_hostile.elf -d "$disk,direct" \
		--rng source=/dev/urandom
	[ ! -d "$tmp/mnt" ] || umount "$tmp/mnt"
}
case_direct

case_ephemeral()
{
	local sum

	needs_kvm block_ephemeral || return 0
	truncate -s $((sectors * 512)) "$tmp/base.img"
	sum=$(cksum <"$tmp/base.img")
	vm block_ephemeral 0 '^block:' virtio_block.elf \
		-d "$tmp/base.img,ephemeral"
	if [ "$(cksum <"$tmp/base.img")" = "$sum" ]; then
		ok block_ephemeral_base
	else
		not_ok block_ephemeral_base 'the base image has changed'
	fi
}
case_ephemeral

vm block_queues 0 '^block:' virtio_block.elf -d "$image,queues=4"
vm block_two 0 '^block: 2048 sectors, id second' virtio_block.elf \
	-a nth=1 -d "$tmp/base.img,ephemeral" -d "$image,serial=second"

# What is typed comes back, by the console's own queues.
console_case()
{
	local status

	needs_kvm "console_$1" || return 0
	printf 'hello.' | "${limit[@]}" "$bantam" run \
		-k "$guests/virtio_console.elf" -a "${2//,/ }" \
		--console "stdio${3-}" >"$out" 2>"$err"
	status=$?
	judge "console_$1" $status 0 '^hello\.$'
}

# A tap with an address of the host's, which answers for it: 10.9.8.1.
net_case()
{
	needs_kvm "net_$1" || return 0
	if ! ip tuntap add bantam-test mode tap vnet_hdr 2>/dev/null; then
		skip "net_$1" 'no tap can be made here: not root, or no /dev/net/tun'
		return 0
	fi
	ip address add 10.9.8.1/24 dev bantam-test
	ip link set bantam-test up
	vm "net_$1" 0 '^net: answered' virtio_net.elf \
		-a "${2//,/ } peer=168364033" -n "tap=bantam-test${3-}"
	ip link delete bantam-test
}

while read -r name guest keys; do
	console_case "$name" "$guest" "${keys-}"
	net_case "$name" "$guest" "${keys-}"
done < <(ways)

while read -r name guest keys; do
	# What bantam says of it is no more than a few lines of each kind.
	vm "hostile_$name" 0 '2:rng0: failed until its driver resets it' \
		virtio_hostile.elf \
		-a "${guest//,/ }" -d "$image${keys-}" \
		--rng "source=/dev/urandom${keys-}"
done < <(ways | grep -E 'poll|packed')

summary
