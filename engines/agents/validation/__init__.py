"""The validator: protocols and their versions, the record of each agent, and its moves."""
