# Types each line and Tab into an interactive zsh, and notes in a file what that could insert.
zmodload zsh/zpty
hits=$HOME/hits
zpty -b inner zsh -f -i
drain() { while zpty -r -t inner out; do :; done }
await() {
    repeat 1500; do
        drain
        [[ "$(tail -n 1 $hits 2>/dev/null)" == = ]] && return
        sleep 0.02
    done
    print "no answer to $1"; exit 1
}
zpty -w inner "PATH=$PATH; autoload -U compinit; compinit -u -D; source <(gantry completion zsh)"
zpty -w inner 'compadd() { local -a all; builtin compadd -O all "$@"
    print -rl -- $all >> '$hits'; builtin compadd "$@" }'
zpty -w inner 'asked() { zle complete-word; print = >> '$hits' }; zle -N asked
    bindkey "^I" asked; print = > '$hits
await start
for line in "$@"; do
    print -n > $hits
    zpty -w -n inner "$line"$'\t'
    await $line
    print -r -- "$line> ${(f)$(grep -v '^=$' $hits)}"
    zpty -w -n inner $'\x15'
done
