# shellcheck shell=bash disable=SC2154,SC2317 # of suite.sh, which calls
# Linux with virtio devices. What guests do with them is in the lines that each
# case gives them; /devices.sh there is guest_devices.sh.

tools=$made/tools.img

# --- The host's side -------------------------------------------------------------

# devices_image NAME MIB: an image of nothing, that an ordinary user may write.
devices_image() {
	rm -f "$work/$1"
	truncate -s "${2}M" "$work/$1"
	chmod 0666 "$work/$1"
}

# devices_tap NAME ADDRESS/BITS: a tap that an ordinary user may use.
devices_tap() {
	chmod 0666 /dev/net/tun
	ip link delete "$1" 2>/dev/null
	ip tuntap add "$1" mode tap user 65534 vnet_hdr ${3:+$3}
	ip address add "$2" dev "$1"
	ip link set "$1" up
}

# A way out, of which passt tells its guest: it leads nowhere.
devices_uplink() {
	ip link set lo up
	ip link add up0 type veth peer name up1
	ip address add 10.8.0.2/24 dev up0
	ip link set up0 up
	ip link set up1 up
	ip route add default via 10.8.0.1 dev up0
}

# devices_say NAME: what the console's line `NAME: ` says.
devices_say() {
	sed -nE "/^$1: (.*[^\r])\r?$/{s//\1/p;q}" "$out"
}

devices_same() {
	[[ $2 == "$3" ]] || suite_fail "$1 is '$2', expected '$3'"
}

# devices_mount IMAGE: its file system, as this kernel reads it, on
# $work/mount/IMAGE; to be written to, as fio opens what it only verifies.
devices_mount() {
	mkdir -p "$work/mount/$1"
	mount -o loop "$work/$1" "$work/mount/$1" ||
		suite_fail "$1 has no file system"
}

# devices_verify FIO...: what that has written in a guest, from here, in what
# devices_mount mounted; unmounts all of it.
devices_verify() {
	(cd "$work" && "$@" --verify_only) >"$work/verify" 2>&1 ||
		suite_fail "on the host: $(grep -m 1 -E 'verify|error' "$work/verify")"
	umount "$work/mount/"*
	rmdir "$work/mount/"*
}

# --- PCI ---------------------------------------------------------------------------

# What lspci says of a machine with each device. No names: there is no list of
# them in the guest.
devices_golden() {
	cat <<-'END'
		00:00.0 Class [0600]: Device [8086:29c0]
		00:01.0 Class [0100]: Device [1af4:1042] (rev 01)
		00:02.0 Class [0100]: Device [1af4:1042] (rev 01)
		00:03.0 Class [0200]: Device [1af4:1041] (rev 01)
		00:04.0 Class [0780]: Device [1af4:1043] (rev 01)
		00:05.0 Class [00ff]: Device [1af4:1044] (rev 01)
	END
}

# And the random numbers of one are random.
case_devices_pci_rng() {
	devices_image disk 16
	devices_tap tap0 10.9.0.1/24
	suite_boot 0 -m 512M -c 2 -d "$tools,ro" -d "$work/disk,queues=2" \
		-n tap=tap0 --console null <<-'END'
			. /devices.sh
			devices_load
			devices_tools /dev/vda
			tool lspci -nn | sed 's/^/lspci: /'
			sed -n '/virtio/s/^/irq: /p' /proc/interrupts
			echo "rng: $(cat /sys/class/misc/hw_random/rng_current)"
			head -c 250250 /dev/hwrng | tool rngtest -c 100 2>&1 |
				grep FIPS | sed 's/^/rngtest: /'
			guest_severe
		END
	devices_same "lspci -nn" \
		"$(sed -nE 's/^lspci: (.*[^\r])\r?$/\1/p' "$out")" \
		"$(devices_golden)"
	# A vector for each queue, and one for configuration changes.
	for name in virtio0-config virtio0-req.0 virtio1-config virtio1-req.0 \
		virtio1-req.1 virtio2-config virtio2-input.0 virtio2-output.0; do
		suite_says "^irq: .*PCI-MSI.*$name"
	done
	suite_says '^rng: virtio_rng'
	suite_says '^rngtest: rngtest: FIPS 140-2 successes: (9[5-9]|100)'
	suite_never '^severe: '
}

