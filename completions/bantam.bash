# shellcheck shell=bash
# bash completion for bantam: asks the program itself, whose table of options
# knows.

# Words are cut from the line: COMP_WORDS is cut at = and : as well. Readline
# replaces what lies behind the last of those, so that the part before it is
# left out of the answers.
_bantam()
{
	local line=${COMP_LINE:0:COMP_POINT} words word lead name cut

	read -ra words <<<"$line"
	[[ $line != *[[:space:]] ]] || words+=('')
	word=${words[${#words[@]} - 1]}
	cut=${word%"${word##*[=:]}"}
	COMPREPLY=()
	while IFS=$'\t' read -r name lead; do
		if [[ $name == @file ]]; then
			while IFS= read -r name; do
				COMPREPLY+=("$lead$name")
			done < <(compgen -f -- "${word#"$lead"}")
			compopt -o filenames 2>/dev/null
		else
			COMPREPLY+=("$name")
			[[ $name != *= ]] || compopt -o nospace 2>/dev/null
		fi
	done < <("${words[0]/#~\//$HOME/}" help --complete "${words[@]:1}" \
		2>/dev/null)
	COMPREPLY=("${COMPREPLY[@]#"$cut"}")
}
complete -F _bantam bantam
