"""Measurements of what dishonest participants gain and lose."""
