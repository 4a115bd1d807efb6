"""The load on a network of validators: real processes, signed transfers, latencies and rates.

* `checkout_network`: run by a checkout's own interpreter: its validators, and transfers to send
* `load_process`: sends these transfers in a process of its own, and measures
* `subscribers`: streams of events, in a process of their own
* `catch_up_network`, `catch_up_measurement`: a chain, and a node that fetches it
* `measurement`: runs both for one checkout, and reads the processor time and memory of the nodes
* `cometbft`: the same load on CometBFT's example application
* `load_report`: the ratios of two checkouts, and the tables
"""
