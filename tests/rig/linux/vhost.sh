# shellcheck shell=bash disable=SC2154,SC2317 # of suite.sh, which calls
# vhost-user: Linux under bantam with disks that other programs serve, and
# QEMU's guests with devices that bantam serves.

# vhost_listen NAME COMMAND...: that program in the background, as an ordinary
# user, until it listens at $work/NAME.sock; `server` is its process. Fails if
# it ends before.
vhost_listen() {
	local name=$1 tries

	shift
	rm -f "$work/$name.sock"
	(cd "$work" && exec "${user[@]}" timeout 400 "$@") \
		>"$work/$name.log" 2>&1 &
	server=$!
	for ((tries = 0; tries < 300; tries++)); do
		[[ ! -S $work/$name.sock ]] || return 0
		kill -0 "$server" 2>/dev/null || break
		sleep 0.1
	done
	return 1
}

vhost_serve() {
	vhost_listen "$@" ||
		suite_fail "$1 does not listen: $(tail -n 3 "$work/$1.log")"
}

# vhost_end NAME: end it; bantam has to say that all is well.
vhost_end() {
	local status=0

	kill -TERM "$server"
	wait "$server" || status=$?
	[[ $status -eq 0 ]] ||
		suite_fail "$1: status $status: $(tail -n 3 "$work/$1.log")"
}

# Disks of three programs at the same time, each by its serial number: ours with two
# queues, ours with packed rings over virtio-mmio, and QEMU's. ext4, 16 MB written by
# fio and verified; the same after a reboot in place, for which the backends are
# reset, and from the host. The tools' disk is served in the ordinary way.
case_vhost_block() {
	local disk ours packed qsd=vhost_user_blk jobs=()
	local fio=(fio --size=16M --rw=randwrite --bs=64k --direct=1
		--verify=crc32c --thread --minimal)

	chmod 0777 "$work"
	for disk in ours packed "$qsd"; do
		devices_image "$disk" 128
	done
	vhost_serve ours "$bantam" device block \
		--disk "$work/ours,queues=2,serial=ours" --socket "$work/ours.sock"
	ours=$server
	vhost_serve packed "$bantam" device block \
		--disk "$work/packed,packed,serial=packed" --socket "$work/packed.sock"
	packed=$server
	vhost_serve qsd qemu-storage-daemon \
		--blockdev "driver=file,node-name=f,filename=$work/$qsd" \
		--export "type=vhost-user-blk,id=e,node-name=f,writable=on,\
addr.type=unix,addr.path=$work/qsd.sock"
	suite_initrd < <(
		echo "fio='tool ${fio[*]} --ioengine=libaio --iodepth=16'"
		cat <<-'END'
			. /devices.sh
			devices_load
			devices_tools /dev/vda
			for disk in vdb vdc vdd; do
				name=$(cat /sys/block/$disk/serial)
				echo "size of $name: $(cat /sys/block/$disk/size)"
				mkdir -p /$name
				jobs="$jobs --name=$name --filename=/$name/data"
				mount -t ext4 /dev/$disk /$name 2>/dev/null && again=" again" ||
					{ tool mkfs.ext4 -q /dev/$disk && mount -t ext4 /dev/$disk /$name; }
			done
			$fio ${again:+--verify_only} --end_fsync=1 $jobs >/fio 2>&1
			echo "fio$again: $?"
			# A line a job: its name, and its error.
			awk -F ';' "/^3;/ { print \"fio of \" \$3 \"$again: \" \$5 }" /fio
			umount /ours /packed /vhost_user_blk
			[ -n "$again" ] || reboot -f
		END
	)
	suite_start -m 512M -c 2 --timeout 240s -d "$tools,ro" \
		--vhost-user "block,socket=$work/ours.sock,queues=2" \
		--vhost-user "block,socket=$work/packed.sock,packed,transport=mmio" \
		--vhost-user "block,socket=$work/qsd.sock"
	suite_end 0
	for disk in ours packed "$qsd"; do
		suite_says "^size of $disk: 262144"
		suite_says "^fio of $disk: 0"
		suite_says "^fio of $disk again: 0"
		devices_mount "$disk"
		jobs+=(--name="$disk" --filename="$work/mount/$disk/data")
	done
	suite_says '^fio: 0'
	suite_says '^fio again: 0'
	devices_verify "${fio[@]}" "${jobs[@]}"
	kill -TERM "$server"
	wait "$server"
	server=$ours
	vhost_end ours
	server=$packed
	vhost_end packed
}

