#!/bin/sh
# /init of the suite's guests: mounts what every case wants and goes on with
# /case, the case's own lines (see suite.sh). A case that comes to its end
# powers the guest off.
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
# shellcheck source=/dev/null
. /case
poweroff -f
