"""The command `aism`: an agent's call, and what people do with agents and protocols."""