# vhost_kill: the backend, from outside, in the middle of whatever it does.
vhost_kill() {
	pkill -KILL -P "$server" || kill -KILL "$server"
	wait "$server" 2>/dev/null || true
}

# vhost_serve_again NAME COMMAND...: the kernel does a killed one's requests
# before its image is free.
vhost_serve_again() {
	local tries

	for ((tries = 0; tries < 20; tries++)); do
		! vhost_listen "$@" || return 0
		wait "$server" 2>/dev/null || true
	done
	suite_fail "$1 does not listen: $(tail -n 3 "$work/$1.log")"
}

# vhost_serve_both: the backends of case_vhost_death, for the first time or again.
vhost_serve_both() {
	local disk

	for disk in split packed; do
		vhost_serve_again "$disk" "$bantam" device block \
			--disk "$work/$disk${keys[$disk]}" \
			--socket "$work/$disk.sock"
		servers[$disk]=$server
	done
}

# Two disks of ours, split and packed: three times in the middle of fio's verified
# writes both backends are killed, and others take their places; the guest sees no
# error. A round of its is eighty writes on each. The third disk's backend keeps no
# in-flight region and cannot be replaced with requests under way, of which there
# always is one: the device fails by name, and nothing else does.
case_vhost_death() {
	local disk kill
	local -A keys=([split]='' [packed]=',packed') servers=()

	chmod 0777 "$work"
	for disk in split packed unknown; do
		devices_image "$disk" 128
	done
	vhost_serve_both
	vhost_serve qsd qemu-storage-daemon \
		--object throttle-group,id=t,x-iops-total=10 \
		--blockdev "driver=file,node-name=f,filename=$work/unknown" \
		--blockdev driver=throttle,node-name=s,throttle-group=t,file=f \
		--export "type=vhost-user-blk,id=e,node-name=s,writable=on,\
addr.type=unix,addr.path=$work/qsd.sock"
	suite_initrd <<-'END'
		. /devices.sh
		devices_load
		devices_tools /dev/vda
		/tools/run fio --size=32M --rw=randwrite --bs=4k --iodepth=32 \
			--ioengine=libaio --direct=1 --verify=crc32c \
			--verify_backlog=64 --time_based --runtime=3600 \
			--thread --verify_fatal=1 --exitall_on_error --minimal \
			--name=split --filename=/dev/vdb \
			--name=packed --filename=/dev/vdc >/fio 2>&1 &
		fio=$!
		dd if=/dev/vdd of=/dev/null bs=4k iflag=direct 2>/dev/null &
		devices_try 100 grep -q '[1-9]' /sys/block/vdd/inflight &&
			echo 'under way'
		(read -r word </dev/console && touch /stop) &
		# written DISK LEAST: it has had so many writes, or gets no more.
		written() {
			read -r _ _ _ _ writes _ </sys/block/$1/stat
			[ "$writes" -ge "$2" ] || [ ! -e /proc/$fio ]
		}
		round=1
		while [ ! -e /stop ] && [ -e /proc/$fio ]; do
			for disk in vdb vdc; do
				written $disk 0
				devices_try 1000 written $disk $((writes + 80))
			done
			echo "round: $round"
			round=$((round + 1))
		done
		kill -TERM $fio
		wait $fio
		echo "fio: $?"
		awk -F ';' '/^3;/ { print "fio of " $3 ": " $5 }' /fio
		grep -E 'verify: |err= *[1-9]' /fio | sed 's/^/bad: /'
		dmesg | grep -iE 'I/O error|blk_update|critical' | grep -v 'dev vdd' |
			sed 's/^/bad: /'
		for disk in vdb vdc vdd; do
			echo "status of $disk: $(cat /sys/block/$disk/device/status)"
		done
		head -c 16 /dev/hwrng | wc -c | sed 's/^/rng: /'
	END
	suite_start -m 512M -c 2 --timeout 240s -d "$tools,ro" \
		--vhost-user "block,socket=$work/split.sock" \
		--vhost-user "block,socket=$work/packed.sock,packed" \
		--vhost-user "block,socket=$work/qsd.sock"
	suite_await '^under way'
	suite_await '^round: '
	vhost_kill
	suite_await_message 'vhost-user2: the vhost-user backend is lost'
	suite_await_message 'vhost-user2: no other backend can go on: .*INFLIGHT_SHMFD'
	for kill in 1 2 3; do
		suite_await '^round: '
		for disk in split packed; do
			server=${servers[$disk]}
			vhost_kill
		done
		# In either order.
		for disk in split packed; do
			suite_await_message 'vhost-user[01]: the vhost-user backend is lost'
		done
		vhost_serve_both
		# There may be no more than five lines in ten seconds.
		for disk in split packed; do
			[[ $kill -eq 3 ]] ||
				suite_await_message 'vhost-user[01]: a vhost-user backend is there again'
		done
	done
	suite_await '^round: '
	echo stop >&"$feed"
	suite_end 0
	# Of a fio that was told to end, and has found nothing wrong.
	suite_says '^fio: 128'
	suite_says '^fio of split: 0'
	suite_says '^fio of packed: 0'
	suite_says '^status of vdb: 0x0000000f'
	suite_says '^status of vdc: 0x0000000f'
	suite_says '^status of vdd: 0x0000004f'
	suite_says '^rng: 16'
	suite_never '^bad: '
	for disk in split packed; do
		server=${servers[$disk]}
		vhost_end "$disk"
	done
}

