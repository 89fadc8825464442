"""Where state lives that outlasts a call: on this host in SQLite, or in Redis for several hosts."""
