# Prints how many microseconds each of so many completions took, from the start to the end.
for ((nth = 0; nth < $1; nth++)); do
    begun=${EPOCHREALTIME/[.,]/}
    [[ "$(gantry complete -- gnt-instance startup w)" == $'web1\nweb2' ]] || exit 1
    echo $((${EPOCHREALTIME/[.,]/} - begun))
done
