#!/bin/sh
# `crowd.sh SIZE STEPS`: in `bootstrap`, for each step, a crowd of processes asks for the same move, each as the next change
# after the last. One line at the end: how many won. Who is told that it asks too much asks again.
move() {
    status=7
    while [ $status -eq 7 ]; do
        aism state transition "$2" --context '{"bootstrap": "x", "task": "x"}' --expect-seq "$1" >/dev/null
        status=$?
    done
    echo $status >>crowd/exits
}
while IFS= read -r prompt; do
    echo "prompt: $prompt"
    case $prompt in
    *"state 'bootstrap'"*)
        mkdir -p crowd
        step=0 target=inbox
        while [ $step -lt "$2" ]; do
            for number in $(seq "$1"); do
                move $step $target &
            done
            wait
            step=$((step + 1))
            [ $target = inbox ] && target=deep_work || target=inbox
        done
        echo "won $(grep -c '^0$' crowd/exits) lost $(grep -c '^8$' crowd/exits)"
        ;;
    esac
done
