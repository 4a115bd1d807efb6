"""The serving side of federated learning: a coordinator's rounds of training.

This folder decides that a client which registers holds the key that it names, and that an update is
signed by the client that it names. It does not know what a round is or who may take part: it asks
the coordinator through `servicer.RoundsPort`.

* `servicer` serves FederatedLearningService;
* `registration` is what a client signs when it registers.

The calling side is `network.client.federated_client`.
"""
