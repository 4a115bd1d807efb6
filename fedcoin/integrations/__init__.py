"""FedCoin in other frameworks. Each part needs the framework that it is named after.

This folder decides how a program of another framework uses FedCoin: what it calls, and how its
models, arrays and messages become artifacts and signed updates. No other part of the product
imports it, and it does not know how values are agreed or paid.

* `flower`: Flower strategies whose clients are valued and paid.
* `nvflare`: an aggregator for NVFlare that values clients and keeps what a paid task needs.
* `coalition_models`, `round_values`: what both value, and how.
* `torch`: PyTorch networks as ONNX graphs, and state dicts as weights.
* `sklearn`: scikit-learn's linear classifiers and networks, in the same way.
* `exported_network`: what both return.
"""
