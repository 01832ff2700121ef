# Completes each line, as fish does at Tab.
gantry completion fish | source
for line in $argv
    echo "$line>" (complete -C $line | string replace -r '\t.*' '' | string join ' ')
end
