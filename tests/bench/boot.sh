#!/bin/bash
# The part of the boot bench that runs inside the rig:
#
#   boot.sh COMPARE BANTAM VMLINUZ INITRD
set -euo pipefail
compare=$1 bantam=$2 vmlinuz=$3 initrd=$4

q35=(qemu-system-x86_64 -M q35 -accel kvm -cpu host -m 512 -nodefaults
	-no-user-config -display none -serial stdio)
echo "   QEMU: ${q35[*]} -kernel VMLINUZ -initrd INITRD -append 'console=ttyS0 quiet'"
"$compare" -n "${RUNS:-5}" -u BENCH-UP \
	qemu-q35 "${q35[@]}" -kernel "$vmlinuz" -initrd "$initrd" \
	-append 'console=ttyS0 quiet' -- \
	bantam "$bantam" run -m 512M -k "$vmlinuz" -i "$initrd" -a quiet
