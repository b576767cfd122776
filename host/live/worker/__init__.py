"""The process in a slot: engines or devices between the slot's links and the supervisor's socket."""