# vhost_pairs ANSWERS: what devices_pairs of the guest says; so many answers come
# over the pair that asked.
vhost_pairs() {
	local cpu

	suite_says '^pairs: 2 2'
	for cpu in 0 1; do
		suite_says "^echoes$cpu: 3 answered"
		suite_between "sent$cpu" 8 1000
		suite_between "got$cpu" "$1" 1000
	done
}

# QEMU's guest: Debian's kernel, with a disk, a network card of two pairs of
# queues and a source of random numbers of ours. How many of its queues the tap
# uses is at port 5002.
case_vhost_qemu() {
	local block net rng

	devices_image disk 64
	devices_tap tap0 10.9.0.1/24 multi_queue
	chmod 0777 "$work"
	vhost_serve block "$bantam" device block --disk "$work/disk,queues=2" \
		--socket "$work/block.sock"
	block=$server
	vhost_serve net "$bantam" device net --net tap=tap0,queues=2 \
		--socket "$work/net.sock"
	net=$server
	vhost_serve rng "$bantam" device rng --socket "$work/rng.sock"
	rng=$server
	timeout 400 busybox nc -l -p 5001 -e cat >/dev/null 2>&1 &
	printf '#!/bin/sh\nls /sys/class/net/tap0/queues | grep -c rx\n' \
		>"$work/queues"
	chmod 0755 "$work/queues"
	timeout 400 busybox nc -ll -p 5002 -e "$work/queues" >/dev/null 2>&1 &
	suite_initrd <<-'END'
		. /devices.sh
		devices_load
		devices_tools /dev/vdb
		echo "size: $(cat /sys/block/vda/size)"
		dd if=/dev/urandom of=/tmp/data bs=64k count=128 2>/dev/null
		dd if=/tmp/data of=/dev/vda bs=64k oflag=direct 2>/dev/null
		sync
		echo "sum: $(md5sum </tmp/data)"
		echo "back: $(dd if=/dev/vda bs=64k count=128 iflag=direct \
			2>/dev/null | md5sum)"
		devices_address eth0 10.9.0.2/24
		devices_pairs eth0 10.9.0.1
		echo "tap two: $(nc 10.9.0.1 5002 </dev/null)"
		tool ethtool -L eth0 combined 1
		echo "tap one: $(nc 10.9.0.1 5002 </dev/null)"
		tool ethtool -L eth0 combined 2
		echo "tap again: $(nc 10.9.0.1 5002 </dev/null)"
		dd if=/tmp/data of=/tmp/piece bs=64k count=16 2>/dev/null
		echo "bytes: $(wc -c </tmp/piece)"
		echo "piece: $(md5sum </tmp/piece)"
		echo "stream: $(nc 10.9.0.1 5001 </tmp/piece | md5sum)"
		echo "rng: $(cat /sys/class/misc/hw_random/rng_current)"
		head -c 50250 /dev/hwrng | tool rngtest -c 20 2>&1 | sed 's/^/rngtest: /'
	END
	rm -f "$out"
	qemu-system-x86_64 -M q35 -accel kvm -cpu host -smp 2 -m 256M -no-reboot \
		-object memory-backend-memfd,id=m,size=256M,share=on \
		-numa node,memdev=m -nodefaults -no-user-config -display none \
		-serial "file:$out" -kernel "$vmlinuz" -initrd "$work/initrd" \
		-append "console=ttyS0 $append" \
		-chardev "socket,id=b,path=$work/block.sock" \
		-device vhost-user-blk-pci,chardev=b \
		-drive "if=none,id=t,file=$tools,format=raw,readonly=on" \
		-device virtio-blk-pci,drive=t \
		-chardev "socket,id=n,path=$work/net.sock" \
		-netdev vhost-user,id=u,chardev=n,queues=2 \
		-device virtio-net-pci,netdev=u,mq=on,vectors=6,romfile= \
		-chardev "socket,id=r,path=$work/rng.sock" \
		-device vhost-user-rng-pci,chardev=r >"$err" 2>&1 ||
		suite_fail "QEMU: $(tail -n 2 "$err")"
	suite_says '^size: 131072'
	devices_same 'what was read back' "$(devices_say back)" \
		"$(devices_say sum)"
	devices_same 'the sum on the host' \
		"$(head -c 8m "$work/disk" | md5sum)" "$(devices_say sum)"
	# A tap learns from a frame where answers go, behind the answer to it.
	vhost_pairs 3
	suite_says '^tap two: 2'
	suite_says '^tap one: 1'
	suite_says '^tap again: 2'
	suite_says '^bytes: 1048576'
	devices_same 'what came back over TCP' "$(devices_say stream)" \
		"$(devices_say piece)"
	suite_says '^rng: virtio_rng'
	suite_says '^rngtest: rngtest: FIPS 140-2 successes: (1[89]|20)'
	server=$block
	vhost_end block
	server=$net
	vhost_end net
	server=$rng
	vhost_end rng
}

