#!/bin/bash
# What a user, or a file that a user was given, gets wrong: each case ends with
# status 125 and one line on stderr that names the option or the file, and
# nothing on stdout (HOSTILE.md 31, 32). See cases.sh for the environment.
set -u
# shellcheck source=tests/guest/cases.sh
. tests/guest/cases.sh

# bad NAME PATTERN ARG...: the line must have PATTERN (extended) in it.
bad()
{
	needs_no_kvm "$1" || return 0
	expect_bad "$@"
}

expect_bad()
{
	local name=$1 pattern=$2 status lines

	shift 2
	"${limit[@]}" "${as[@]}" "$bantam" "$@" </dev/null >"$out" 2>"$err"
	status=$?
	mapfile lines <"$err"
	if [ $status -ne 125 ]; then
		not_ok "$name" "status $status, expected 125"
	elif [ -s "$out" ]; then
		not_ok "$name" 'something on stdout'
	elif [ ${#lines[@]} -ne 1 ] || [[ ${lines[0]} != *$'\n' ]]; then
		not_ok "$name" 'not one line on stderr'
	elif [[ ${lines[0]} != 'bantam: '* ]]; then
		not_ok "$name" 'the line does not begin with "bantam: "'
	elif ! has_line "$err" "$pattern"; then
		not_ok "$name" "no \"$pattern\""
	else
		ok "$name"
	fi
}

# Where the mistake shows only once the machine is being made.
bad_kvm()
{
	needs_kvm "$1" && expect_bad "$@"
}

as=()
exit_elf=$guests/exit.elf
elf=$guests/boot_linux64.elf
bz=$guests/gzip.bzimage
file=$tmp/file

# --- The command line -----------------------------------------------------------------

bad no_verb 'help'
bad unknown_verb 'frobnicate' frobnicate
bad no_kernel '--kernel' run
bad unknown_option '--frobnicate' run --frobnicate "$exit_elf"
bad unknown_letter '-z' run -z "$exit_elf"
bad unknown_key '--kernel.*frob' run -k "$exit_elf,frob=1"
bad repeated_option '--memory' run -m 64M -m 64M "$exit_elf"
bad repeated_key '--kernel.*entry' run -k "$exit_elf,entry=auto,entry=pvh"
bad two_kernels '--kernel' run -k "$exit_elf" "$exit_elf"
bad missing_value '--memory' run "$exit_elf" -m
bad unknown_entry '--kernel.*entry.*grub' run -k "$exit_elf,entry=grub"
bad unknown_machine '--machine.*q35' run "$exit_elf" --machine q35
bad unknown_serial '--serial.*modem' run "$exit_elf" --serial modem
for size in 12X -1 0 '' 31M 65G 1.5G 0x40000000 99999999999999999999G 64MM; do
	bad "memory_$size" '--memory' run -m "$size" "$exit_elf"
done
bad memory_odd '--memory' run -m 67108865 "$exit_elf"
bad memory_hugepages '--memory.*hugepages' run -m 64M,hugepages=4M "$exit_elf"
for cpus in 0 65 1000000 -1 '' two 1.5; do
	bad "cpus_$cpus" '--cpus' run -c "$cpus" "$exit_elf"
done
for time in 5 5h -1s 0s ''; do
	bad "timeout_$time" '--timeout' run --timeout "$time" "$exit_elf"
done
long=$(printf '%70000s' x)
bad cmdline_too_long '--append.*70' run "$exit_elf" -a "$long"
bad cmdline_too_long_bzimage '--append.*255' run "$bz" -a "${long:0:300}"
bad cmdline_too_long_pvh '--append' run "$guests/boot_pvh.elf" -a "$long"

# --- Files that are no kernels ---------------------------------------------------------

bad missing "--kernel.*$tmp/none" run "$tmp/none"
bad directory "--kernel.*$tmp" run "$tmp"
bad device '--kernel.*/dev/zero' run /dev/zero
: >"$file"
bad empty "$file" run "$file"
echo 'This is not a kernel.' >"$file"
bad text "$file" run "$file"
gzip -c "$file" >"$tmp/text.gz"
bad gzip_of_text "$tmp/text.gz.*gzip" run "$tmp/text.gz"
{ printf 'MZ\0\0'; head -c 52 /dev/zero; printf 'ARM\144'; head -c 4096 /dev/zero; } \
	>"$file"
bad arm64_image "$file.*arm64" run "$file"
head -c 100000 /dev/zero >"$file"
bad zeros "$file" run "$file"
bad user_program "$(readlink -f /bin/ls)" run "$(readlink -f /bin/ls)"
bad not_a_bzimage 'entry=bzimage' run -k "$exit_elf,entry=bzimage"
bad not_pvh 'pvh|PVH' run -k "$elf,entry=pvh"
bad not_multiboot '[Mm]ultiboot' run -k "$elf,entry=multiboot"
bad initrd_missing "--initrd.*$tmp/none" run "$exit_elf" -i "$tmp/none"
: >"$tmp/empty"
bad initrd_empty "--initrd.*$tmp/empty" run "$exit_elf" -i "$tmp/empty"
bad initrd_directory "--initrd.*$tmp" run "$exit_elf" -i "$tmp"
bad_kvm serial_directory "--serial.*$tmp" run "$exit_elf" --serial "file=$tmp"

# --- Files that are cut -----------------------------------------------------------------

for size in 1 4 63 64 100 4096 20000; do
	head -c $size "$elf" >"$file"
	bad "elf_cut_$size" "$file" run "$file"
done
size=$(stat -c %s "$bz")
for cut in 1 500 511 513 600 1024 2560 2561 5000 $((size - 20)); do
	head -c $cut "$bz" >"$file"
	bad "bzimage_cut_$cut" "$file" run "$file"
done
for cut in 4200 9000; do
	head -c $cut "$guests/boot_multiboot.elf" >"$file"
	bad "multiboot_cut_$cut" "$file" run "$file"
done

# --- Headers that lie ---------------------------------------------------------------------

# lie NAME PATTERN FILE OFFSET BYTES [KEYS]: one field of FILE overwritten.
lie()
{
	cp "$3" "$file"
	# shellcheck disable=SC2059 # BYTES has escapes
	printf "$5" | dd of="$file" bs=1 seek="$4" conv=notrunc status=none
	bad_kvm "$1" "$2" run -m 64M "$file${6-}"
}

# ELF64: e_entry 24, e_phoff 32, e_phentsize 54, e_phnum 56; the first program
# header at 64: p_offset 8, p_vaddr 16, p_paddr 24, p_filesz 32, p_memsz 40.
lie elf_machine "$file" "$elf" 18 '\267\0'
lie elf_entry "$file.*entry" "$elf" 24 '\0\0\0\320\0\0\0\0'
lie elf_phoff "$file" "$elf" 32 '\377\377\377\377\377\377\377\377'
lie elf_phentsize "$file" "$elf" 54 '\1\0'
lie elf_phnum "$file" "$elf" 56 '\377\377'
lie elf_phnum_0 "$file" "$elf" 56 '\0\0'
lie elf_offset "$file" "$elf" 72 '\0\0\0\0\0\0\0\200'
lie elf_filesz "$file" "$elf" 96 '\0\0\0\100\0\0\0\0'
lie elf_memsz_below_filesz "$file" "$elf" 104 '\1\0\0\0\0\0\0\0'
lie elf_memsz_wraps "$file" "$elf" 104 '\377\377\377\377\377\377\377\377'
lie elf_too_big "$file.*-m" "$elf" 104 '\0\0\0\10\0\0\0\0'
lie elf_in_the_hole "$file" "$elf" 88 '\0\0\0\320\0\0\0\0'
lie elf_on_the_zero_page "$file" "$elf" 88 '\0\160\0\0\0\0\0\0'
lie elf_on_the_acpi_tables "$file" "$elf" 88 '\0\0\16\0\0\0\0\0'
# bzImage: setup_sects 0x1f1, syssize 0x1f4, init_size 0x260; the payload is
# damaged in its middle, and its length says more than there is.
lie bzimage_setup_sects "$file" "$bz" 497 '\377'
lie bzimage_syssize "$file" "$bz" 500 '\377\377\377\0'
lie bzimage_too_big "$file.*-m" "$bz" 608 '\0\0\0\20' ,entry=bzimage
lie bzimage_damaged "$file" "$bz" $((size - 3000)) 'xxxxxxxxxxxx'
lie bzimage_size "$file" "$bz" $((size - 20)) 'xxxxxxxxxxxxxxxxxxxx'

# --- What does not fit ----------------------------------------------------------------------

bad_kvm bomb "$guests/bomb.bzimage" run "$guests/bomb.bzimage"
bad_kvm bomb_announced "$guests/bomb3g.bzimage" run "$guests/bomb3g.bzimage"
truncate -s 64M "$tmp/initrd"
bad_kvm initrd_too_big "--initrd.*$tmp/initrd.*-m" run -m 64M "$elf" \
	-i "$tmp/initrd"
bad_kvm initrd_above_limit "--initrd.*$tmp/initrd" run -m 1G "$bz" \
	-i "$tmp/initrd"
truncate -s 5G "$tmp/initrd"
bad initrd_5g "--initrd.*$tmp/initrd" run "$elf" -i "$tmp/initrd"

# --- Devices ----------------------------------------------------------------------------------

disk=$tmp/disk
truncate -s 1M "$disk"
bad disk_missing "--disk $tmp/none.*truncate" run "$exit_elf" -d "$tmp/none"
bad disk_directory "--disk $tmp.*directory" run "$exit_elf" -d "$tmp"
bad disk_empty "--disk $tmp/empty.*truncate" run "$exit_elf" -d "$tmp/empty"
head -c 513 /dev/zero >"$tmp/odd"
bad disk_odd_size "--disk $tmp/odd.*513.*512.*truncate -s %512 $tmp/odd" \
	run "$exit_elf" -d "$tmp/odd"
printf 'QFI\373\0\0\0\3' >"$tmp/qcow2"
truncate -s 1M "$tmp/qcow2"
bad disk_qcow2 "--disk $tmp/qcow2.*qemu-img convert -O raw $tmp/qcow2" \
	run "$exit_elf" -d "$tmp/qcow2"
mkfifo "$tmp/fifo"
bad disk_fifo "--disk $tmp/fifo" run "$exit_elf" -d "$tmp/fifo"
bad disk_serial_too_long '--disk.*serial.*20' \
	run "$exit_elf" -d "$disk,serial=123456789012345678901"
bad disk_queues '--disk,queues.*1 to 16' run "$exit_elf" -d "$disk,queues=17"
bad disk_unknown_key '--disk.*"cache"' run "$exit_elf" -d "$disk,cache=none"
bad disk_no_file '--disk' run "$exit_elf" -d ro=on
bad disk_twice "--disk $disk.*in use" run "$exit_elf" -d "$disk" -d "$disk"
bad disk_twice_one_ro "--disk $disk.*in use" \
	run "$exit_elf" -d "$disk,ro" -d "$disk"
bad slot_twice "--disk $tmp/b.*slot 3.*--disk $tmp/a; give one .*another slot" \
	run "$exit_elf" -d "$tmp/a,slot=3" -d "$tmp/b,slot=3"
bad slot_twice_of_two_kinds "--net user.*slot 3.*--disk $tmp/a" \
	run "$exit_elf" -d "$tmp/a,slot=3" -n user,slot=3
bad slot_32 '--disk,slot.*1 to 31' run "$exit_elf" -d "$disk,slot=32"
bad slot_mmio '--disk.*slot.*mmio' \
	run "$exit_elf" -d "$disk,slot=3,transport=mmio"
disks=()
while [ ${#disks[@]} -lt 80 ]; do
	disks+=(-d "$disk")
done
bad forty_devices '--disk.*31.*transport=mmio' run "$exit_elf" "${disks[@]}"
bad net_nothing '--net.*user.tap=NAME' run "$exit_elf" -n mtu=1500
bad net_unknown '--net.*user.tap=NAME.*eth0' run "$exit_elf" -n eth0
bad net_tap_empty '--net tap=' run "$exit_elf" -n tap=
bad net_tap_long '--net tap=.*1 to 15' run "$exit_elf" -n tap=0123456789abcdef
for mac in zz:00:00:00:00:01 52:54:00:12:34 ''; do
	bad "net_mac_$mac" '--net user.*mac=.*such as 52:54:' \
		run "$exit_elf" -n "user,mac=$mac"
done
bad net_mac_multicast '--net user.*mac=01:.*must be even' \
	run "$exit_elf" -n user,mac=01:00:00:00:00:01
bad net_mac_zero '--net user.*mac=00:.*leave mac= out' \
	run "$exit_elf" -n user,mac=00:00:00:00:00:00
for fwd in 70000:80 0:80 80 a:b:c:d; do
	bad "net_fwd_$fwd" '--net user.*fwd=' run "$exit_elf" -n "user,fwd=$fwd"
done
bad net_tap_fwd '--net tap=.*fwd=' run "$exit_elf" -n tap=tap0,fwd=80:80
bad console_two_stdio '--console.*stdio.*2' \
	run "$exit_elf" --console stdio --console stdio
bad console_and_serial_stdio '--console.*stdio.*--serial' \
	run "$exit_elf" --console stdio --serial stdio
bad console_keys_twice '--console,slot.*first' \
	run "$exit_elf" --console null --console null,slot=3
bad console_name '--console.*a/b' run "$exit_elf" --console null,name=a/b
bad console_one_name_twice '--console.*name=a' \
	run "$exit_elf" --console null,name=a --console null,name=a
bad console_file "--console.*$tmp/none/x" \
	run "$exit_elf" --console "file=$tmp/none/x"
bad rng_missing "--rng.*$tmp/none" run "$exit_elf" --rng "source=$tmp/none"
bad rng_directory "--rng.*$tmp" run "$exit_elf" --rng "source=$tmp"

# Only who may not make one is told that it is not there.
case_tap_missing()
{
	if [ "$(id -u)" -eq 0 ]; then
		install -m 755 "$bantam" "$tmp/bantam"
		install -m 644 "$exit_elf" "$tmp/exit.elf"
		as=(setpriv --reuid 65534 --regid 65534 --clear-groups)
		bantam=$tmp/bantam bad tap_missing '--net tap=none0: .*(ip tuntap add|chmod 0666|modprobe tun)' \
			run "$tmp/exit.elf" -n tap=none0
		as=()
	else
		bad tap_missing '--net tap=none0: .*(ip tuntap add|chmod 0666|modprobe tun)' run "$exit_elf" -n tap=none0
	fi
}
case_tap_missing

# The other machine has it from its start to its end.
case_disk_locked()
{
	local pid tries=0

	needs_kvm disk_locked || return 0
	exec {feed}<>"$tmp/fifo"
	"${limit[@]}" "$bantam" run "$guests/echo.elf" -d "$disk" --grace 0s \
		<"$tmp/fifo" >"$tmp/echo" 2>/dev/null &
	pid=$!
	echo hello >&"$feed"
	until [ -s "$tmp/echo" ] || [ $tries -eq 100 ]; do
		sleep 0.1
		tries=$((tries + 1))
	done
	expect_bad disk_locked "--disk $disk.*in use.*stop that one" run "$exit_elf" -d "$disk"
	# To timeout(1), which ends what it runs by that.
	kill -TERM $pid
	wait $pid 2>/dev/null
	exec {feed}>&-
}
case_disk_locked

# --- The host ---------------------------------------------------------------------------------

case_no_permission()
{
	needs_closed_kvm no_permission || return 0
	install -m 755 "$bantam" "$tmp/bantam"
	install -m 644 "$exit_elf" "$tmp/exit.elf"
	as=(setpriv --reuid 65534 --regid 65534 --clear-groups)
	bantam=$tmp/bantam expect_bad no_permission '/dev/kvm.*kvm' run \
		"$tmp/exit.elf"
	as=()
	opened_kvm
}
case_no_permission

case_no_kvm()
{
	can_hide_kvm no_kvm || return 0
	as=("${without_kvm[@]}")
	bad no_kvm '/dev/kvm' run "$exit_elf"
	as=()
}
case_no_kvm

case_no_huge_pages()
{
	local pool=/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages

	needs_kvm no_huge_pages || return 0
	if [ -e $pool ] && [ "$(cat $pool)" -gt 0 ]; then
		skip no_huge_pages 'this host has some'
	else
		expect_bad no_huge_pages '--memory.*huge' \
			run -m 64M,hugepages=2M "$exit_elf"
	fi
}
case_no_huge_pages

summary
