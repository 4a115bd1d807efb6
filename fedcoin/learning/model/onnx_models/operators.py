"""The operators that an ONNX graph may use, and how the model as a whole is versioned.

Only operators of the standard domain that do nothing but compute on tensors are listed. Not listed:
control flow (`If`, `Loop`, `Scan`), sequences, text, random numbers, quantised arithmetic, and
operators whose output's shape depends on the numbers (`NonZero`, `Unique`, `Compress`), since the
work of a graph with them cannot be known before it runs.
"""

from __future__ import annotations

MIN_OPSET, MAX_OPSET = 13, 23
"""Versions of the standard operator set that are accepted."""

MIN_IR_VERSION, MAX_IR_VERSION = 4, 11
"""Versions of ONNX's file format that are accepted; before 4 an initializer had to be an input."""

STANDARD_DOMAINS = ("", "ai.onnx")
"""The names of the standard domain."""


def list_words(text: str) -> frozenset[str]:
    """Split a list of operators that is written as text.

    Args:
        text: Names with white space between them.

    Returns:
        The names, each once.
    """
    return frozenset(text.split())


MATRIX_OPERATORS = list_words("Conv ConvTranspose Einsum Gemm MatMul")
"""Operators whose work is that of matrix products."""

RECURRENT_OPERATORS = list_words("GRU LSTM RNN")
"""Operators that compute one step after another."""

POOLING_OPERATORS = list_words("AveragePool LRN MaxPool")
"""Operators that read each input several times."""

SLOW_OPERATORS = list_words(
    """
    Celu Cos Elu Erf Exp Gelu GroupNormalization HardSigmoid HardSwish InstanceNormalization
    LayerNormalization Log LogSoftmax LpNormalization Mish Mod Pow RMSNormalization
    ReduceLogSum ReduceLogSumExp ReduceL2 Resize Selu Sigmoid Sin Softmax Softplus Softsign Sqrt
    Swish Tanh TopK
    """
)
"""Operators that take many times as long for a number as an addition."""

MOVING_OPERATORS = list_words("Gather GatherElements GatherND OneHot Tile Transpose")
"""Operators that move numbers about in memory, or one by one."""

_LIGHT_OPERATORS = list_words(
    """
    Abs Add And ArgMax ArgMin BatchNormalization Cast CastLike Ceil Clip Concat Constant
    ConstantOfShape CumSum DepthToSpace Div Dropout Equal Expand EyeLike Flatten Floor
    GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual Identity IsNaN
    LeakyRelu Less LessOrEqual Max Mean Min Mul Neg Not Or PRelu Pad Range Reciprocal
    ReduceL1 ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Round
    ScatterElements ScatterND Shape Sign Size Slice SpaceToDepth Split Squeeze Sub Sum
    ThresholdedRelu Trilu Unsqueeze Where Xor
    """
)

ALLOWED_OPERATORS = (
    MATRIX_OPERATORS
    | RECURRENT_OPERATORS
    | POOLING_OPERATORS
    | SLOW_OPERATORS
    | MOVING_OPERATORS
    | _LIGHT_OPERATORS
)
"""All operators that a graph may use."""