# --- A network -------------------------------------------------------------------

# Both pairs are used, by a driver, by another, with one pair in between; then the
# backend says nothing any more, and a reset finds out. DPDK's network answers
# each echo where it came from. For make check-full: it is two hundred packages.
case_full_vhost_net() {
	chmod 0777 "$work"
	vhost_serve dpdk dpdk-testpmd --no-huge -m 64 --no-pci --no-shconf \
		--no-telemetry --lcores '0@0,1@0' \
		--vdev "net_vhost0,iface=$work/dpdk.sock,queues=2" -- \
		--forward-mode=icmpecho --rxq=2 --txq=2 \
		--total-num-mbufs=2048 --stats-period 3600
	suite_initrd <<-'END'
		. /devices.sh
		devices_load
		devices_tools /dev/vda
		echo "mac: $(cat /sys/class/net/eth0/address)"
		devices_address eth0 10.9.0.2/24
		devices_pairs eth0 10.9.0.1
		tool ethtool -L eth0 combined 1
		echo "one: $(devices_ping 3 10.9.0.1)"
		tool ethtool -L eth0 combined 2
		taskset -p 2 $$ >/dev/null
		echo "two: $(devices_ping 3 10.9.0.1)"
		sed -n '/virtio/s/^/irq: /p' /proc/interrupts
		cd /sys/bus/virtio/drivers/virtio_net || exit
		device=$(basename virtio*)
		echo "$device" >unbind
		echo "$device" >bind
		devices_address eth0 10.9.0.2/24
		echo "another: $(devices_ping 3 10.9.0.1)"
		guest_severe
		echo ready
		while ping -c 1 -W 5 10.9.0.1 >/dev/null; do :; done
		echo "$device" >unbind
		echo unbound
	END
	suite_start -c 2 -d "$tools,ro" --vhost-user \
		"net,socket=$work/dpdk.sock,queues=2,mac=52:54:00:12:34:56"
	suite_await '^ready'
	pkill -STOP -P "$server"
	suite_end 0
	suite_says '^mac: 52:54:00:12:34:56'
	vhost_pairs 3
	for name in one two another; do
		suite_says "^$name: 3 answered"
	done
	for name in input.0 input.1; do
		suite_says "^irq: .* [1-9][0-9]* .*virtio[0-9]+-$name"
	done
	suite_never '^severe: '
	suite_tells 'the vhost-user backend is lost: .*: no answer in time'
	suite_says '^unbound'
	vhost_kill
}

