"""The Keras classes that an architecture may name, and what to do about others.

Listed are classes that do nothing but compute: layers, operations of `keras.ops` in a graph, and
the initializers, regularizers and constraints of layers. Left out is all that reads files, opens
URLs, runs Python code of the model's author, takes text, or has a control flow of its own.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LAYERS = _words(
    """
    Activation ActivityRegularization AdaptiveAveragePooling1D AdaptiveAveragePooling2D
    AdaptiveAveragePooling3D AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D Add
    AdditiveAttention AlphaDropout Attention AutoContrast Average AveragePooling1D AveragePooling2D
    AveragePooling3D BatchNormalization Bidirectional CategoryEncoding CenterCrop Concatenate Conv1D
    Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose ConvLSTM1D ConvLSTM2D ConvLSTM3D
    Cropping1D Cropping2D Cropping3D CutMix Dense DepthwiseConv1D DepthwiseConv2D Discretization Dot
    Dropout ELU EinsumDense Embedding Flatten GRU GRUCell GaussianDropout GaussianNoise
    GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D GlobalMaxPooling1D
    GlobalMaxPooling2D GlobalMaxPooling3D GroupNormalization GroupQueryAttention Identity InputLayer
    LSTM LSTMCell LayerNormalization LeakyReLU Masking MaxPooling1D MaxPooling2D MaxPooling3D
    Maximum MelSpectrogram Minimum MixUp MultiHeadAttention Multiply Normalization PReLU Permute
    RMSNormalization RNN RandomBrightness RandomColorDegeneration RandomColorJitter RandomContrast
    RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur RandomGrayscale
    RandomHue RandomInvert RandomPerspective RandomPosterization RandomRotation RandomSaturation
    RandomSharpness RandomTranslation RandomZoom ReLU RepeatVector Rescaling Reshape
    Resizing ReversibleEmbedding SeparableConv1D SeparableConv2D SimpleRNN
    SimpleRNNCell Softmax Solarization SpatialDropout1D SpatialDropout2D SpatialDropout3D
    SpectralNormalization StackedRNNCells Subtract TimeDistributed UnitNormalization UpSampling1D
    UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D
    """
)
_NUMPY_OPERATIONS = _words(
    """
    Absolute Add All Amax Amin Any Arccos Arcsin Arctan Arctan2 Argmax Argmin Average BroadcastTo
    Ceil Clip Concatenate Cos Cosh Cumprod Cumsum Diff Divide DivideNoNan Dot Einsum Equal Exp Exp2
    ExpandDims Expm1 Flip Floor FloorDivide GetItem Greater GreaterEqual Less LessEqual Log Log10
    Log1p Log2 Logaddexp LogicalAnd LogicalNot LogicalOr LogicalXor Matmul Max Maximum Mean Median
    Min Minimum Mod Moveaxis Multiply NanToNum Negative NotEqual OnesLike Outer Pad Power Prod Ravel
    Reciprocal Repeat Reshape Roll Round Sign Sin Sinh Sort Sqrt Square Squeeze Stack Std Subtract
    Sum Swapaxes Take TakeAlongAxis Tan Tanh Tensordot Tile Transpose Tril Triu TrueDivide Trunc Var
    Where ZerosLike
    """
)
_NEURAL_OPERATIONS = _words(
    """
    AveragePool Celu DotProductAttention Elu Gelu Glu HardShrink HardSigmoid HardSilu HardTanh
    LayerNorm LeakyRelu LogSigmoid LogSoftmax MaxPool MultiHot Normalize OneHot RMSNorm Relu Relu6
    Selu Sigmoid Silu SoftShrink Softmax Softplus Softsign SparsePlus Sparsemax Squareplus
    TanhShrink Threshold
    """
)
CLASSES = {
    "keras": _words("Sequential DTypePolicy"),
    "keras.models": _words("Sequential Functional"),
    "keras.src.models.functional": frozenset({"Functional"}),
    "keras.layers": _LAYERS,
    "keras.src.applications.convnext": _words("LayerScale StochasticDepth"),
    "keras.src.applications.inception_resnet_v2": _words("CustomScaleLayer"),
    "keras.src.ops.numpy": _NUMPY_OPERATIONS,
    "keras.src.ops.nn": _NEURAL_OPERATIONS,
    "keras.src.ops.math": _words("Erf Logsumexp Rsqrt TopK"),
    "keras.src.ops.core": _words("Cast StopGradient Unstack"),
    "keras.src.ops.image": _words("Resize"),
    "keras.initializers": _words(
        "Zeros Ones Constant RandomNormal RandomUniform TruncatedNormal GlorotNormal GlorotUniform "
        "HeNormal HeUniform LecunNormal LecunUniform Orthogonal Identity IdentityInitializer "
        "VarianceScaling"
    ),
    "keras.regularizers": _words("L1 L2 L1L2 OrthogonalRegularizer"),
    "keras.constraints": _words("MaxNorm NonNeg UnitNorm MinMaxNorm"),
}
"""The names of allowed classes by the module under which Keras serialises them."""

ENCODINGS = _words("__keras_tensor__ __tuple__ __slice__ __ellipsis__ __numpy__ __tensor__")
"""The class names that Keras writes, without a module, for values in a graph."""

DTYPES = _words("float32 bool int8 int16 int32 int64 uint8 uint16 uint32 uint64")
"""The dtypes of inputs, layers and values."""

_TEXT = "takes text, but examples are numbers: look words up before, and begin with the Embedding"
_CODE = "holds Python code: use layers of keras.layers or operations of keras.ops instead"
_FOREIGN = "runs code of another framework: export that model as ONNX"
_AUGMENTATION = "cannot be read back by Keras: leave it out, as it does nothing outside training"
_FLOW = "is a control flow: write the computation without loops and conditions"
_QUANTISED = "is quantised: publish the model as it was before quantize(), in float32"
ADVICE = {
    "Lambda": _CODE,
    "__lambda__": _CODE,
    "function": _CODE,
    "StringLookup": _TEXT,
    "TextVectorization": _TEXT,
    "IntegerLookup": "may read a vocabulary from a file: number the values before, from 0",
    "Hashing": "hashes text: number the values before, from 0",
    "HashedCrossing": "takes several inputs: cross the columns before",
    "FeatureSpace": "takes columns by name: encode the table before",
    "AugMix": _AUGMENTATION,
    "RandAugment": _AUGMENTATION,
    "RandomShear": _AUGMENTATION,
    "RandomCrop": "does not crop outside training: use CenterCrop",
    "STFTSpectrogram": "needs scipy: compute the spectrogram before",
    "TFSMLayer": "reads a file and runs it: export that model as ONNX",
    "JaxLayer": _FOREIGN,
    "FlaxLayer": _FOREIGN,
    "TorchModuleWrapper": _FOREIGN,
    "Cond": _FLOW,
    "Map": _FLOW,
    "Scan": _FLOW,
    "AssociativeScan": _FLOW,
    "WhileLoop": _FLOW,
    "ForiLoop": _FLOW,
    "Switch": _FLOW,
    "VectorizedMap": _FLOW,
    "QuantizedDTypePolicy": _QUANTISED,
    "QuantizedFloat8DTypePolicy": _QUANTISED,
    "GPTQDTypePolicy": _QUANTISED,
    "DTypePolicyMap": "gives layers different dtypes: build the model in float32 throughout",
}
"""Why a class is refused, and what to do instead: the end of a sentence that begins with it."""


def explain_class(module: object, name: object) -> str:
    """Say why a class is not allowed, and what to do instead.

    Args:
        module: The module that an architecture names.
        name: The class that it names.

    Returns:
        The end of a sentence that begins with the class's name.
    """
    if isinstance(name, str) and name in ADVICE:
        return ADVICE[name]
    if isinstance(module, str) and module.split(".")[0] != "keras":
        return "is a class of its author: only Keras' own are accepted; or export the model as ONNX"
    return "is not an allowed class: use layers of keras.layers that only compute"


def explain_dtype(name: str) -> str:
    """Say why a dtype is not allowed, and what to do instead.

    Args:
        name: The dtype or the dtype policy that an architecture names.

    Returns:
        The end of a sentence that begins with the name.
    """
    if name == "string":
        return _TEXT
    if "int8" in name or "int4" in name or "float8" in name:
        return _QUANTISED
    if "16" in name:
        return (
            "rounds so coarsely that machines disagree: build the model after "
            "keras.config.set_dtype_policy('float32'); its float32 weights stay as they are"
        )
    return "is not float32: build the model in float32, and convert its weights to that"
