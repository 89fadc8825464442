"""Who may call, how often, for how much."""