# A backend of one pair for two: refused at the start, by name.
case_vhost_net_too_few() {
	devices_tap tap0 10.9.0.1/24
	chmod 0777 "$work"
	vhost_serve net "$bantam" device net --net tap=tap0 \
		--socket "$work/net.sock"
	suite_initrd </dev/null
	suite_start --vhost-user "net,socket=$work/net.sock,queues=2"
	suite_end 125
	suite_tells '--vhost-user net: queues: expected at least 2 .*, found 1; '
	vhost_end net
}

# --- A file server ---------------------------------------------------------------

# vhost_tree DIR: a sum of all that is in it, on either side.
vhost_tree() (
	cd "$1" || exit
	export LC_ALL=C
	{
		find . -type f | sort | xargs md5sum
		find . ! -type d | sort | xargs stat -c "%n %a %s %h %F"
		find . -type d | sort | xargs stat -c "%n %a %F"
		find . -type l | sort | xargs -n 1 readlink
	} | md5sum
)

# vhost_files DIR: files of many sizes, and what else there may be.
vhost_files() {
	local size

	mkdir -p "$1/deep/deeper/deepest" "$1/many"
	for size in 0 1 4095 4096 65537 1048577; do
		head -c "$size" /dev/urandom >"$1/deep/$size"
	done
	for size in {1..100}; do
		echo "$size" >"$1/many/$size"
	done
	ln -s ../4096 "$1/deep/deeper/symbolic"
	ln "$1/deep/4095" "$1/deep/deeper/deepest/hard"
	chmod 0640 "$1/deep/1"
	chmod 0750 "$1/many"
}

# QEMU's server, which has to be root.
vhost_serve_files() {
	local user=()

	vhost_serve fs /usr/lib/qemu/virtiofsd --socket-path="$work/fs.sock" \
		-o "source=$work/files" "$@"
	chmod 0666 "$work/fs.sock"
}

# The guest finds our files, and we find its, and what fio has verified.
case_vhost_fs() {
	local tree

	rm -rf "$work/files"
	vhost_files "$work/files/host"
	tree=$(vhost_tree "$work/files/host")
	vhost_serve_files -o cache=auto
	{
		declare -f vhost_tree
		cat <<-'END'
			. /devices.sh
			devices_load
			modules_load fuse virtiofs
			devices_tools /dev/vda
			mkdir /files
			mount -t virtiofs files /files || echo "wrong: mount"
			echo "host: $(vhost_tree /files/host)"
			cd /files
			cp -a host guest
			mv guest/many guest/more
			rm guest/more/5*
			echo text >>guest/deep/1
			dd if=/dev/zero of=guest/deep/65537 bs=100 seek=50 count=3 conv=notrunc 2>/dev/null
			truncate -s 7 guest/deep/1048577
			ln -s nowhere guest/symbolic
			chmod 0711 guest/deep/deeper
			tool fio --name=verify --filename=/files/data --size=8M \
				--rw=randwrite --bs=16k --ioengine=psync --direct=1 \
				--end_fsync=1 --verify=crc32c >/tmp/fio 2>&1
			echo "fio: $?"
			echo "sum: $(md5sum <data)"
			echo "guest: $(vhost_tree guest)"
			cd /
			umount /files || echo "wrong: umount"
		END
	} | suite_initrd
	suite_start -m 512M -d "$tools,ro" \
		--vhost-user "fs,socket=$work/fs.sock,tag=files"
	suite_end 0
	suite_never '^wrong: '
	devices_same 'our tree, there' "$(devices_say host)" "$tree"
	devices_same 'its tree, here' "$(vhost_tree "$work/files/guest")" \
		"$(devices_say guest)"
	[[ $(devices_say guest) != "$tree" ]] || suite_fail 'nothing was changed'
	suite_says '^fio: 0'
	devices_same "fio's file, here" "$(md5sum <"$work/files/data")" \
		"$(devices_say sum)"
	wait "$server" || suite_fail "virtiofsd: $(tail -n 3 "$work/fs.log")"
}
