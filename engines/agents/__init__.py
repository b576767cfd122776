"""An engine for agents: protocols in markdown, and the families that hold autonomous programs to them."""
