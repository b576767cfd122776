"""The supervisor: slots and the processes in them, from the first to the last; one file a subject."""
