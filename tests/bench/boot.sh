#!/bin/bash
# The part of the boot bench that runs inside the rig:
#
#   boot.sh COMPARE BANTAM VMLINUZ INITRD
set -euo pipefail
compare=$1 bantam=$2 vmlinuz=$3 initrd=$4

case $(uname -m) in
x86_64)
	name=qemu-q35 tty=ttyS0
	machine=(-M q35)
	;;
aarch64)
	name=qemu-virt tty=ttyAMA0
	machine=(-M "virt,gic-version=host")
	;;
esac
qemu=("qemu-system-$(uname -m)" "${machine[@]}" -accel kvm -cpu host -m 512
	-nodefaults -no-user-config -display none -serial stdio)
echo "   QEMU: ${qemu[*]} -kernel VMLINUZ -initrd INITRD -append 'console=$tty quiet'"
"$compare" -n "${RUNS:-5}" -u BENCH-UP \
	"$name" "${qemu[@]}" -kernel "$vmlinuz" -initrd "$initrd" \
	-append "console=$tty quiet" -- \
	bantam "$bantam" run -m 512M -k "$vmlinuz" -i "$initrd" -a quiet
