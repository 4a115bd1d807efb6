"""Protection: limits, reputation, bans and bounded queues against abusive peers."""
