#!/bin/bash
# How machines end, on /dev/kvm: each line of the table of exit statuses, what
# wins over what, --result, --dry-run. See cases.sh for the environment.
set -u
# shellcheck source=tests/guest/cases.sh
. tests/guest/cases.sh

say=say.elf

# --- Patterns ----------------------------------------------------------------

vm expect_line 0 '^line 3' $say -a 'lines=5 then=hang' --expect '^line 3$'
vm expect_second 0 '' $say -a 'lines=5 then=hang' --expect '^lin 3$' \
	--expect '^line [45]$'
vm expect_before_a_crash 0 '' $say -a 'say=PASS then=triple' --expect PASS
vm expect_before_a_status 0 '' $say -a 'say=PASS then=status status=1' \
	--expect PASS
vm expect_prompt 0 'login:$' $say -a 'say=x prompt=login: then=hang' \
	--expect 'login: ?$'
vm expect_prompt_at_the_end 0 'PASS$' $say -a prompt=PASS --expect '^PASS$'
vm expect_after_reboots 0 '^boot 2$' reboot.elf -a count=5 --expect 'boot 2'
vm expect_null 0 '' $say -a 'say=PASS then=hang' --expect PASS --serial null
vm fail_on 123 '2:--fail-on.*line 4' $say -a lines=9 --fail-on nothing \
	--fail-on 'line 4'
# One line says so, not two.
case_fail_on_once()
{
	needs_kvm fail_on_once || return 0
	"${limit[@]}" "$bantam" run "$guests/$say" -a say=oops --fail-on oops \
		</dev/null >"$out" 2>"$err"
	if [ $? -eq 123 ] && [ "$(wc -l <"$err")" -eq 1 ]; then
		ok fail_on_once
	else
		not_ok fail_on_once 'not status 123 and one line on stderr'
	fi
}
case_fail_on_once

vm fail_on_prompt 123 '' $say -a 'prompt=oops then=hang' --fail-on oops
vm fail_on_before_expect 123 '' $say -a 'say=both then=hang' --expect b \
	--fail-on h
vm expect_before_fail_on 0 '' $say -a 'lines=9 then=hang' --expect 'line 2' \
	--fail-on 'line 3'
vm fail_on_not_found 42 '' $say -a 'then=status status=42' --fail-on oops

# --- What ends without --expect ----------------------------------------------

missed='2:--expect'
vm missed_poweroff 123 "$missed" $say --expect nothing
vm missed_status_0 123 "$missed" $say -a 'then=status status=0' \
	--expect nothing
vm missed_status_42 123 "$missed" $say -a 'then=status status=42' \
	--expect nothing
vm missed_no_reboot 123 "$missed" $say -a then=reset --no-reboot \
	--expect nothing
vm missed_crash 121 '' $say -a then=triple --expect nothing
vm missed_pvpanic 120 '' $say -a then=pvpanic --expect nothing
vm missed_panic 120 '' $say -a 'panic=1 then=hang' --expect nothing
vm missed_timeout 124 '' $say -a then=hang --timeout 200ms --expect nothing
vm missed_idle 124 '' $say -a then=hang --idle-timeout 200ms --expect nothing

# --- A panic ------------------------------------------------------------------

vm panic_before_expect 120 '' $say -a 'panic=1 say=x then=hang' \
	--expect 'Kernel panic' --expect x
vm panic_before_fail_on 120 '' $say -a 'panic=1 then=hang' \
	--fail-on 'Kernel panic'
vm panic_then_reset 120 '' $say -a 'panic=1 then=reset'
vm panic_then_no_reboot 120 '' $say -a 'panic=1 then=reset' --no-reboot
vm panic_then_poweroff 120 '' $say -a 'panic=1'
vm expect_before_panic 0 '' $say -a 'lines=2 panic=1 then=hang' \
	--expect 'line 2'

# --- Silence ------------------------------------------------------------------

vm idle_after_output 124 '2:--idle-timeout' $say -a 'lines=3 then=hang' \
	--idle-timeout 200ms --timeout 15s
vm idle_never_printed 124 '2:--idle-timeout' $say -a then=hang \
	--idle-timeout 200ms --timeout 15s
vm idle_longer_than_timeout 124 '2:--timeout' $say -a then=hang \
	--idle-timeout 15s --timeout 200ms

# The pause between two characters is shorter than the limit, all of them
# together are longer.
case_idle_printing()
{
	local pacing

	needs_kvm idle_printing || return 0
	for pacing in 1 2 3 4 5 6 .; do
		sleep 0.2
		printf %s "$pacing"
	done | "${limit[@]}" "$bantam" run "$guests/echo.elf" -a fifo=0 \
		--idle-timeout 1s >"$out" 2>"$err"
	judge idle_printing $? 0 '^123456\.$'
}
case_idle_printing

# --- On request -----------------------------------------------------------------

case_stop_expecting()
{
	needs_kvm stop_expecting || return 0
	start "$guests/powerbutton.elf" --expect nothing --result "$tmp/result"
	until_line ready
	kill -TERM "$pid"
	finish
	judge stop_expecting $? 0 '^pressed 1$'
	result stop_expecting_result '"reason": "stopped"' \
		'"expect_missed": true' '"status": 0'
}

