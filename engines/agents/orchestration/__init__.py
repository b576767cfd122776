"""The life of agents, pure: records, restarts and rotation, prompts; and the orchestrator over all of them."""
