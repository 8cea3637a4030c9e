#!/bin/bash
# page.sh PROGRAM: prints the manual page, docs/man/bantam.1: the frame
# bantam.1.in with the lists of verbs and options that PROGRAM knows.
set -euo pipefail

while IFS= read -r line; do
	case $line in
	@VERBS@) "$1" help --mdoc-verbs ;;
	@OPTIONS@) "$1" help --mdoc-options ;;
	'.\"'*) ;;
	*) printf '%s\n' "$line" ;;
	esac
done <"$(dirname "$0")/bantam.1.in"
