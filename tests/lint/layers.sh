#!/bin/bash
# Checks that includes go one way, as docs/ARCHITECTURE.md states:
#
#   layers.sh [DIR]        the tree at DIR (the repository without it)
#   layers.sh --self-test  that each rule below can fail
#
# Each offending line is printed as FILE:LINE: why; exit status 1 if any is.
set -euo pipefail
cd "$(dirname "$0")/../.."

# layers_allows FILE HEADER: may FILE include HEADER? The rules, first match
# wins; both are paths from the top of the tree.
layers_allows() {
	case "$1 $2" in
	vmm/base/*' 'vmm/base/*) return 0 ;;
	vmm/base/*' '*) return 1 ;;
	vmm/*' '*) return 0 ;;
	*' 'vmm/base/*) return 0 ;;
	jail/*' 'jail/*) return 0 ;;
	pci/*' 'pci/*) return 0 ;;
	acpi/*' 'acpi/*) return 0 ;;
	virtio/*' 'virtio/* | virtio/*' 'acpi/aml.h) return 0 ;;
	virtio/pci.c' 'pci/* | virtio/pci_*' 'pci/*) return 0 ;;
	virtio/child.c' 'jail/*) return 0 ;;
	arch/*' 'vmm/arch.h | arch/*' 'pci/* | arch/*' 'acpi/*) return 0 ;;
	arch/x86_64/*' 'arch/x86_64/*) return 0 ;;
	arch/aarch64/*' 'arch/aarch64/*) return 0 ;;
	esac
	return 1
}

layers_check() {
	local root=$1 file line header folder folders=() bad=0

	for folder in vmm arch pci acpi virtio jail; do
		[[ ! -d $root/$folder ]] || folders+=("$root/$folder")
	done
	while IFS=: read -r file line header; do
		file=${file#"$root"/}
		header=${header#*\"}
		header=${header%%\"*}
		if [[ ! -e $root/$header ]]; then
			echo "$file:$line: no file $header from the top"
		elif ! layers_allows "$file" "$header"; then
			echo "$file:$line: may not include $header"
		else
			continue
		fi
		bad=1
	done < <(grep -rnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' \
		--include='*.[chS]' "${folders[@]}")
	return "$bad"
}

# layers_expect GOOD|BAD FILE HEADER: a tree with that one include.
layers_expect() {
	local root=$tree/case verdict=good

	rm -rf "$root"
	mkdir -p "$root"/{vmm/base,arch/{x86_64,aarch64},pci,acpi,virtio,jail}
	touch "$root/$3"
	echo "#include \"$3\"" >"$root/$2"
	layers_check "$root" >/dev/null || verdict=bad
	tests=$((tests + 1))
	[[ $verdict == "$1" ]] && return 0
	echo "layers: self-test: $2 including $3 was called $verdict" >&2
	return 1
}

layers_self_test() {
	local tests=0 failed=0 kind file header

	tree=$(mktemp -d)
	trap 'rm -rf "$tree"' EXIT
	while read -r kind file header; do
		layers_expect "$kind" "$file" "$header" || failed=1
	done <<-END
		good vmm/base/loop.c vmm/base/log.h
		bad vmm/base/loop.c vmm/kvm.h
		bad vmm/base/loop.c arch/x86_64/layout.h
		good vmm/machine.c virtio/device.h
		good vmm/machine.c vmm/arch.h
		good pci/bus.c vmm/base/log.h
		bad pci/bus.c vmm/bus.h
		bad pci/bus.c acpi/aml.h
		bad acpi/aml.c pci/bus.h
		bad acpi/aml.c vmm/arch.h
		bad jail/spawn.c virtio/device.h
		good virtio/block.c acpi/aml.h
		bad virtio/block.c acpi/tables.h
		good virtio/pci.c pci/bus.h
		good virtio/pci_bar.c pci/msix.h
		bad virtio/block.c pci/bus.h
		good virtio/child.c jail/spawn.h
		bad virtio/net.c jail/spawn.h
		bad virtio/net.c vmm/machine.h
		good arch/x86_64/serial.c vmm/arch.h
		good arch/x86_64/serial.c pci/bus.h
		bad arch/x86_64/serial.c vmm/bus.h
		bad arch/x86_64/serial.c arch/aarch64/layout.h
		bad arch/aarch64/pl011.c arch/x86_64/layout.h
		bad arch/aarch64/pl011.c virtio/device.h
	END
	# A name that is not a path from the top.
	rm -rf "$tree/case"
	mkdir -p "$tree"/case/{vmm,arch,pci,acpi,virtio,jail}
	touch "$tree/case/vmm/kvm.h"
	echo '#include "kvm.h"' >"$tree/case/vmm/kvm.c"
	tests=$((tests + 1))
	if layers_check "$tree/case" >/dev/null; then
		echo "layers: self-test: \"kvm.h\" in vmm/kvm.c passed" >&2
		failed=1
	fi
	echo "layers: self-test: $tests cases"
	return "$failed"
}

case ${1:-} in
--self-test) layers_self_test ;;
*) layers_check "${1:-.}" ;;
esac
