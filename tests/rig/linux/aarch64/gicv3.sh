# shellcheck shell=bash disable=SC2034,SC2154,SC2317 # of suite.sh, which calls
# Linux on aarch64 with a GICv3 and its ITS: what it finds, all devices by each
# transport with 1 and 4 vCPUs, and how it ends. The kernel is in another form in
# each cell of the matrix.

# The end is by pvpanic, of which no driver of this kernel's knows; a guest's own
# could.
case_arm_boot() {
	suite_boot 120 -m 512M -c 4 -a 'quiet cryptomgr.notests one="two words" three=4,5' <<-'END'
		echo "cpus: $(nproc)"
		for cpu in 0 1 2 3; do
			taskset -c $cpu sh -c 'echo "on $(cut -d " " -f 39 /proc/self/stat)"'
		done
		echo "line: $(cat /proc/cmdline)"
		echo "memory: $(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)"
		echo "bridge: $(cat /sys/bus/pci/devices/0000:00:00.0/uevent)"
		echo "clock: $(cat /sys/devices/system/clocksource/*/current_clocksource)"
		sed -n '/uart\|timer/s/^/irq: /p' /proc/interrupts
		echo "rtc: $(cat /sys/class/rtc/rtc0/name)"
		echo "date: $(date +%s)"
		dmesg | grep -iE 'psci|kaslr|crng init|earlycon' | sed 's/^/dmesg: /'
		guest_severe
		dmesg | grep -iE 'firmware bug|no irq|nobody cared|spurious|not accessible' |
			sed 's/^/suspect: /'
		devmem 0x90c0000 8 2
		echo "events: $(devmem 0x90c0000 8)"
		devmem 0x90c0000 8 1
	END
	suite_says '^events: 0x03'
	suite_says '^cpus: 4'
	suite_says '^on 3'
	suite_says '^line: .*quiet .*one="two words" three=4,5'
	suite_says '^line: .*console=ttyAMA0'
	suite_between memory 420000 524288
	suite_says 'PCI_ID='
	suite_says '^clock: arch_sys_counter'
	suite_says '^irq: .*GICv3.*arch_timer'
	suite_says '^irq: .*uart-pl011'
	suite_says '^rtc: rtc-pl031'
	suite_between date $((EPOCHSECONDS - 120)) "$EPOCHSECONDS"
	suite_says '^dmesg: .*PSCIv1'
	suite_says '^dmesg: .*0\.000000\] random: crng init done'
	suite_says '^dmesg: .*KASLR enabled'
	suite_never '^(severe|suspect): '
}

# Pairwise: transport, ring format, queues, vCPUs, kind of interrupt, and the
# forms of a kernel.
case_arm_matrix_pci_packed() {
	suite_matrix 4 2 transport=pci,packed=on,sandbox=on '' -k "$made/kernel.zstd"
	suite_says '^irq: .*ITS-MSI.*req.1'
}

case_arm_matrix_pci_intx() {
	suite_matrix 1 1 transport=pci,packed=off,sandbox=off pci=nomsi \
		-k "$made/kernel.gzip"
	suite_says '^irq: .*GICv3.*virtio'
}

case_arm_matrix_mmio_split() {
	suite_matrix 4 2 transport=mmio,packed=off,sandbox=off '' \
		-k "$made/kernel.zboot-zstd"
	suite_says '^irq: .*GICv3.*virtio'
}

case_arm_matrix_mmio_packed() {
	suite_matrix 1 1 transport=mmio,packed=on,sandbox=on '' \
		-k "$made/kernel.zboot-gzip"
}

