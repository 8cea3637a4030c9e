#!/bin/bash
# What needs no guest: help, the manual page, completion, statuses of usage
# errors, --config and --print-config, --dry-run. One line a case; see
# tests/guest/cases.sh for the environment.
set -u
# shellcheck source=tests/guest/cases.sh
. tests/guest/cases.sh

# cli NAME STATUS PATTERN ARG...: bantam with these words, without a terminal.
cli()
{
	local name=$1 expected=$2 pattern=$3 status

	shift 3
	"${limit[@]}" "$bantam" "$@" </dev/null >"$out" 2>"$err"
	status=$?
	judge "$name" $status "$expected" "$pattern"
}

verbs=(run ctl ps wait console stop device doctor help)

# --- Help ------------------------------------------------------------------------

cli help 0 '^  run \[options\]' help
cli help_option 0 '^  run \[options\]' --help
cli help_letter 0 '^  run \[options\]' -h
cli version 0 '^bantam [0-9]' --version
for verb in "${verbs[@]}"; do
	cli "help_$verb" 0 "^bantam $verb" help "$verb"
	[ "$verb" = help ] ||
		cli "help_${verb}_option" 0 "^bantam $verb" "$verb" --help
done
cli help_run_behind_options 0 '^bantam run' run -c 2 --help
cli help_run_as_a_value 125 '2:kernel' run --append --help
cli help_unknown 125 '2:nonesuch.*bantam help' help nonesuch

# --- Usage errors ------------------------------------------------------------------

cli usage_nothing 125 '2:expected a verb'
cli usage_verb 125 '2:nonesuch.*bantam help' nonesuch
cli usage_option 125 '2:--nonesuch.*bantam help run' run --nonesuch
cli usage_value 125 '2:--cpus.*1 to 64.*"0"' run k -c 0
cli usage_no_kernel 125 '2:--kernel' run
cli usage_expression 125 '2:--expect: .*Unmatched' run k --expect 'a('
cli usage_name 125 '2:--name: .*"a/b"' run k --name a/b

cli usage_device_nothing 125 '2:device: expected block, net or rng' device
cli usage_device_type 125 '2:device: .*found "gpu"' \
	device gpu --socket "$tmp/sock"
cli usage_device_nowhere 125 '2:--socket PATH or --fd N, found neither' \
	device rng
cli usage_device_both 125 '2:found both' \
	device rng --socket "$tmp/sock" --fd 9
cli usage_device_no_disk 125 '2:expected one --disk, found 0' \
	device block --socket "$tmp/sock"
cli usage_device_other 125 "2:another type's options, found --disk" \
	device rng --socket "$tmp/sock" --disk x
cli usage_device_run 125 '2:--kernel: unknown option; .bantam help device' \
	device rng --kernel x
cli usage_device_word 125 '2:expected an option' \
	device rng --socket "$tmp/sock" word
cli usage_device_fd 125 '2:--fd 9: expected a stream socket' device rng --fd 9
cli usage_device_file 125 '2:--socket' device rng --socket /dev/null
cli usage_run_socket 125 '2:--socket: unknown option' run k --socket x
cli usage_vhost_type 125 '2:--vhost-user gpu: expected block' \
	run "$guests/poweroff.elf" --dry-run --vhost-user "gpu,socket=$tmp/sock"
cli usage_vhost_socket 125 '2:start the backend first' \
	run "$guests/poweroff.elf" --dry-run --vhost-user "rng,socket=$tmp/sock"
cli usage_vhost_fs_tag 125 '2:--vhost-user fs: tag: expected 1 to 36 bytes' \
	run "$guests/poweroff.elf" --dry-run --vhost-user "fs,socket=$tmp/sock"
cli usage_vhost_fs_long_tag 125 '2:--vhost-user fs: tag: expected 1 to 36 bytes' \
	run "$guests/poweroff.elf" --dry-run \
	--vhost-user "fs,socket=$tmp/sock,tag=0123456789012345678901234567890123456"
cli usage_vhost_tag 125 '2:--vhost-user rng: tag: only fs has one' \
	run "$guests/poweroff.elf" --dry-run \
	--vhost-user "rng,socket=$tmp/sock,tag=files"
cli usage_vhost_fs_queues 125 '2:queues: expected' \
	run "$guests/poweroff.elf" --dry-run \
	--vhost-user "fs,socket=$tmp/sock,tag=files,queues=17"

# It listens, ends with SIGTERM, and leaves no socket behind.
"$bantam" device rng --socket "$tmp/device.sock" >"$tmp/device.log" 2>&1 &
device=$!
for ((i = 0; i < 100; i++)); do
	[ ! -S "$tmp/device.sock" ] || break
	sleep 0.1
