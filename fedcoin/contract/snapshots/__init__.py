"""Snapshots: write the state in parts and verify each part from genesis alone."""
