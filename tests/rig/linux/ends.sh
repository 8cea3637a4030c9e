# shellcheck shell=bash disable=SC2154,SC2317 # of suite.sh, which calls
# How Linux ends, and how it starts again.

case_panic_sysrq() {
	suite_boot 120 -a "$append panic=0" <<-'END'
		echo c >/proc/sysrq-trigger
	END
}

case_panic_pvpanic() {
	suite_boot 120 -a "$append panic=0 console=null" <<-'END'
		insmod /lib/modules/pvpanic.ko
		insmod /lib/modules/pvpanic-mmio.ko
		echo c >/proc/sysrq-trigger
	END
}

case_panic_init_exits() {
	suite_boot 120 <<-'END'
		exit 3
	END
	suite_says 'Attempted to kill init'
}

case_panic_reboots() {
	suite_boot 120 -a "$append panic=1" <<-'END'
		echo c >/proc/sysrq-trigger
	END
}

case_triple_fault() {
	suite_boot 121 -a "$append reboot=t" <<-'END'
		reboot -f
	END
	suite_tells '[Rr][Ii][Pp]'
}

case_timeout() {
	local started=$EPOCHSECONDS

	suite_boot 124 --timeout 5s <<-'END'
		sleep 1000
	END
	suite_less $((EPOCHSECONDS - started)) 12 "seconds until --timeout 5s"
}

case_no_reboot() {
	suite_boot 122 --no-reboot <<-'END'
		reboot -f
	END
}

case_no_reboot_keyboard() {
	suite_boot 122 --no-reboot -a "$append reboot=k" <<-'END'
		reboot -f
	END
}

# The ELF file, which needs no unpacking each time.
case_ten_reboots() {
	local i

	suite_initrd <<-'END'
		echo "up, cpus: $(nproc)"
		read -r word
		[ "$word" = reboot ] && reboot -f
	END
	suite_start -k "$RIG_KERNEL/vmlinux" -m 128M -c 2 --timeout 450s
	for i in 1 2 3 4 5 6 7 8 9 10; do
		suite_await '^up, cpus: 2'
		echo reboot >&"$feed"
	done
	suite_await '^up, cpus: 2'
	echo "enough: $i" >&"$feed"
	suite_end 0
}