# With 2 vCPUs, at the same time on a disk of each transport and on one that
# `bantam device` serves: ext4, 2 MiB written by fio in random order and verified;
# the same bytes after a reboot in place, and from the host. Between them the
# control socket: a pause, and another size for a disk. The end is by the word for
# it, where the tree says it is; a byte there ends nothing.
case_arm_fio() {
	local sum disk line_limit=360 # two vCPUs on one emulated CPU

	for disk in pci mmio served; do
		devices_image $disk 16
	done
	chmod 0777 "$work"
	vhost_serve served "$bantam" device block \
		--disk "$work/served,serial=served" --socket "$work/served.sock"
	suite_initrd <<-'END'
		. /devices.sh
		devices_load
		stty -echo
		echo "up: $(cat /proc/uptime)"
		for disk in /sys/block/vd?; do
			name=$(cat $disk/serial)
			[ "$name" != tools ] || devices_tools /dev/${disk##*/}
			[ "$name" != pci ] || sectors=$disk/size
		done
		for disk in /sys/block/vd?; do
			name=$(cat $disk/serial)
			[ "$name" != tools ] || continue
			mkdir -p /$name
			if mount -t ext4 /dev/${disk##*/} /$name 2>/dev/null; then
				echo "again $name: $(md5sum </$name/data)"
				umount /$name
				done=y
				continue
			fi
			tool mkfs.ext4 -q /dev/${disk##*/}
			mount -t ext4 /dev/${disk##*/} /$name
			jobs="$jobs --name=$name --filename=/$name/data"
			mounts="$mounts /$name"
		done
		if [ -z "$done" ]; then
			tool fio --name=global --size=2M --rw=randwrite \
				--bs=64k --iodepth=16 --ioengine=libaio \
				--direct=1 --end_fsync=1 --verify=crc32c \
				--thread --minimal $jobs >/tmp/fio 2>&1
			echo "fio: $?"
			cut -d ';' -f 3,5 /tmp/fio | sed 's/^/job: /'
			for mount in $mounts; do
				echo "sum ${mount#/}: $(md5sum <$mount/data)"
				umount $mount
			done
			echo "written with $(nproc)"
			read -r word
			echo "<$word>"
			devices_try 100 grep -qx 40960 $sectors && echo resized
			reboot -f
		fi
		node=/proc/device-tree/debug-exit@90c0ffc
		echo "is: $(tr '\0' ' ' <$node/compatible)"
		reg=0x$(od -An -tx1 -N8 $node/reg | tr -d ' ')
		devmem $reg 8 7
		echo "goes on"
		devmem $reg 32 42
	END
	suite_start -m 512M -c 2 --name arm --timeout 440s \
		-d "$tools,ro,serial=tools" \
		-d "$work/pci,serial=pci,transport=pci" \
		-d "$work/mmio,serial=mmio,transport=mmio" \
		--vhost-user "block,socket=$work/served.sock"
	suite_await '^written with 2'
	suite_verb '' ctl arm pause
	suite_verb '"state":"paused"' ctl --json arm status
	echo resumed >&"$feed"
	suite_verb '' ctl arm resume
	suite_await '^<resumed>'
	suite_verb '20971520' ctl --json arm resize block1 size=20M
	suite_await '^resized'
	suite_end 42
	vhost_end served
	suite_says '^is: bantam,debug-exit'
	suite_says '^goes on'
	suite_says '^fio: 0'
	for disk in pci mmio served; do
		suite_says "^job: $disk;0"
		sum=$(devices_say "sum $disk")
		[[ -n $sum ]] || suite_fail "no sum of $disk"
		devices_same "$disk after a reboot" "$(devices_say "again $disk")" \
			"$sum"
		devices_same "$disk on the host" \
			"$(debugfs -R 'cat data' "$work/$disk" 2>/dev/null | md5sum)" \
			"$sum"
	done
}

# gpio-keys reports a key; this user space, which talks over hvc0, obeys it. The
# device is open before it says so: a key goes to nobody else.
case_arm_button() {
	suite_initrd <<-'END'
		. /devices.sh
		devices_load
		exec <>/dev/hvc0 >&0 2>&1
		echo "line: $(cat /proc/cmdline)"
		stty -echo
		echo ready
		read -r word
		echo "<$word>"
		insmod /lib/modules/evdev.ko
		insmod /lib/modules/gpio_keys.ko
		for input in /sys/class/input/event*; do
			[ "$(cat $input/device/name)" = gpio-keys ] &&
				event=/dev/input/${input##*/}
		done
		exec 9<"${event:-/dev/null}"
		echo "up, ${event:-no button}"
		dd bs=24 count=1 <&9 >/dev/null 2>&1
		echo pressed
	END
	suite_start --console stdio --grace 60s
	suite_await '^ready'
	echo hello >&"$feed"
	suite_await '^<hello>'
	suite_await '^up, /dev/input'
	kill -TERM "$pid"
	suite_end 0
	suite_says '^line: .*console=hvc0'
	suite_says '^pressed'
}

# This kernel has no driver of pvpanic: the console's text alone tells. And the
# program is linked statically: with a root of its own that has nothing but
# devices, it does what it does elsewhere.
case_arm_panic_in_empty_root() {
	local empty=$work/empty

	mkdir -p "$empty"/{dev,proc}
	mount --bind /dev "$empty/dev"
	mount -t proc proc "$empty/proc"
	suite_initrd <<-'END'
		echo c >/proc/sysrq-trigger
	END
	cp "$bantam" "$vmlinuz" "$work/initrd" "$empty/"
	chroot "$empty" /bantam doctor >"$out" 2>&1 || suite_fail "doctor: $?"
	suite_says 'a machine gets a GICv3'
	suite_says "a guest's write signals its eventfd"
	suite_says 'messages become interrupts by an ITS'
	# Linux makes no user namespaces in a chroot.
	command=(chroot "$empty" /bantam run -k /vmlinuz -i /initrd --sandbox off
		-a "$append panic=0" --timeout "$guest_limit" --result /result)
	echo "${command[*]}" >"$work/command"
	"${command[@]}" </dev/null >"$out" 2>"$err"
	suite_status "$?" 120
	umount "$empty/dev" "$empty/proc"
	suite_says 'Kernel panic'
	grep -q "$(sha256sum <"$vmlinuz" | cut -d ' ' -f 1)" "$empty/result" ||
		suite_fail 'not the SHA-256 of the kernel in --result'
}

# The same machine by its ACPI tables: found without acpi=force, MSIs by way of
# the IORT; again after a reboot in place; and the GED's power button.
case_arm_acpi() {
	truncate -s 1M "$work/mark"
	chmod 0666 "$work/mark"
	suite_initrd <<-'END'
		. /devices.sh
		devices_load
		mark=$(head -c 4 /dev/vda)
		if [ "$mark" != done ]; then
			echo "first: $(ls /sys/firmware/acpi/tables | tr '\n' ' ')"
			echo "cpus: $(nproc)"
			sed -n '/virtio\|Ged/s/^/irq: /p' /proc/interrupts
			guest_severe 'No PPTT|No ACPI PMU'
			dmesg | grep -iE 'efi|kaslr' | sed 's/^/dmesg: /'
			echo done >/dev/vda
			sync
			reboot -f
		fi
		insmod /lib/modules/evdev.ko
		for input in /sys/class/input/event*; do
			[ "$(cat $input/device/name)" = "Power Button" ] &&
				event=/dev/input/${input##*/}
		done
		exec 9<"${event:-/dev/null}"
		echo "up, ${event:-no button}"
		dd bs=24 count=1 <&9 >/dev/null 2>&1
		echo pressed
	END
	suite_start -c 2 --machine acpi --grace 60s \
		-d "$work/mark,transport=pci" --rng transport=mmio
	suite_await '^up, /dev/input'
	kill -TERM "$pid"
	suite_end 0
	suite_says '^pressed'
	suite_says '^first: APIC DSDT FACP GTDT IORT MCFG SPCR'
	suite_says '^cpus: 2'
	suite_says '^irq: .*ITS-MSI.*req.0'
	suite_says '^irq: .*GICv3 +48 .*virtio'
	suite_says '^irq: .*ACPI:Ged'
	suite_says '^dmesg: .*EFI v2.* by bantam'
	suite_says '^dmesg: .*KASLR enabled'
	suite_never '^severe: '
}
