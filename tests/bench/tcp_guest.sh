#!/bin/sh
# /init of the TCP bench's guest: iperf3 on what address= and gateway= of the
# kernel's command line say, until it is killed.
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
# shellcheck source=/dev/null
. /devices.sh
devices_load
devices_tools /dev/vda
# shellcheck disable=SC2154 # from the command line
devices_address eth0 "$address"
# shellcheck disable=SC2154
[ -z "$gateway" ] || ip route add default via "$gateway"
tool iperf3 -s
poweroff -f
