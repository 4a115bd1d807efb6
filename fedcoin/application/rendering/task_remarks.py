"""What a reader should know of a settled task before reading its values."""

from __future__ import annotations

from fedcoin.data.artifacts.tensors import decode_tensors
from fedcoin.learning.measures.right_answers import explain_by_commonest
from fedcoin.learning.model.artifact_checks.evaluation_set_checks import evaluation_arrays
from fedcoin.v1.evidence_pb2 import Evidence
from fedcoin.v1.task_pb2 import Utility
from fedcoin.v1.transaction_pb2 import SignedTransaction, TransactionBody


def read_evidence(transaction: bytes) -> Evidence:
    """Read a miner's evidence.

    Args:
        transaction: The serialised SignedTransaction in which the miner revealed it.

    Returns:
        The evidence; an empty one when the transaction is of another kind.

    Raises:
        DecodeError: The bytes are no transaction.
    """
    body = TransactionBody.FromString(SignedTransaction.FromString(transaction).body)
    return body.reveal_shapley.evidence


def has_frequent_answer(utility: Utility.ValueType, evidence: Evidence) -> bool:
    """Tell whether a task's labels can explain what its base model is worth.

    Args:
        utility: The task's measure.
        evidence: The winner's evidence.

    Returns:
        False for all measures but the accuracy, and without right answers of the base model: tasks
        with EMPTY_COALITION_ZERO have the same 0, whatever the base model answers.
    """
    return utility == Utility.UTILITY_ACCURACY and evidence.empty_count > 0


def explain_task(evidence: Evidence, evaluation: bytes) -> str:
    """Compare a task's base model with the answer that is right most often.

    Args:
        evidence: The winner's evidence, of which `has_frequent_answer` is true.
        evaluation: The task's evaluation set, an artifact with the tensors `x` and `y`.

    Returns:
        The sentence of `explain_by_commonest`; nothing when the base model is better.

    Raises:
        RefusalError: WRONG_NAMES or BAD_TENSOR when the bytes are no evaluation set.
    """
    _, labels = evaluation_arrays(decode_tensors(evaluation))
    return explain_by_commonest(labels.reshape(-1), evidence.empty_count)
