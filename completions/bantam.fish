# fish completion for bantam: asks the program itself, whose table of options
# knows.

function __bantam_complete
	set -l words (commandline -opc) (commandline -ct)
	for reply in (command $words[1] help --complete $words[2..-1] 2>/dev/null)
		set -l parts (string split -m 1 \t -- $reply)
		if test $parts[1] = @file
			set -l skip (string length -- "$parts[2]")
			set -l rest (string sub -s (math $skip + 1) -- $words[-1])
			for path in (__fish_complete_path $rest)
				echo -- $parts[2]$path
			end
		else
			echo -- $reply
		end
	end
end

complete -c bantam -f -a '(__bantam_complete)'
