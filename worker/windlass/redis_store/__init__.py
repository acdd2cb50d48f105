"""Redis, spoken to only from here: key names, Lua scripts, connections."""
