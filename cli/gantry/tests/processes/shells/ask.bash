# Completes each line, as bash does at Tab: the words up to the cursor, the last one perhaps empty.
source <(gantry completion bash)
for line in "$@"; do
    read -r -a COMP_WORDS <<<"$line"
    [[ $line == *' ' ]] && COMP_WORDS+=('')
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    COMPREPLY=()
    function=$(complete -p "${COMP_WORDS[0]}" | sed 's/.* -F \([^ ]*\) .*/\1/')
    "$function"
    echo "$line> ${COMPREPLY[*]}"
done
