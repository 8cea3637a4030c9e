# shellcheck shell=bash disable=SC2154,SC2317 # of suite.sh, which calls
# What Linux finds when it has booted, and by which ways it boots.

# Also with the kernel's own defaults, and the command line as it was given.
case_boot() {
	suite_boot 0 -m 512M -c 2 -a 'quiet one="two words" three=4,5' <<-'END'
		echo "cpus: $(nproc)"
		echo "line: $(cat /proc/cmdline)"
		echo "memory: $(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)"
		echo "bridge: $(cat /sys/bus/pci/devices/0000:00:00.0/uevent)"
		echo "clock: $(cat /sys/devices/system/clocksource/*/current_clocksource)"
		echo "x2apic: $(grep -cw x2apic /proc/cpuinfo)"
		for file in physical_package_id core_id thread_siblings_list; do
			echo "$file: $(cat /sys/devices/system/cpu/cpu?/topology/$file |
				sort -u | wc -l)"
		done
		grep ttyS0 /proc/interrupts | sed 's/^/irq: /'
		echo "rtc: $(cat /sys/class/rtc/rtc0/name)"
		echo "date: $(date +%s)"
		dmesg | sed -n 's/.*\] Memory: /ram: /p'
		guest_severe
		dmesg | grep -iE 'firmware bug|acpi.*(error|exception|warning)|no irq|nobody cared|bios bug|spurious|not accessible' |
			sed 's/^/suspect: /'
	END
	suite_says '^cpus: 2'
	suite_says '^line: .*quiet one="two words" three=4,5'
	suite_says '^line: .*console=ttyS0'
	suite_between memory 440000 524288
	suite_says 'PCI_ID=8086:29C0'
	suite_says '^clock: (kvm-clock|tsc)'
	suite_says '^x2apic: 2'
	suite_says '^physical_package_id: 1'
	suite_says '^core_id: 2'
	suite_says '^thread_siblings_list: 2'
	suite_says '^irq: .*ttyS0'
	suite_says '^rtc: rtc_cmos'
	suite_between date $((EPOCHSECONDS - 120)) "$EPOCHSECONDS"
	# All but what the first MiB loses to the firmware's places.
	suite_says '^ram: [0-9]+K/52[34][0-9]{3}K available'
	suite_never '^(severe|suspect): '
}

# Until the power button is pressed.
case_machine_legacy() {
	suite_initrd < <(
		cat <<-'END'
			echo "cpus: $(nproc)"
			echo "clocks: $(cat /sys/devices/system/clocksource/*/available_clocksource)"
			grep -E 'ttyS0|acpi' /proc/interrupts | sed 's/^/irq: /'
			guest_severe
		END
		steer_button
	)
	suite_start -m 512M -c 2 --machine legacy --grace 60s
	suite_await '^up, /dev/input'
	kill -TERM "$pid"
	suite_end 0
	suite_says '^pressed'
	suite_says '^cpus: 2'
	suite_says '^clocks: .*acpi_pm'
	suite_says '^irq: +4: .*ttyS0'
	suite_says '^irq: +9: .*acpi'
	suite_never '^severe: '
}

# More memory than the rig has: a warning, and a guest with all of it, above the
# PCI hole, too.
case_eight_cpus_4g() {
	suite_boot 0 -m 4G -c 8 <<-'END'
		echo "memory: $(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)"
		echo "cpus: $(nproc)"
		for cpu in 0 1 2 3 4 5 6 7; do
			taskset -c $cpu cut -d " " -f 39 /proc/self/stat
		done | sed 's/^/on /'
	END
	suite_between memory 3900000 4194304
	suite_tells 'memory'
	suite_says '^cpus: 8'
	suite_says '^on 7'
}

# Less than the kernel's own size.
case_memory_too_small() {
	suite_boot 125 -m 32M </dev/null
	suite_one_error 'memory'
}
