#!/bin/sh
# In `bootstrap`, a crowd of processes asks for the same move, each as the next change after none. One line: how many won.
while IFS= read -r prompt; do
    echo "prompt: $prompt"
    case $prompt in
    *"state 'bootstrap'"*)
        mkdir -p crowd
        for number in 1 2 3 4 5 6 7 8 9 10 11 12; do
            { aism state transition inbox --context '{"bootstrap": "x"}' --expect-seq 0 >"crowd/$number"; echo "$?" >>crowd/exits; } &
        done
        wait
        echo "won $(grep -c '^0$' crowd/exits) lost $(grep -c '^8$' crowd/exits)"
        ;;
    esac
done
