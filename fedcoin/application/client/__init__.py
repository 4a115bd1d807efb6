"""The FL client: join a coordinator's campaign, train on local data, and hand in signed updates."""
