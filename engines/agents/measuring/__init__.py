"""Measurement: what happened, rolled up; tokens, facts for guards, alarms."""