# --- Block -------------------------------------------------------------------------

# ext4 made, 100 MB written by fio and verified; the same bytes in the same file
# system after a reboot in place, and from the host: each block has where it
# belongs in it, and a sum.
case_devices_block() {
	local fio=(fio --name=write --size=100M --rw=randwrite --bs=256k
		--direct=1 --verify=crc32c --thread --minimal)

	devices_image disk 256
	devices_image second 8
	suite_initrd <<-END
		. /devices.sh
		devices_load
		devices_tools /dev/vda
		fio="tool ${fio[*]} --filename=/tmp/data --ioengine=libaio --iodepth=16"
		if ! mount -t ext4 /dev/vdb /tmp 2>/dev/null; then
			tool mkfs.ext4 -q /dev/vdb && mount -t ext4 /dev/vdb /tmp
			\$fio --end_fsync=1 >/fio 2>&1
			echo "fio: \$?"
			umount /tmp
			echo "second: \$(cat /sys/block/vdc/size)"
			reboot -f
		fi
		\$fio --verify_only >/fio 2>&1
		echo "again: \$?"
		umount /tmp
	END
	suite_start -m 512M -c 2 --timeout 240s -d "$tools,ro" \
		-d "$work/disk" -d "$work/second"
	suite_end 0
	suite_says '^fio: 0'
	suite_says '^second: 16384'
	suite_says '^again: 0'
	devices_mount disk
	devices_verify "${fio[@]}" --filename="$work/mount/disk/data"
}

case_devices_block_kinds() {
	local before after

	devices_image disk 16
	devices_image ro 8
	devices_image lost 8
	head -c 16m /dev/zero | tr '\0' x >"$work/disk"
	before=$(du -k "$work/disk" | cut -f 1)
	suite_boot 0 -d "$work/disk,serial=one" -d "$work/ro,ro" \
		-d "$work/lost,ephemeral" <<-'END'
			. /devices.sh
			devices_load
			echo "serial: $(cat /sys/block/vda/serial)"
			blkdiscard -o 0 -l 8388608 /dev/vda || fstrim /dev/vda
			sync
			echo "ro: $(cat /sys/block/vdb/ro)"
			dd if=/dev/urandom of=/dev/vdb bs=4096 count=1 2>&1 | sed 's/^/write: /'
			dd if=/dev/urandom of=/dev/vdc bs=65536 count=16 oflag=direct 2>/dev/null
			echo 3 >/proc/sys/vm/drop_caches
			echo "lost: $(dd if=/dev/vdc bs=65536 count=16 2>/dev/null | tr -d '\0' | wc -c)"
			dd if=/dev/vda bs=1M count=8 2>/dev/null | tr -d '\0' | wc -c | sed 's/^/left: /'
		END
	suite_says '^serial: one'
	suite_says '^ro: 1'
	suite_says '^write: .*(not permitted|Read-only|Operation)'
	suite_between lost 1000000 1048576
	suite_between left 0 0
	after=$(du -k "$work/disk" | cut -f 1)
	suite_less "$after" $((before - 8000)) 'KiB after a discard of 8 MiB'
	[[ -z $(tr -d '\0' <"$work/lost" | head -c 1) ]] ||
		suite_fail 'what was written to an ephemeral disk is in its file'
}

