from __future__ import annotations

from fedcoin.application.explorer.reading.payment_index import PaymentIndex
from fedcoin.v1.node_service_pb2 import WatchEventsResponse
from fedcoin.v1.views_pb2 import BlockView, PaymentView, TaskClientView, TaskView


def block(
    height: int, *receivers: str, names: tuple[tuple[str, str], ...] = ()
) -> WatchEventsResponse:
    return WatchEventsResponse(
        block=BlockView(height=height, time_ms=1_000 * height),
        payments=[PaymentView(address=each, amount=height, height=height) for each in receivers],
        tasks=[TaskView(clients=[TaskClientView(address=a, name=n) for a, n in names])],
    )


def test_payments_are_listed_by_address_the_latest_first() -> None:
    index = PaymentIndex()
    for event in (block(1, "a", "b"), block(2), block(3, "a")):
        index.add(event)
    assert [each.height for each in index.payments("a")] == [3, 1]
    assert [each.amount for each in index.payments("b")] == [1]
    assert index.payments("c") == ()
    assert (index.since_height, index.height) == (1, 3)


def test_the_oldest_payments_are_dropped_first_and_it_says_so() -> None:
    index = PaymentIndex(max_payments=3)
    for height in range(1, 6):
        index.add(block(height, "a" if height % 2 else "b"))
    assert [each.height for each in index.payments("a")] == [5, 3]
    assert [each.height for each in index.payments("b")] == [4]
    assert index.since_height == 3
    index.add(block(6, "c", "c", "c"))
    assert index.payments("a") == ()
    assert index.since_height == 6
    # A block of which only a part is kept is not complete.
    index.add(block(7, "d"))
    assert (len(index.payments("c")), index.since_height) == (2, 7)


def test_names_are_found_by_a_part() -> None:
    index = PaymentIndex()
    index.add(block(1, names=(("a", "Clinic Nord"), ("b", ""), ("c", "clinic"))))
    assert set(index.find_names("CLIN", 9)) == {("a", "Clinic Nord"), ("c", "clinic")}
    assert len(index.find_names("clin", 1)) == 1
    assert index.name("a") == "Clinic Nord"
    index.add(block(2, names=(("a", "Hospital"),)))
    assert index.name("a") == "Hospital"
    index.clear(7)
    assert (index.name("a"), index.since_height, index.height) == ("", 7, 6)
