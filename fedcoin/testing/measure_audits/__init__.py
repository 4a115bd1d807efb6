"""Measure what the audits of utilities accept: honest differences, and forged values.

* `measure_differences`: both for every measure, on trained clients.
"""
