"""Benchmarks: programs that measure speed, memory or error, and compare with limits or others.

Each compares within one run, so that the machine's speed does not matter. A benchmark with limits
exits with 1 when one is missed.
"""
