#!/bin/sh
# Follows the protocol `work` to its end. Each prompt names the state; what is done there depends on it.
# While the engine is down, which is exit status 6, the same is asked for again. `worker.sh careless` first asks for a move
# without what the move requires.
move() {
    while aism state transition "$@"; [ $? -eq 6 ]; do sleep 0.1; done
}
echo "I am $AGENT_ID"
while IFS= read -r prompt; do
    echo "prompt: $prompt"
    case $prompt in
    *"state 'bootstrap'"*)
        grep -q '^# Protocol: work' .aism/work.md || exit 3
        [ "$1" != careless ] || aism state transition inbox
        move inbox --context '{"bootstrap": "complete"}'
        ;;
    *"state 'inbox'"*) move deep_work --context '{"task": "count"}' ;;
    *"state 'deep_work'"*) move done ;;
    esac
done
