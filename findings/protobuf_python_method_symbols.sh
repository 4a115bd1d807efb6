#!/usr/bin/env bash
# protobuf and grpcio-reflection (Python): reflection does not know the names of methods.
#
# The reflection protocol's file_containing_symbol takes "<package>.<service>[.<method>] or
# <package>.<type>" (reflection.proto). grpcio-reflection 1.85.1 asks
# DescriptorPool.FindFileContainingSymbol, which in Python's protobuf 7.36.2 (upb) finds services, messages,
# fields and top-level enum values, but raises KeyError for a method; so servers answer NOT_FOUND, and
# `grpcurl describe pkg.Service.Method` fails against them, while servers in Go, C++ and Java answer. The pure
# Python pool does the same.
#
# Output seen (Python 3.11, x86-64), for both implementations:
#   grpc.health.v1.Health: found
#   grpc.health.v1.HealthCheckRequest.service: found
#   grpc.health.v1.Health.Check: not found
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check \
    "protobuf==7.36.2" "grpcio-health-checking==1.85.1" "grpcio-reflection==1.85.1"
cat > "$folder/symbols.py" <<'PY'
from google.protobuf import descriptor_pool
from grpc_health.v1 import health_pb2  # registers the service
from grpc_reflection.v1alpha import reflection, reflection_pb2

assert health_pb2.DESCRIPTOR
servicer = reflection.ReflectionServicer(["grpc.health.v1.Health"], pool=descriptor_pool.Default())
for symbol in (
    "grpc.health.v1.Health",
    "grpc.health.v1.HealthCheckRequest.service",
    "grpc.health.v1.Health.Check",
):
    request = reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol)
    (answer,) = servicer.ServerReflectionInfo(iter([request]), None)
    print(f"{symbol}: {'not found' if answer.HasField('error_response') else 'found'}")
PY
for implementation in upb python; do
    PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=$implementation "$folder/env/bin/python" "$folder/symbols.py"
done | tee "$folder/output"
diff "$folder/output" - <<'SEEN'
grpc.health.v1.Health: found
grpc.health.v1.HealthCheckRequest.service: found
grpc.health.v1.Health.Check: not found
grpc.health.v1.Health: found
grpc.health.v1.HealthCheckRequest.service: found
grpc.health.v1.Health.Check: not found
SEEN
