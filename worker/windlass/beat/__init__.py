"""Periodic tasks: entries, when they are due, and the ticker that fires them. Start at `entry`."""
