# shellcheck shell=bash disable=SC2154,SC2317 # of suite.sh, which calls
# Linux on aarch64 where the host has but a GICv2: messages by a GICv2m frame,
# and no more than 8 vCPUs. For a rig with --gic 2.

case_arm_gicv2() {
	suite_matrix 4 2 transport=pci,packed=on ''
	suite_says '^irq: .*GIC(v2|-0).*arch_timer'
	suite_says '^irq: .*MSI.*req.1'
}

case_arm_gicv2_nine_cpus() {
	suite_boot 125 -c 9 </dev/null
	suite_one_error '8'
	suite_verb 'a machine gets a GICv2, and at most 8 vCPUs' doctor
}

# ACPI tells of the frame without an IORT.
case_arm_gicv2_acpi() {
	suite_boot 0 -c 2 --machine acpi --rng transport=pci <<-'END'
		. /devices.sh
		devices_load
		head -c 16 /dev/hwrng | wc -c | sed 's/^/random: /'
		echo "cpus: $(nproc)"
		sed -n '/virtio\|timer/s/^/irq: /p' /proc/interrupts
	END
	suite_says '^random: 16'
	suite_says '^cpus: 2'
	suite_says '^irq: .*GIC-0.*arch_timer'
	suite_says '^irq: .*MSI.*virtio'
}
