"""FedCoin in other frameworks. Each module needs the framework that it is named after.

Decides how a framework's models and updates become those of a campaign. No other part of the
product imports it.

* `torch`: PyTorch networks as ONNX graphs, and state dicts as weights.
"""
