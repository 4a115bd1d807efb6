"""The node: chain, consensus driver, transaction intake and services in one process."""
