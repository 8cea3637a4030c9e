# shellcheck shell=bash disable=SC2154,SC2317 # of suite.sh, which calls
# What the cases for aarch64 share. What needs no other lines than on x86_64 is
# called from there.

# arm_fio CPUS KEYS [OPTION...]: ext4 made, 8 MiB written by fio in random order
# and verified; the same bytes after a reboot in place, and from the host.
arm_fio() {
	local cpus=$1 keys=$2 sum

	shift 2
	devices_image disk 32
	suite_initrd <<-'END'
		. /devices.sh
		devices_load
		devices_tools /dev/vda
		if ! mount -t ext4 /dev/vdb /tmp 2>/dev/null; then
			tool mkfs.ext4 -q /dev/vdb && mount -t ext4 /dev/vdb /tmp
			tool fio --name=write --filename=/tmp/data --size=8M \
				--rw=randwrite --bs=64k --iodepth=16 --ioengine=libaio \
				--direct=1 --end_fsync=1 --verify=crc32c --thread \
				--minimal >/tmp/fio 2>&1
			echo "fio: $?"
			echo "sum: $(md5sum </tmp/data)"
			umount /tmp
			reboot -f
		fi
		echo "again: $(md5sum </tmp/data)"
		umount /tmp
	END
	suite_start -m 512M -c "$cpus" --timeout 200s -d "$tools,ro,$keys" \
		-d "$work/disk,$keys" "$@"
	suite_end 0
	suite_says '^fio: 0'
	sum=$(devices_say sum)
	[[ -n $sum ]] || suite_fail 'no sum'
	devices_same 'the sum after a reboot' "$(devices_say again)" "$sum"
	sum=$(debugfs -R 'cat data' "$work/disk" 2>/dev/null | md5sum)
	devices_same 'the sum on the host' "$sum" "$(devices_say sum)"
}