# Errors of the host's are errors of the guest's requests, and no more than that:
# a file system that is full; bad blocks of a device, through the page cache,
# where a flush tells of what could not be written, and with O_DIRECT. The
# disk beside them hears nothing of it.
case_devices_block_errors() {
	local part

	mkdir -p "$work/small"
	mount -t tmpfs -o size=4M,mode=0777 tmpfs "$work/small"
	truncate -s 16M "$work/small/disk"
	chmod 0666 "$work/small/disk"
	devices_image good 8
	[[ -b ${RIG_BAD_DISK-} ]] || suite_fail 'no disk: to be run in the rig'
	for part in 1 2; do
		addpart "$RIG_BAD_DISK" "$part" $(((part - 1) * 16384)) 16384 ||
			suite_fail 'addpart failed'
		chmod 0666 "$RIG_BAD_DISK$part"
	done
	suite_boot 0 -d "$work/small/disk" -d "${RIG_BAD_DISK}1" \
		-d "${RIG_BAD_DISK}2,direct" -d "$work/good" <<-'END'
		. /devices.sh
		devices_load
		# sector DISK read|write FIRST: a block of it from there on.
		sector() {
			device=/dev/$1
			set -- "$1 $2" "$2" $(($3 / 8))
			case $2 in
			read) set -- "$@" if=$device iflag=direct of=/dev/null skip=$3 ;;
			write) set -- "$@" if=/tmp/data of=$device oflag=direct conv=notrunc,fsync seek=$3 ;;
			esac
			what=$1 at=$3
			shift 3
			if dd bs=4096 count=1 "$@" 2>/tmp/error; then
				echo "$what $at: fine"
			else
				sed -n "s,^dd: \(.*\),$what $at: \1,p" /tmp/error
			fi
		}
		dd if=/dev/urandom of=/tmp/data bs=1M count=8 2>/dev/null
		dd if=/tmp/data of=/dev/vda bs=1M count=8 oflag=direct 2>&1 | sed 's/^/write: /'
		dd if=/dev/vda of=/dev/null bs=1M count=16 2>&1 | sed 's/^/read: /'
		for disk in vdb vdc; do
			sector $disk read 4088
			sector $disk read 4096
			sector $disk read 4104
			sector $disk write 8184
			sector $disk write 8200
			sector $disk write 8192
		done
		dd if=/tmp/data of=/dev/vdd bs=1M oflag=direct conv=fsync 2>/dev/null
		cmp /dev/vdd /tmp/data && echo "good: same"
		dmesg | sed -n 's/.*I\/O error, dev \([a-z]*\), sector \([0-9]*\).*/dmesg: \1 \2/p'
	END
	umount "$work/small"
	delpart "$RIG_BAD_DISK" 1
	delpart "$RIG_BAD_DISK" 2
	suite_says '^write: .*(Input/output error|No space)'
	suite_says '^read: 16\+0 records in'
	for disk in vdb vdc; do
		for what in 'read 511' 'read 513' 'write 1023' 'write 1025'; do
			suite_says "^$disk $what: fine"
		done
		for what in 'read 512' 'write 1024'; do
			suite_says "^$disk $what: .*(Input/output|I/O) error"
		done
		suite_says "^dmesg: $disk 4096"
	done
	suite_says '^dmesg: vdc 8192'
	suite_says '^good: same'
	suite_never '^dmesg: vdd'
}

# What was flushed is on the host's file, however bantam ends: it is killed under a
# load of fio's, four jobs at once, each with a quarter of the disk, every block
# flushed and saying where it belongs. What fio reports each second is what is
# written; all but the last block of a job has been flushed.
case_devices_block_kill() {
	local at kib total=0 check=()

	devices_image disk 64
	suite_initrd <<-'END'
		. /devices.sh
		devices_load
		devices_tools /dev/vda
		tool fio --status-interval=1 --output-format=terse \
			--name=global --filename=/dev/vdb --rw=write --bs=4k \
			--size=16M --ioengine=psync --direct=1 --fsync=1 \
			--verify=pattern --verify_pattern=%o --do_verify=0 --thread \
			--name=0 --offset=0 --name=16 --offset=16M \
			--name=32 --offset=32M --name=48 --offset=48M
	END
	suite_start -m 512M -c 2 --timeout 240s -d "$tools,ro" -d "$work/disk"
	# Each job has written, and one of them some blocks more.
	for _ in {1..4}; do
		suite_await '^3;fio-'
	done
	suite_await '^3;fio-[^;]*;([^;]*;){44}[1-9][0-9]{2,};'
	kill -KILL "$pid"
	cat <&"$lines" >>"$out"
	wait "$pid" 2>/dev/null
	# A job's name is where it begins, in MiB; field 47 is what it wrote.
	tr -d '\r' <"$out" | awk -F ';' '/^3;fio-/ && NF > 100 { kib[$3] = $47 }
		END { for (at in kib) print at, kib[at] - 4 }' >"$work/flushed"
	while read -r at kib; do
		[[ $kib -gt 0 ]] || continue
		total=$((total + kib))
		check+=(--name="$at" --offset="${at}M" --size="${kib}k")
	done <"$work/flushed"
	fio --name=global --filename="$work/disk" --rw=write --bs=4k \
		--verify_only --verify=pattern --verify_pattern=%o --thread \
		"${check[@]}" >"$work/verify" 2>&1 ||
		suite_fail "${check[*]}: $(grep -m 1 "bad pattern" "$work/verify")"
	[[ $(wc -l <"$work/flushed") -eq 4 && $total -ge 100 ]] ||
		suite_fail "only $total KiB flushed"
}

