"""Programs for those who work on FedCoin: benchmarks, studies and tools.

Run each from the repository's root, as in `python -m scripts.benchmarks.bench_node`. Neither the
product nor its tests import anything from here.
"""
