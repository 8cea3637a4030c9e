#!/bin/bash
# `bantam doctor` on this host, whatever its KVM can do: exit status, text and
# JSON say the same; and without hardware virtualisation they say no. See
# cases.sh for the environment.
set -u
# shellcheck source=tests/guest/cases.sh
. tests/guest/cases.sh

json=$tmp/json
question='Can Linux run here?'

# doctor: run it both ways. The statuses are $status and $json_status.
doctor()
{
	"${limit[@]}" "$@" doctor >"$out" 2>"$err" </dev/null
	status=$?
	"${limit[@]}" "$@" doctor --json >"$json" 2>>"$err" </dev/null
	json_status=$?
}

# agrees: or what does not, on stdout.
agrees()
{
	local verdict lines

	verdict=$(tail -n 1 "$out")
	lines=$(($(wc -l <"$out") - 1))
	if [ -s "$err" ]; then
		echo 'something on stderr'
	elif [ $status -ne $json_status ]; then
		echo "status $status as text, $json_status as JSON"
	elif [ $status -ne 0 ] && [ $status -ne 1 ]; then
		echo "status $status"
	elif [ $status -eq 0 ] && [ "$verdict" != "$question Yes." ]; then
		echo 'status 0 and no yes'
	elif [ $status -eq 1 ] && [[ $verdict != "$question No: "*. ]]; then
		echo 'status 1 and no reason'
	elif [ $status -eq 0 ] && grep -q '^fail' "$out"; then
		echo 'status 0 in spite of a failure'
	elif [ $status -eq 1 ] && ! grep -q '^fail' "$out"; then
		echo 'status 1 without a failure'
	elif sed '$d' "$out" | grep -qEv '^(ok|warn|fail|skip) +.{12}  .'; then
		echo 'a line that is not of a check'
	elif grep -E '^(warn|fail)' "$out" | grep -qv '; '; then
		echo 'a line that does not say what to do'
	elif ! grep -qx "  \"linux\": $([ $status -eq 0 ] &&
		echo true || echo false)," "$json"; then
		echo 'another verdict in JSON'
	elif [ "$(grep -c '^      "status": "[a-z]*",$' "$json")" -ne $lines ]; then
		echo 'other checks in JSON'
	elif [ "$(sed -n '1p;$p' "$json" | tr -d '\n')" != '{}' ]; then
		echo 'not an object of JSON'
	fi
}

# judge_doctor NAME STATUS PATTERN
judge_doctor()
{
	local wrong

	wrong=$(agrees)
	if [ -n "$wrong" ]; then
		not_ok "$1" "$wrong"
	else
		judge "$1" $status "$2" "$3"
	fi
}

case_here()
{
	doctor "$bantam"
	judge_doctor doctor_agrees_with_itself $status "^[a-z]+ +/dev/kvm  "
}

# With hardware virtualisation everything has to work; KVM without it (see
# docs/HACKING.md) cannot run Linux.
case_verdict()
{
	local check

	needs_kvm doctor_verdict || return 0
	doctor "$bantam"
	if ! grep -qE '^flags.* (vmx|svm)( |$)' /proc/cpuinfo; then
		judge_doctor doctor_verdict_no 1 \
			"^Can .*No: .*(interpret|int3)"
		return
	fi
	judge_doctor doctor_verdict_yes 0 "^${question%?}. Yes\.\$"
	for check in 'kernel code +.*on the CPU itself' \
		'instructions +int3, int n, popcnt,' 'system calls' irqfd \
		ioeventfd MSI; do
		judge_doctor "doctor_${check%% *}" 0 "^ok +$check"
	done
}

case_no_permission()
{
	local as=(setpriv --reuid 65534 --regid 65534 --clear-groups)

	needs_closed_kvm doctor_no_permission || return 0
	install -m 755 "$bantam" "$tmp/bantam"
	doctor "${as[@]}" "$tmp/bantam"
	judge_doctor doctor_no_permission 1 \
		'^fail  /dev/kvm .*65534.*usermod -aG'
	opened_kvm
}

case_no_device()
{
	can_hide_kvm doctor_no_device || return 0
	doctor "${without_kvm[@]}" "$bantam"
	judge_doctor doctor_no_device 1 '^skip +MSI .*/dev/kvm'
	judge_doctor doctor_no_device_verdict 1 \
		"^${question%?}. No: there is no /dev/kvm\.\$"
}

case_usage()
{
	"$bantam" doctor --jsn >"$out" 2>"$err" </dev/null
	judge doctor_usage $? 125 '2:expected .*--json, found --jsn'
}

case_full()
{
	"$bantam" doctor >/dev/full 2>"$err" </dev/null
	judge doctor_full $? 125 '2:report.*No space'
}

case_here
case_verdict
case_no_permission
case_no_device
case_usage
case_full

summary