# What the guest's kernel says of a disk, and this one's.
devices_topology() {
	cat <<-'END'
		for name in logical_block_size physical_block_size \
			minimum_io_size optimal_io_size; do
			echo "$name=$(cat /sys/block/vda/queue/$name)"
		done
	END
}

# The rig's disk as a whole, with O_DIRECT: its topology, sectors of it and
# parts of blocks, flush and discard; and nobody else may have it meanwhile.
case_devices_block_device() {
	local line whole

	[[ -b ${RIG_DISK-} ]] || suite_fail 'no disk: to be run in the rig'
	head -c 8m /dev/zero | tr '\0' x | dd of="$RIG_DISK" oflag=direct bs=1M \
		iflag=fullblock status=none
	suite_initrd < <(
		cat <<-'END'
			. /devices.sh
			devices_load
			echo "size: $(cat /sys/block/vda/size)"
		END
		devices_topology | sed 's/echo "/&topology: /'
		cat <<-'END'
			dd if=/dev/urandom of=/tmp/data bs=64k count=16 2>/dev/null
			dd if=/tmp/data of=/dev/vda bs=64k oflag=direct conv=notrunc,fsync 2>/dev/null
			printf '%-512s' "sector 9" >/tmp/sector
			dd if=/tmp/sector of=/dev/vda bs=512 seek=9 oflag=direct conv=notrunc,fsync 2>/dev/null
			blkdiscard -o 4194304 -l 1048576 /dev/vda && echo discarded
			echo "sum: $(dd if=/dev/vda bs=64k count=16 iflag=direct 2>/dev/null | md5sum)"
			echo ready
			read -r line
		END
	)
	suite_start -d "$RIG_DISK,direct"
	suite_await '^ready'
	suite_says "^size: $(<"/sys/block/${RIG_DISK##*/}/size")"
	while read -r line; do
		suite_says "^topology: $line"
	done < <(devices_topology | sed "s,/sys/block/vda/,/sys/block/${RIG_DISK##*/}/," | sh)
	suite_says '^discarded'
	whole=$("${user[@]}" "$bantam" run -k "$vmlinuz" -d "$RIG_DISK" 2>&1 </dev/null)
	[[ $? -eq 125 && $whole == *'this host uses the device'* ]] ||
		suite_fail "a second machine with the disk: $whole"
	echo >&"$feed"
	suite_end 0
	devices_same 'the sum on the host' "$(devices_say sum)" \
		"$(dd if="$RIG_DISK" bs=64k count=16 iflag=direct status=none | md5sum)"
	[[ $(dd if="$RIG_DISK" bs=512 skip=9 count=1 iflag=direct status=none) == "sector 9 "* ]] ||
		suite_fail 'sector 9 is not there'
	# What was discarded, and what is before and behind it.
	devices_same 'bytes left' "$(for mib in 3 4 5; do
		dd if="$RIG_DISK" bs=1M skip="$mib" count=1 iflag=direct \
			status=none | tr -d '\0' | wc -c
	done | tr '\n' ' ')" '1048576 0 1048576 '
}

# devices_ctl ARG...: the case's machine is told.
devices_ctl() {
	"${user[@]}" "$bantam" ctl "$name" "$@" >"$work/ctl" 2>&1
}

