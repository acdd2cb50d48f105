"""What goes with other tools: testing, pytest."""
