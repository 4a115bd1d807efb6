"""The settings of a coordinator: its campaign, what is paid in it, and how long each step takes.

The class's docstring is one line: it becomes the comment above the table in config.toml. Amounts
are in sap.
"""

from __future__ import annotations

from dataclasses import dataclass

from fedcoin.application.configuration.fields import (
    address,
    amount,
    choice,
    many,
    number,
    real,
    setting,
    switch,
    text,
)
from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.learning.measures.terms import NAMES


@dataclass(frozen=True, slots=True)
class CoordinatorConfig:
    """The FL server: it runs a campaign's rounds, and pays for them as the model requester."""

    enabled: bool = setting(False, switch(), "Run a campaign from within this node.")
    listen: str = setting("127.0.0.1:7052", address(), "Where clients reach the coordinator.")
    key: str = setting("node", text(False), "The key in keys/ that pays and is paid.")
    dataset: str = setting(
        "digits", text(False), "The evaluation set: digits, mnist, or the path of a file."
    )
    input_scale: float = setting(
        0.0,
        real(0, 1e9),
        "What the evaluation set's inputs are divided by; 0: by what its file says, or not at all.",
    )
    model: str = setting(
        "mlp", text(False), "mlp, cnn, or the path of a model: Keras' JSON, .keras or ONNX."
    )
    initial_weights: str = setting(
        "",
        text(),
        "A file of the weights that round 1 starts from, such as an earlier campaign's average, in "
        "any format of docs/FILES.md; none: the model's own.",
    )
    trained: tuple[str, ...] = setting(
        (),
        many(text(False)),
        "The weights that are trained, by names with `*`, such as *lora*; the others are frozen. "
        "None: all are trained.",
    )
    evaluation_size: int = setting(
        0, number(0, 10_000_000), "Test examples that utilities are counted on; 0: all."
    )
    evaluation_shards: int = setting(
        1,
        number(0, 10_000),
        "Shards of the evaluation set, one for each round in turn; 0: as many as rounds.",
    )
    rounds: int = setting(3, number(1, 10_000), "How many rounds the campaign has.")
    clients: int = setting(
        1,
        number(1, 1000),
        "How many clients the first round waits for, up to `join_seconds`.",
    )
    requester: str = setting(
        "",
        text(),
        "The file of an account of several keys (`keys policy create`) that pays the budget in "
        "place of `key`, after its people have signed; none: `key` pays.",
    )
    clients_file: str = setting(
        "",
        text(),
        "A file with the addresses that may join and the largest number of examples that each may "
        "claim; none: all may join. It is read again before each round.",
    )
    private: bool = setting(
        False,
        switch(),
        "Only the miners of the campaign's tasks, this server's key and `readers` can fetch its "
        "weights and evaluation set; needs `clients_file`.",
    )
    readers: tuple[str, ...] = setting(
        (),
        many(text(False)),
        "Addresses that may fetch the artifacts of a private campaign beside its miners; later "
        "changes by `task readers set`.",
    )
    max_clients: int = setting(128, number(1, 1000), "The largest number of clients that may join.")
    max_harm: float = setting(
        0.1,
        real(0, 1),
        "A client is left out whose harm, less its part of what the model gained, costs more than "
        "this part of the training budget to undo.",
    )
    max_update_harm: float = setting(
        1.0,
        real(0, 1),
        "An update is refused whose model alone is worth less than the round's base model by more "
        "than this part of it; 1: none is. 0.3 suits clients with data alike, 0.8 any others.",
    )
    join_seconds: float = setting(
        600.0, real(0.1, 86_400), "How long a round waits for clients to join, in seconds."
    )
    round_seconds: float = setting(
        60.0, real(0.1, 86_400), "How long clients have to train in a round, in seconds."
    )
    budget: int = setting(100 * SAP_PER_FDC, amount(), "The budget of the whole campaign.")
    receipt_seconds: float = setting(
        3600.0,
        real(0, 604_800),
        "How long clients may register receipts, how long they may then open the round, and how "
        "long a campaign stays open after the request to close it, in seconds; 0: no receipts; "
        "else at least 1, and twice `round_seconds`.",
    )
    spread: str = setting(
        "equal", choice("equal", "decreasing"), "How the budget is spread over the rounds."
    )
    split: tuple[int, ...] = setting(
        (7, 1, 2),
        many(number(0, 1_000_000)),
        "The ratio of training, aggregation and mining price in each round.",
    )
    reward: str = setting(
        "pro_rata",
        choice("winner", "pro_rata"),
        "How the mining price is paid: to the winner, or to all inliers in proportion.",
    )
    training_reward: str = setting(
        "unit_price",
        choice("unit_price", "proportional"),
        "How clients are paid: a price for each unit of utility, or the whole price in proportion.",
    )
    unit_price: int = setting(
        0,
        amount(),
        "The price of a unit (accuracy: from 0 to 100 %); 0fdc: the budget's part for training.",
    )
    similarity_limit: float = setting(
        0.0,
        real(0, 0.999999),
        "Updates at least this similar are one player and share its value; 0: only equal ones do.",
    )
    utility: str = setting(
        "accuracy",
        choice(*NAMES),
        "What models are measured by: right answers, their mean over classes, a loss or another.",
    )
    schedule: str = setting(
        "auto",
        choice("auto", "exact", "permutation", "antithetic"),
        "Which coalitions miners evaluate; auto: exact up to 12 clients, else antithetic.",
    )
    max_samples: int = setting(
        5000, number(1, 1_000_000), "The largest number of samples that a miner may claim."
    )
    truncation: int = setting(
        0,
        number(0, 10_000_000),
        "A walk ends when its utility (right answers, else millionths) is within this of the full "
        "coalition's; 0: never.",
    )
    averaging: str = setting(
        "equal",
        choice("equal", "fixed", "renormalised"),
        "The weights in averages: equal ones, or by claimed examples over all clients or members.",
    )
    empty: str = setting(
        "base",
        choice("base", "zero"),
        "The utility of the empty coalition: the base model's, or zero.",
    )
    epochs: int = setting(5, number(1, 10_000), "Passes over a client's data in each round.")
    batch_size: int = setting(32, number(1, 1_000_000), "Examples in one training step.")
    learning_rate: float = setting(0.1, real(0.000001, 1000), "Step size of gradient descent.")
    seed: int = setting(
        0, number(0, 2**63 - 1), "Seed of the first weights and of the order of examples."
    )
    commit_seconds: float = setting(
        30.0, real(0.1, 86_400), "How long miners have to commit, in seconds; less once all have."
    )
    reveal_seconds: float = setting(
        10.0, real(0.1, 86_400), "How long miners have to open, and then to prove, in seconds each."
    )
    attempts: int = setting(
        3, number(1, 16), "How often a round is mined before its price is refunded."
    )
    max_room_fee: int = setting(
        SAP_PER_FDC,
        amount(),
        "The largest fee for displacing a task with a lower offer when too many are open; 0fdc: "
        "wait.",
    )