done
if [ -S "$tmp/device.sock" ]; then
	cli device_socket_in_use 125 '2:another process listens there' \
		device rng --socket "$tmp/device.sock"
	kill -TERM "$device"
	status=0
	wait "$device" || status=$?
	: >"$out"
	cp "$tmp/device.log" "$err"
	judge device_sigterm "$status" 0 ''
	if [ -e "$tmp/device.sock" ]; then
		not_ok device_leaves_no_socket 'it is still there'
	else
		ok device_leaves_no_socket
	fi
else
	not_ok device_listens 'no socket in 10 s'
	kill -KILL "$device"
fi

full_case()
{
	local name=$1 status

	shift
	"$bantam" "$@" >/dev/full 2>"$err"
	status=$?
	: >"$out"
	judge "$name" $status 125 '2:No space'
}

full_case help_full_device help run
full_case version_full_device --version
full_case print_config_full_device run k --print-config

# --- Configurations ------------------------------------------------------------------

cli print_config 0 '"size": "1G"' run k -m 1G,hugepages=2M --print-config
cp "$out" "$tmp/vm.json"
cli print_config_again 0 '' run --config "$tmp/vm.json" --print-config
if cmp "$tmp/vm.json" "$out" >"$err"; then
	ok print_config_is_stable
else
	not_ok print_config_is_stable 'not the same bytes'
fi
cli config_words_win 0 '"file": "other"' run --config "$tmp/vm.json" other \
	--print-config
echo '{"memory": {"hugepages": "4K"}}' >"$tmp/wrong.json"
cli config_wrong 125 '2:wrong\.json: memory\.hugepages: .*2M\|1G.*"4K"' \
	run --config "$tmp/wrong.json"
cli config_missing 125 '2:none\.json: .*No such file' \
	run --config "$tmp/none.json"
mkfifo "$tmp/pipe"
cli config_fifo 125 '2:pipe: expected a file' run --config "$tmp/pipe"
cli config_directory 125 '2:a directory' run --config "$tmp"
cli config_endless 125 '2:expected a file' run --config /dev/zero

# --- The manual page -----------------------------------------------------------------

if docs/man/page.sh "$bantam" | diff docs/man/bantam.1 - >"$err"; then
	ok man_is_the_programs
else
	not_ok man_is_the_programs 'it differs: make man'
fi
if ! command -v mandoc >/dev/null; then
	skip man_lint 'no mandoc here'
elif mandoc -T lint docs/man/bantam.1 >"$err" 2>&1 && [ ! -s "$err" ]; then
	ok man_lint
else
	not_ok man_lint 'see below'
fi

# --- Completion ------------------------------------------------------------------------

# complete NAME EXPECTED LINE: what bash makes of the line, sorted.
complete_case()
{
	local found

	found=$(
		PATH=$tmp/bin:$PATH
		# shellcheck source=completions/bantam.bash
		. completions/bantam.bash
		COMP_LINE=$3
		COMP_POINT=${#COMP_LINE}
		_bantam 2>&1
		printf '%s\n' "${COMPREPLY[@]}" | sort | tr '\n' ' '
	)
	if [ "$found" = "$2 " ]; then
		ok "$1"
	else
		echo "$found" >"$out"
		: >"$err"
		not_ok "$1" "expected $2"
	fi
}

mkdir -p "$tmp/bin" "$tmp/some dir"
ln -s "$bantam" "$tmp/bin/bantam"
touch "$tmp/file.one" "$tmp/file.two"
complete_case complete_verb 'console ctl' 'bantam c'
complete_case complete_option '--serial' 'bantam run -c 2 --ser'
complete_case complete_device_type 'block net rng' 'bantam device '
complete_case complete_device_option '--socket' 'bantam device rng --so'
complete_case complete_choice 'file= null socket= stdio' 'bantam run --serial '
complete_case complete_choice_behind_equals 'socket= stdio' 'bantam run --serial=s'
complete_case complete_key 'k,entry=' 'bantam run -k k,e'
complete_case complete_key_value 'pvh' 'bantam run --kernel k,entry=p'
complete_case complete_file "$tmp/file.one $tmp/file.two" \
	"bantam run -k $tmp/fil"
complete_case complete_file_behind_equals "$tmp/file.one $tmp/file.two" \
	"bantam run --serial file=$tmp/fil"
complete_case complete_file_with_a_space "$tmp/some dir" \
	"bantam run $tmp/som"
complete_case complete_method 'pause powerbutton' 'bantam ctl m p'
complete_case complete_nothing '' 'bantam run --timeout '
complete_case complete_wrong_words '' 'bantam nonesuch --x '

# Other shells: whether they can read theirs.
for shell in zsh:_bantam fish:bantam.fish; do
	name=complete_${shell%:*}_syntax
	if ! command -v "${shell%:*}" >/dev/null; then
		skip "$name" "no ${shell%:*} here"
	elif "${shell%:*}" -n "completions/${shell#*:}" >"$out" 2>"$err"; then
		ok "$name"
	else
		not_ok "$name" 'it cannot be read'
	fi
done

summary