# What changes while the guest runs: the size of an image, and that of a partition,
# which bantam takes as it finds it; a network's link.
case_devices_change() {
	local part=${RIG_DISK-}1

	[[ -b ${RIG_DISK-} ]] || suite_fail 'no disk: to be run in the rig'
	addpart "$RIG_DISK" 1 2048 32768 || suite_fail 'addpart failed'
	chmod 0666 "$part"
	devices_image disk 8
	devices_tap tap0 10.9.0.1/24
	suite_initrd <<-'END'
		. /devices.sh
		devices_load
		# change WHAT TO: what it is, and then that.
		change() {
			echo "$1 $(cat $1)"
			devices_try 400 grep -qx $2 $1
			echo "$1 $(cat $1)"
		}
		devices_address eth0 10.9.0.2/24
		cd /sys/block
		change vda/size 32768
		change vdb/size 65536
		printf '%-512s' last | dd of=/dev/vdb bs=512 seek=65535 oflag=direct conv=notrunc,fsync 2>/dev/null
		cd /sys/class/net
		change eth0/carrier 0
		devices_try 400 grep -q 1 eth0/carrier
		echo "ping: $(devices_ping 1 10.9.0.1)"
	END
	suite_start -d "$work/disk" -d "$part,direct" -n tap=tap0 --name "$name"
	suite_await '^vda/size 16384'
	devices_ctl resize block0 size=16M || suite_fail "ctl: $(<"$work/ctl")"
	suite_await '^vda/size 32768'
	suite_await '^vdb/size 32768'
	! devices_ctl resize block1 size=64M ||
		suite_fail 'a device took a size of ours'
	resizepart "$RIG_DISK" 1 65536 || suite_fail 'resizepart failed'
	devices_ctl resize block1 || suite_fail "ctl: $(<"$work/ctl")"
	suite_await '^vdb/size 65536'
	suite_await '^eth0/carrier 1'
	devices_ctl link net0 down || suite_fail "ctl: $(<"$work/ctl")"
	suite_await '^eth0/carrier 0'
	devices_ctl link net0 up || suite_fail "ctl: $(<"$work/ctl")"
	suite_end 0
	delpart "$RIG_DISK" 1
	suite_says '^ping: 1 answered'
	[[ $(dd if="$RIG_DISK" bs=512 skip=$((2048 + 65535)) count=1 iflag=direct status=none) == "last "* ]] ||
		suite_fail 'the last sector is not there'
}

# --- Network -------------------------------------------------------------------------

# devices_uso GUEST: what ethtool says of UDP segmentation where taps are this
# kernel's and the driver is of that guest's release. Both got it with Linux 6.2.
devices_uso() {
	local first

	first=$(printf '%s\n' 6.2 "$1" "$(uname -r)" | sort -V | head -n 1)
	[[ $first == 6.2 ]] && echo on || echo 'off [fixed]'
}

