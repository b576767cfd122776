"""Interaction: the door of a node, through which users give instructions, ask, and are asked."""