# Decided is decided: what is said on the way down does not cut it off.
case_stop_then_expect()
{
	needs_kvm stop_then_expect || return 0
	start "$guests/powerbutton.elf" --expect pressed --result "$tmp/result"
	until_line ready
	kill -TERM "$pid"
	finish
	judge stop_then_expect $? 0 '^off'
	result stop_then_expect_result '"reason": "stopped"' '"match": null'
}

# --- --result -----------------------------------------------------------------------

# result NAME PATTERN...: each (extended) must be in what the last case wrote.
result()
{
	local name=$1 pattern

	shift
	needs_kvm "$name" || return 0
	cp "$tmp/result" "$out" 2>"$err"
	for pattern; do
		grep -aEq -- "$pattern" "$tmp/result" && continue
		not_ok "$name" "no \"$pattern\""
		rm -f "$tmp/result"
		return
	done
	rm -f "$tmp/result"
	ok "$name"
}

case_stop_expecting
case_stop_then_expect

r=(--result "$tmp/result")
vm result_match 0 '' $say -a 'lines=9 then=hang' --expect x --expect '^line 7$' \
	"${r[@]}"
result result_match_file '"reason": "expect"' '"by": "--expect"' \
	'"pattern": "\^line 7\$"' '"device": "serial"' '"line": 7' \
	'"text": "line 7"'
vm result_panic 120 '' $say -a 'lines=1 panic=1' "${r[@]}"
result result_panic_file '"reason": "panic"' '"by": "panic"' '"line": 2' \
	'"pattern": null'
vm result_fail_on 123 '' $say -a say=oops --fail-on oops "${r[@]}"
result result_fail_on_file '"by": "--fail-on"'
vm result_status 42 '' exit.elf -i "$guests/exit.elf" "${r[@]}"
sum=$(sha256sum "$guests/exit.elf")
result result_status_file '"reason": "guest-status"' '"status": 42' \
	"\"sha256\": \"${sum%% *}\"" '"first_instruction_ns": [1-9]' \
	"\"path\": \"$guests/exit.elf\"" '"--result"'
vm result_crash 121 '' $say -a then=triple "${r[@]}"
result result_crash_file '"reason": "crash"'
vm result_timeout 124 '' $say -a then=hang --timeout 200ms "${r[@]}"
result result_timeout_file '"reason": "timeout"'
vm result_idle 124 '' $say -a then=hang --idle-timeout 200ms "${r[@]}"
result result_idle_file '"reason": "idle-timeout"'
vm result_reset 122 '' $say -a then=reset --no-reboot "${r[@]}"
result result_reset_file '"reason": "reset"'
vm result_poweroff 0 '' $say "${r[@]}"
result result_poweroff_file '"reason": "poweroff"' '"match": null'
vm result_error 125 '' none.elf "${r[@]}"
result result_error_file '"reason": "error"' '"status": 125' \
	'"error": "--kernel .*none.elf' '"first_instruction_ns": null'
vm result_unwritable 125 '2:--result /none/result' $say --result /none/result
vm result_folder 125 "2:--result $tmp" $say --result "$tmp"
vm result_no_space 125 '2:--result /dev/full: .*space' $say --result /dev/full
vm result_dev_null 0 '' $say --result /dev/null
case_dev_null_stays()
{
	needs_kvm result_dev_null_stays || return 0
	if [ -c /dev/null ]; then
		ok result_dev_null_stays
	else
		not_ok result_dev_null_stays '/dev/null is no device any more'
	fi
}
case_dev_null_stays

case_result_leaves_nothing()
{
	needs_kvm result_leaves_nothing || return 0
	mkdir "$tmp/folder"
	vm result_in_folder 0 '' $say --result "$tmp/folder/result"
	ls -A "$tmp/folder" >"$out"
	if [ "$(cat "$out")" = result ]; then
		ok result_alone
	else
		not_ok result_alone 'something else is in the folder'
	fi
}
case_result_leaves_nothing

# --- --dry-run --------------------------------------------------------------------------

dry=(--dry-run --name bantam-dry-run --log info)
vm dry_run 0 '2:dry run' $say "${dry[@]}" -a then=hang --expect x \
	--serial "file=$tmp/dry-serial" "${r[@]}"
vm dry_run_quiet 0 '' $say --dry-run
vm dry_run_kernel 125 '2:--kernel' none.elf "${dry[@]}"
vm dry_run_initrd 125 '2:--initrd' $say "${dry[@]}" -i "$tmp/none"
vm dry_run_serial 125 '2:--serial /none/x' $say "${dry[@]}" \
	--serial file=/none/x
vm dry_run_result 125 '2:--result /none/x' $say "${dry[@]}" --result /none/x
truncate -s 64M "$tmp/initrd"
vm dry_run_initrd_too_big 125 '2:--initrd' $say "${dry[@]}" -m 64M \
	-i "$tmp/initrd"
case_dry_run_makes_nothing()
{
	needs_kvm dry_run_makes_nothing || return 0
	if [ -e "$tmp/dry-serial" ] || [ -e "$tmp/result" ]; then
		not_ok dry_run_makes_nothing 'there is a file'
	else
		ok dry_run_makes_nothing
	fi
}
case_dry_run_makes_nothing

summary
