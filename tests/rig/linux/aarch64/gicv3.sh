# shellcheck shell=bash disable=SC2154,SC2317 # of suite.sh, which calls
# Linux on aarch64 with a GICv3 and its ITS: what it finds, all devices by each
# transport with 1 and 4 vCPUs, and how it ends. The kernel is in another form in
# each cell of the matrix.

case_arm_boot() {
	suite_boot 0 -m 512M -c 4 -a 'quiet one="two words" three=4,5' <<-'END'
		echo "cpus: $(nproc)"
		for cpu in 0 1 2 3; do
			taskset -c $cpu sh -c 'echo "on $(cut -d " " -f 39 /proc/self/stat)"'
		done
		echo "line: $(cat /proc/cmdline)"
		echo "memory: $(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)"
		echo "bridge: $(cat /sys/bus/pci/devices/0000:00:00.0/uevent)"
		echo "clock: $(cat /sys/devices/system/clocksource/*/current_clocksource)"
		sed 's/^/irq: /' /proc/interrupts
		echo "rtc: $(cat /sys/class/rtc/rtc0/name)"
		echo "date: $(date +%s)"
		for name in kaslr-seed rng-seed; do
			ls /sys/firmware/devicetree/base/chosen/$name
		done
		dmesg | grep -iE 'psci|kaslr|crng init|earlycon' | sed 's/^/dmesg: /'
		dmesg -r | sed -n 's/^<[0-4]>/severe: /p'
		dmesg | grep -iE 'firmware bug|no irq|nobody cared|spurious|not accessible' |
			sed 's/^/suspect: /'
	END
	suite_says '^cpus: 4'
	suite_says '^on 3'
	suite_says '^line: .*quiet one="two words" three=4,5'
	suite_says '^line: .*console=ttyAMA0'
	suite_between memory 420000 524288
	suite_says 'PCI_ID='
	suite_says '^clock: arch_sys_counter'
	suite_says '^irq: .*GICv3.*arch_timer'
	suite_says '^irq: .*uart-pl011'
	suite_says '^rtc: rtc-pl031'
	suite_between date $((EPOCHSECONDS - 120)) "$EPOCHSECONDS"
	suite_says '^dmesg: .*PSCIv1'
	suite_says 'chosen/rng-seed'
	suite_never '^(severe|suspect): '
}

# Pairwise: transport, ring format, queues, vCPUs, and the forms of a kernel.
case_arm_matrix_pci_split() {
	suite_matrix 1 1 transport=pci,packed=off '' -k "$shared/kernel.gzip"
	suite_says '^irq: .*ITS-MSI.*virtio'
}

case_arm_matrix_pci_packed() {
	suite_matrix 4 2 transport=pci,packed=on '' -k "$shared/kernel.zstd"
	suite_says '^irq: .*ITS-MSI.*req.1'
}

case_arm_matrix_mmio_split() {
	suite_matrix 4 2 transport=mmio,packed=off '' \
		-k "$shared/kernel.zboot-zstd"
	suite_says '^irq: .*GICv3.*virtio'
}

case_arm_matrix_mmio_packed() {
	suite_matrix 1 1 transport=mmio,packed=on '' \
		-k "$shared/kernel.zboot-gzip"
}

case_arm_matrix_pci_intx() {
	suite_matrix 1 2 transport=pci,packed=on pci=nomsi
	suite_says '^irq: .*GICv3.*virtio'
}

case_arm_fio_pci() {
	arm_fio 4 transport=pci
}

case_arm_fio_mmio() {
	arm_fio 1 transport=mmio
}

case_arm_console() {
	case_devices_console
}

# No driver of pvpanic in this kernel: the console's text alone tells.
case_arm_panic() {
	case_panic_sysrq
	suite_says 'Kernel panic'
}

# gpio-keys reports a key; this user space obeys it. The device is open before it
# says so: a key goes to nobody else.
case_arm_button() {
	suite_initrd <<-'END'
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
	suite_start --grace 60s
	suite_await '^up, /dev/input'
	kill -TERM "$pid"
	suite_end 0
	suite_says '^pressed'
}

# The program that runs here is linked statically: with a root of its own that
# has nothing but devices, it does the same.
case_arm_nothing_installed() {
	local empty=$work/empty

	mkdir -p "$empty"/{dev,proc}
	mount --bind /dev "$empty/dev"
	mount -t proc proc "$empty/proc"
	cp "$bantam" "$vmlinuz" "$empty/"
	suite_initrd <<-'END'
		echo "release: $(uname -r)"
	END
	cp "$work/initrd" "$empty/"
	chroot "$empty" /bantam run -k /vmlinuz -i /initrd --timeout 90s \
		-a "$append" --result /result </dev/null >"$out" 2>"$err"
	suite_status "$?" 0
	umount "$empty/dev" "$empty/proc"
	suite_says "^release: $(<"$RIG_KERNEL/release")"
	grep -q "$(sha256sum <"$vmlinuz" | cut -d ' ' -f 1)" "$empty/result" ||
		suite_fail 'not the SHA-256 of the kernel in --result'
}