# Two disks and two taps, some at a slot of their own; the offloads; and a third
# network by a passt that has no way out. A file is fetched over and over, by two
# queue pairs and by passt.
case_devices_net() {
	local disk place sum fetches=${RIG_FETCHES:-3}

	devices_tap tap0 10.9.0.1/24 multi_queue
	devices_tap tap1 10.9.1.1/24
	devices_image vdb 8
	devices_image vdc 8
	ip route del default 2>/dev/null
	mkdir -p "$work/www"
	head -c 20000 /dev/urandom >"$work/www/file"
	busybox httpd -p 8009 -h "$work/www"
	iperf3 -s -1 -B 10.9.0.1 >"$work/iperf" 2>&1 &
	suite_boot 0 -m 512M -c 2 -d "$tools,ro" -d "$work/vdb" \
		-d "$work/vdc,slot=9" -n tap=tap0,mac=52:54:00:12:34:56,queues=2 \
		-n tap=tap1,mtu=1400,slot=12 -n user,slot=13 < <(
		echo "fetches=$fetches"
		cat <<-'END'
			. /devices.sh
			devices_load
			devices_tools /dev/vda
			echo "release: $(uname -r)"
			for disk in vda vdb vdc; do
				echo "slot: $disk $(readlink -f /sys/block/$disk/device | cut -d / -f 5)"
			done
			for eth in eth0 eth1 eth2; do
				echo "slot: $eth $(readlink -f /sys/class/net/$eth/device | cut -d / -f 5)"
			done
			for disk in vdb vdc; do
				dd if=/dev/urandom of=/tmp/$disk bs=64k count=16 2>/dev/null
				dd if=/tmp/$disk of=/dev/$disk bs=64k oflag=direct conv=notrunc,fsync 2>/dev/null &
			done
			wait
			for disk in vdb vdc; do
				cmp -n 1048576 /dev/$disk /tmp/$disk && echo "$disk: same"
				echo "sum-$disk: $(md5sum </tmp/$disk)"
			done
			devices_address eth0 10.9.0.2/24
			devices_address eth1 10.9.1.2/24
			echo "mac: $(cat /sys/class/net/eth0/address)"
			echo "mtu: $(cat /sys/class/net/eth1/mtu)"
			echo "ping0: $(devices_ping 3 -s 1400 10.9.0.1)"
			echo "ping1: $(devices_ping 3 10.9.1.1)"
			tool ethtool -k eth0 | grep -E 'checksum|segmentation' |
				sed 's/^/offload: /'
			tool iperf3 -c 10.9.0.1 -t 1 -f m 2>&1 |
				grep -E 'receiver|error' | sed 's/^/iperf: /'
			devices_address eth2 10.0.2.15/24
			for host in 10.9.0.1 10.0.2.2; do
				times=0
				while [ $times -lt "$fetches" ] &&
					timeout 60 wget -q -O /tmp/file "http://$host:8009/file"; do
					times=$((times + 1))
					md5sum </tmp/file >>/tmp/sums
				done
				echo "fetched: $host $times"
			done
			echo "sums: $(sort -u /tmp/sums | tr '\n' ' ')"
		END
	)
	pkill -f 'httpd -p 8009'
	suite_says "^fetched: 10.9.0.1 $fetches"
	suite_says "^fetched: 10.0.2.2 $fetches"
	suite_tells 'no default route: the guest is 10.0.2.15'
	devices_same 'what was fetched' "$(devices_say sums)" "$(md5sum <"$work/www/file") "
	for place in vda:1 vdb:2 vdc:9 eth0:3 eth1:12 eth2:13; do
		suite_says "^slot: ${place%:*} 0000:00:$(printf %02x "${place#*:}").0"
	done
	for disk in vdb vdc; do
		suite_says "^$disk: same"
		sum=$(head -c 1m "$work/$disk" | md5sum)
		devices_same "what is in $disk" "$sum" "$(devices_say "sum-$disk")"
	done
	suite_says '^mac: 52:54:00:12:34:56'
	suite_says '^mtu: 1400'
	suite_says '^ping0: 3 answered'
	suite_says '^ping1: 3 answered'
	for offload in tx-checksum-ip-generic tx-tcp-segmentation \
		tx-tcp6-segmentation rx-checksumming; do
		suite_says "^offload:[[:space:]]*$offload: on"
	done
	devices_same 'UDP segmentation' \
		"$(devices_say 'offload:[[:space:]]*tx-udp-segmentation')" \
		"$(devices_uso "$(devices_say release)")"
	suite_says '^iperf: .*receiver'
}

# As a user without root, through passt: a file from a web server of the
# host's, and a port of the host's that leads into the guest.
case_devices_net_user() {
	devices_uplink
	mkdir -p "$work/www"
	head -c 300000 /dev/urandom >"$work/www/file"
	busybox httpd -p 127.0.0.1:8008 -h "$work/www"
	suite_initrd <<-'END'
		. /devices.sh
		devices_load
		cat >/dhcp <<-'EOF'
			#!/bin/sh
			[ "$1" = bound ] || exit 0
			ip address add "$ip/${mask:-24}" dev "$interface"
			ip route add default via "${router%% *}" dev "$interface"
			echo "${router%% *}" >/router
		EOF
		chmod 755 /dhcp
		ip link set eth0 up
		udhcpc -i eth0 -q -n -s /dhcp >/dev/null 2>&1
		wget -q -O /file "http://$(cat /router):8008/file"
		echo "sum: $(md5sum </file)"
		echo listening
		echo "heard: $(nc -l -p 7777)"
		read -r line
		wget -q -O /again "http://$(cat /router):8008/file"
		echo "again: $(md5sum </again)"
		devices_try 400 grep -q 0 /sys/class/net/eth0/carrier && echo "carrier: 0"
		read -r line
	END
	suite_start -m 512M -n user,fwd=127.0.0.1:7070:7777
	suite_await '^listening'
	# The guest's nc may not listen yet; passt then closes the connection.
	while kill -0 "$pid" 2>/dev/null; do
		{ echo hello >/dev/tcp/127.0.0.1/7070; } 2>/dev/null
		sleep 0.2
	done &
	suite_await '^heard: '
	# Main may start nothing any more; its passt comes anew with its process.
	grep -qE '^Seccomp:\s*2$' "/proc/$pid/status" || suite_fail 'no filter'
	pkill -KILL -x bantam-net0 || suite_fail 'no process of net0'
	suite_await_message 'net0: goes on in another process'
	echo >&"$feed"
	suite_await '^again: '
	devices_same 'the file, again' "$(devices_say again)" \
		"$(md5sum <"$work/www/file")"
	# A passt that ends takes the link down, and nothing of it stays.
	pkill -KILL -x passt
	suite_await '^carrier: 0'
	! pgrep -x passt >/dev/null || suite_fail 'passt is a zombie'
	echo >&"$feed"
	suite_end 0
	pkill -f 'httpd -p 127.0.0.1:8008'
	devices_same 'the file' "$(devices_say sum)" "$(md5sum <"$work/www/file")"
	suite_says '^heard: hello'
	! pgrep -x passt >/dev/null || suite_fail 'passt is still there'
}

# --- All of them -----------------------------------------------------------------------

# Each driver taken off and put on again, ten times, and then the transports'
# own, with all that is on them; and the devices work.
case_devices_rebind() {
	devices_image disk 8
	devices_image second 8
	devices_tap tap0 10.9.0.1/24
	suite_boot 0 -m 512M -d "$work/disk" -d "$work/second,transport=mmio" \
		-n tap=tap0 --console null --rng transport=mmio <<-'END'
		. /devices.sh
		devices_load
		# rebind DRIVER DEVICE
		rebind() {
			echo ${2##*/} >$1/unbind && [ ! -e $2/driver ] &&
				echo ${2##*/} >$1/bind && [ -e $2/driver ] &&
				echo ${1##*/} >>/tmp/again
		}
		for round in 1 2 3 4 5 6 7 8 9 10; do
			for device in /sys/bus/virtio/devices/*; do
				rebind $(readlink -f $device/driver) $device
			done
			for driver in pci/drivers/virtio-pci platform/drivers/virtio-mmio; do
				for device in /sys/bus/${driver%%/*}/devices/*; do
					[ "$(readlink -f $device/driver)" = /sys/bus/$driver ] &&
						rebind /sys/bus/$driver $device
				done
			done
		done
		sort /tmp/again | uniq -c | sed 's/^ */again: /'
		for disk in vda vdb; do
			dd if=/dev/urandom of=/tmp/data bs=4096 count=16 2>/dev/null
			dd if=/tmp/data of=/dev/$disk bs=4096 oflag=direct 2>/dev/null
			echo 3 >/proc/sys/vm/drop_caches
			dd if=/dev/$disk bs=4096 count=16 2>/dev/null | cmp - /tmp/data && echo "same: $disk"
		done
		devices_address eth0 10.9.0.2/24
		echo "ping: $(devices_ping 1 10.9.0.1)"
		head -c 16 /dev/hwrng | wc -c | sed 's/^/random: /'
		guest_severe
	END
	for driver in virtio_blk:20 virtio_net:10 virtio_console:10 virtio_rng:10 \
		virtio-pci:30 virtio-mmio:20; do
		suite_says "^again: ${driver#*:} ${driver%:*}"$'\r*$'
	done
	suite_says '^same: vda'
	suite_says '^same: vdb'
	suite_says '^ping: 1 answered'
	suite_says '^random: 16'
	suite_never '^severe: '
}

# suite_matrix CPUS QUEUES KEYS APPEND [OPTION...]: every device works that way. The
# lines in `matrix_lines` are the guest's, too.
matrix_lines=
suite_matrix() {
	local cpus=$1 queues=$2 keys=$3 more=$4 sum

	devices_image disk 16
	devices_image hvc0 0
	head -c 4m /dev/urandom >"$work/pattern"
	dd if="$work/pattern" of="$work/disk" bs=1M seek=8 conv=notrunc status=none
	shift 4
	if [[ $queues -gt 1 ]]; then
		devices_tap tap0 10.9.0.1/24 multi_queue
	else
		devices_tap tap0 10.9.0.1/24
	fi
	suite_initrd < <(
		cat <<-'END'
			. /devices.sh
			devices_load
			echo "read: $(dd if=/dev/vda bs=1M skip=8 count=4 2>/dev/null | md5sum)"
			dd if=/dev/vda of=/dev/vda bs=1M skip=8 count=4 oflag=direct conv=notrunc 2>/dev/null
			sync
			devices_address eth0 10.9.0.2/24
			echo "ping: $(devices_ping 2 -s 1400 10.9.0.1)"
			head -c 32 /dev/hwrng | wc -c | sed 's/^/random: /'
			echo "hello from hvc0" >/dev/hvc0
		END
		cat <<-END
			$matrix_lines
			sed -n '/virtio\|timer/s/^/irq: /p' /proc/interrupts
			guest_severe
		END
	)
	suite_start -m 512M -c "$cpus" -a "$append $more" \
		-d "$work/disk,queues=$queues,$keys" -n "tap=tap0,queues=$queues,$keys" \
		--rng "source=/dev/urandom,$keys" --console "file=$work/hvc0,$keys" "$@"
	suite_end 0
	sum=$(md5sum <"$work/pattern")
	devices_same 'what the guest read' "$(devices_say read)" "$sum"
	devices_same 'what the guest wrote' \
		"$(head -c 4m "$work/disk" | md5sum)" "$sum"
	suite_says '^ping: 2 answered'
	suite_says '^random: 32'
	suite_never '^severe: '
	grep -q '^hello from hvc0' "$work/hvc0" || suite_fail 'nothing on hvc0'
}

# Pairwise: transport, ring format, queues, vCPUs, kind of interrupt, and whether
# devices have processes of their own.
case_devices_matrix_pci_split() {
	suite_matrix 1 1 transport=pci,packed=off,sandbox=on ''
	suite_says '^irq: .*PCI-MSI'
}

case_devices_matrix_pci_packed() {
	suite_matrix 2 2 transport=pci,packed=on,sandbox=off ''
	suite_says '^irq: .*PCI-MSI.*req.1'
}

# Slots 1, 5 and 9 have one interrupt line, and disks are at all three, which are
# busy at the same time.
case_devices_matrix_pci_intx() {
	local disk sum

	for disk in five nine; do
		devices_image "$disk" 16
		head -c 4m /dev/urandom |
			dd of="$work/$disk" conv=notrunc status=none
	done
	# shellcheck disable=SC2016 # the guest's
	matrix_lines='
		for disk in a b c; do
			dd if=/dev/vd$disk of=/dev/vd$disk bs=32k count=128 \
				seek=384 iflag=direct oflag=direct \
				conv=notrunc,fsync 2>/dev/null &
		done
		wait'
	suite_matrix 2 1 transport=pci,packed=off,sandbox=off pci=nomsi \
		-d "$work/five,slot=5" -d "$work/nine,slot=9"
	suite_says '^irq: .*IO-APIC.*virtio[0-9], *virtio[0-9], *virtio[0-9]'
	for disk in disk five nine; do
		sum=$(head -c 4m "$work/$disk" | md5sum)
		devices_same "what was copied in $disk" \
			"$(dd if="$work/$disk" bs=4M skip=3 count=1 status=none | md5sum)" "$sum"
	done
}

case_devices_matrix_pci_intx_packed() {
	suite_matrix 1 2 transport=pci,packed=on,sandbox=on pci=nomsi
}

case_devices_matrix_mmio_split() {
	suite_matrix 2 2 transport=mmio,packed=off,sandbox=on ''
	suite_says '^irq: .*IO-APIC.*virtio'
}

case_devices_matrix_mmio_packed() {
	suite_matrix 1 1 transport=mmio,packed=on,sandbox=off ''
}

# The whole product of them, for `make check-full`: case_full_TRANSPORT_RING_
# QUEUES_CPUS_SANDBOX, and _line for a PCI without MSI.
for devices_cell in {off,on}_{1,2}_{1,2}_{off,on}; do
	IFS=_ read -r devices_ring devices_queues devices_cpus devices_sandbox \
		<<<"$devices_cell"
	devices_head="suite_matrix $devices_cpus $devices_queues"
	devices_tail="packed=$devices_ring,sandbox=$devices_sandbox"
	eval "case_full_pci_$devices_cell() {
		$devices_head transport=pci,$devices_tail ''
	}
	case_full_pci_${devices_cell}_line() {
		$devices_head transport=pci,$devices_tail pci=nomsi
	}
	case_full_mmio_$devices_cell() {
		$devices_head transport=mmio,$devices_tail ''
	}"
done
