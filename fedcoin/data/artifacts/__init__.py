"""Artifacts: large files named by their content, cut into chunks that are checked one by one."""
