#!/bin/bash
# `make lint`: every check of the source that needs no run of it. All of them
# run, whatever the others found; exit status 1 if any found something.
# $CPPFLAGS is what the compiler gets, as the Makefile sets it.
set -euo pipefail
cd "$(dirname "$0")/../.."

dirs=()
for dir in vmm arch pci acpi virtio jail tests; do
	[[ ! -d $dir ]] || dirs+=("$dir")
done
mapfile -t files < <(find "${dirs[@]}" -name '*.[ch]' | sort)
mapfile -t scripts < <(
	grep -rlE '^#!/bin/(ba)?sh' .ci docs tests --include='*.sh' \
		--include=run | sort
	echo completions/bantam.bash
)
# Freestanding guests and fuzzers are built with flags of their own.
mapfile -t sources < <(
	printf '%s\n' "${files[@]}" | grep '\.c$' |
		grep -vE '^tests/(guest|fuzz)/|/aarch64/'
)
mapfile -t aarch64_sources < <(
	printf '%s\n' "${files[@]}" | grep '\.c$' | grep /aarch64/
)
aarch64_root=cache/aarch64/root
# Quoted for a shell, as in the Makefile's own recipes.
cppflags=()
eval "cppflags=(${CPPFLAGS:--D_GNU_SOURCE -I.})"
failed=()

lint_clang_format() {
	clang-format --dry-run -Werror "${files[@]}"
}

# Its count of suppressed warnings goes to stderr and is of no use. One file a
# process: clang-tidy 14 loses track of va_list in a second one.
lint_clang_tidy_files() {
	printf '%s\n' "$@" | xargs -P "$(nproc)" -I '{}' \
		clang-tidy --quiet '{}' -- -std=gnu11 "${target[@]}" \
		"${cppflags[@]}" 2>/dev/null
}

lint_clang_tidy() {
	local status=0 target=()

	lint_clang_tidy_files "${sources[@]}" || status=1
	if [[ ! -d $aarch64_root ]]; then
		echo "not seen: aarch64; make check fetches its headers"
		return "$status"
	fi
	target=(--target=aarch64-linux-gnu "--sysroot=$PWD/$aarch64_root")
	lint_clang_tidy_files "${aarch64_sources[@]}" || status=1
	return "$status"
}

# Variables stand at the head of their function here; and a member that one
# file of a module leaves alone is used in another.
lint_cppcheck_files() {
	local enable=$1

	shift
	cppcheck --quiet --std=c11 --language=c --error-exitcode=1 -j "$(nproc)" \
		--enable="$enable" --inline-suppr \
		--suppress=missingIncludeSystem --suppress=variableScope \
		--suppress=unusedStructMember --suppress=unmatchedSuppression \
		--template='{file}:{line}: {severity}: {message} [{id}]' \
		-D__x86_64__ "${cppflags[@]}" "$@"
}

# Check's macros confuse its ideas of style.
lint_cppcheck() {
	local program=() tests=() source status=0

	for source in "${sources[@]}"; do
		case $source in
		tests/*) tests+=("$source") ;;
		*) program+=("$source") ;;
		esac
	done
	lint_cppcheck_files warning,style,performance,portability \
		"${program[@]}" || status=1
	lint_cppcheck_files warning,performance,portability \
		"${tests[@]}" || status=1
	return "$status"
}

lint_layers() {
	tests/lint/layers.sh && tests/lint/layers.sh --self-test
}

lint_shellcheck() {
	shellcheck --external-sources "${scripts[@]}"
}

lint_mandoc() {
	local pages

	mapfile -t pages < <(find docs -path '*/man/*' -name '*.[1-9]')
	[[ ${#pages[@]} -eq 0 ]] || mandoc -T lint -W warning "${pages[@]}"
}

for tool in layers shellcheck mandoc clang_format cppcheck clang_tidy; do
	echo "== ${tool//_/-}"
	"lint_$tool" || failed+=("${tool//_/-}")
done
if [[ ${#failed[@]} -gt 0 ]]; then
	echo "lint: failed: ${failed[*]}"
	exit 1
fi
echo "lint: clean"
