#!/bin/sh
# Follows the protocol `work` to its end. Each prompt names the state; what is done there depends on it.
while IFS= read -r prompt; do
    echo "prompt: $prompt"
    case $prompt in
    *"state 'bootstrap'"*)
        grep -q '^# Protocol: work' .aism/work.md || exit 3
        aism state transition inbox --context '{"bootstrap": "complete"}'
        ;;
    *"state 'inbox'"*) aism state transition deep_work --context '{"task": "count"}' ;;
    *"state 'deep_work'"*) aism state transition done ;;
    esac
done
