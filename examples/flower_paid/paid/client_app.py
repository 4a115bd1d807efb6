"""The client: a Flower client with a mod that signs what it sends, and with its receipts kept."""

from __future__ import annotations

from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from fedcoin.integrations.flower import SigningMod, keep_receipts
from paid.task import load_share, make_network, train

app = ClientApp()


@app.train(mods=[SigningMod()])
def train_round(message: Message, context: Context) -> Message:
    """Train on this client's share; the mod signs the reply.

    Args:
        message: The server's message, with the global model.
        context: Holds the node's config: which share of the data is this client's.

    Returns:
        The trained arrays, the loss and the number of examples.
    """
    network = make_network()
    network.load_state_dict(message.content["arrays"].to_torch_state_dict())
    node = context.node_config
    images, labels = load_share(int(node["partition-id"]), int(node["num-partitions"]))
    loss = train(network, images, labels)
    arrays = ArrayRecord(network.state_dict())
    metrics = MetricRecord({"loss": loss, "num-examples": len(labels)})
    return Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=message)


# Used where the server gives receipts; the node's config then names a `fedcoin-home`.
keep_receipts(app)
