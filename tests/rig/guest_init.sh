#!/bin/sh
# /init of the suite's guests: mounts what every case wants and goes on with
# /case, the case's own lines (see suite.sh). A case that comes to its end
# powers the guest off.
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev

# guest_severe [PATTERN]: what the kernel warns of, but for that. That an interrupt
# or reading a clock took long is the speed of the rig, not ours.
guest_severe() {
	dmesg -r | grep -vE "interrupt took|Long readout interval${1:+|$1}" |
		sed -n 's/^<[0-4]>/severe: /p'
}

# shellcheck source=/dev/null
. /case
poweroff -f
