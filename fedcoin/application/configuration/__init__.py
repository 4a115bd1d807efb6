"""Configuration: a process's home folder, its settings, its TLS files, and a new genesis."""
