"""The life of an agent, pure: its record, the policies of restart and rotation, its prompts, and its transitions."""
