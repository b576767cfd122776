#!/bin/sh
# Answers each prompt with a sign of life. A prompt that says `exit N` ends it with that status.
while IFS= read -r prompt; do
    echo "prompt: $prompt"
    case $prompt in
    *"exit "[0-9]*) exit "$(echo "$prompt" | sed 's/.*exit \([0-9]*\).*/\1/')" ;;
    esac
    aism heartbeat >/dev/null
done
