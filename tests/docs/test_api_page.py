"""docs/API.md lists every service and RPC, and gives the page sizes of the program."""

from __future__ import annotations

from fedcoin.network.api import node_servicer, task_servicer, transaction_servicer
from tests.support.documents import find_inline_code, read, table_rows
from tests.support.wire_descriptors import method_descriptors, service_descriptors


def test_every_rpc_is_listed() -> None:
    text = read("docs/API.md")
    section = text[text.index("## Services") : text.index("## Reading values")]
    services = service_descriptors()
    # A service's part begins where its name comes first, and ends where the next one begins.
    starts = sorted((section.index(f"`{name}`"), name) for name in services)
    ends = [start for start, _ in starts[1:]] + [len(section)]
    for (start, name), end in zip(starts, ends, strict=True):
        missing = {m.name for m in services[name].methods} - set(
            find_inline_code(section[start:end])
        )
        assert not missing, f"{name} lacks {missing}"


def test_rpcs_in_tables_exist() -> None:
    known = {method.name for method in method_descriptors().values()}
    text = read("docs/API.md")
    rows = [*table_rows(text, "RPC"), *table_rows(text, "stream")]
    assert rows
    for row in rows:
        assert set(find_inline_code(row[0])) <= known, row


def test_page_sizes_are_those_of_the_program() -> None:
    text = read("docs/API.md")
    sizes = {
        name: (int(default), int(largest))
        for names, default, largest in table_rows(text[text.index("## Pages") :], "RPC")
        for name in find_inline_code(names)
    }
    assert sizes["ListBlocks"] == (node_servicer.BLOCKS_PAGE, node_servicer.MAX_BLOCKS_PAGE)
    assert sizes["ListValidators"] == (node_servicer.VALIDATORS_PAGE,) * 2
    assert sizes["ListTasks"] == (task_servicer.PAGE, task_servicer.MAX_PAGE)
    pending = (transaction_servicer.PENDING_PAGE, transaction_servicer.MAX_PENDING_PAGE)
    assert sizes["ListPendingTransactions"] == pending
