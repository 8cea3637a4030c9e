# shellcheck shell=bash disable=SC2154,SC2317 # of suite.sh, which calls
# How Linux ends, and how it starts again. The kernel is in another form each time,
# each that the loader knows, in as little memory as will do.

# ends_boot STATUS FORM APPEND [OPTION...]: a guest of one CPU, whose lines are on
# stdin, from a kernel of that form; it has to come as far as these.
ends_boot() {
	local form=$2 status=$1

	suite_boot "$status" -m 128M -k "$form" -a "$append $3" "${@:4}" < <(
		cat <<-'END'
			echo "release: $(uname -r), cpus: $(nproc)" >/dev/ttyS0
		END
		cat
	)
	suite_says "^release: $(<"$RIG_KERNEL/release"), cpus: 1"
}

case_panic_sysrq() {
	ends_boot 120 "$vmlinuz,entry=bzimage" panic=0 <<-'END'
		echo c >/proc/sysrq-trigger
	END
}

case_panic_pvpanic() {
	ends_boot 120 "$made/kernel.bzip2" 'panic=0 console=null' <<-'END'
		insmod /lib/modules/pvpanic.ko
		insmod /lib/modules/pvpanic-mmio.ko
		echo c >/proc/sysrq-trigger
	END
}

case_panic_init_exits() {
	ends_boot 120 "$RIG_KERNEL/vmlinux,entry=pvh" '' <<-'END'
		exit 3
	END
	suite_says 'Attempted to kill init'
}

case_panic_reboots() {
	ends_boot 120 "$made/kernel.gzip" panic=1 <<-'END'
		echo c >/proc/sysrq-trigger
	END
}

case_triple_fault() {
	ends_boot 121 "$made/kernel.zstd" reboot=t <<-'END'
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
	ends_boot 122 "$made/kernel.xz" '' --no-reboot <<-'END'
		reboot -f
	END
}

case_no_reboot_keyboard() {
	ends_boot 122 "$made/kernel.lzma" reboot=k --no-reboot <<-'END'
		reboot -f
	END
}

# The kernel's ELF file, which needs no unpacking each time.
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
