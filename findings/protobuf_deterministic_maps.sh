#!/usr/bin/env bash
# protobuf (Python): "deterministic" bytes of maps differ between releases and between backends.
#
# SerializeToString(deterministic=True) sorts maps by key, in an order that depends on the backend and the release.
# upb, the backend of the wheels, writes integer keys in falling order: as signed numbers up to 6.30.2, as unsigned
# ones from 6.31.0 on, so that negative keys then come first. It writes strings in rising order, but a string after
# those that begin with it ("aa", "a", ""), and True before False. The pure Python backend of the same releases writes
# all keys in rising order. So hashes and signatures of messages with maps do not survive an update
# of protobuf where keys are negative, nor PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=python with any keys. The
# option promises equal bytes within one binary only; messages that are hashed or signed should hold no map.
#
# Output seen (Python 3.11, x86-64):
#   protobuf 6.30.2, upb: [5, 3, 0, -1, -7] ['aa', 'a', 'b', ''] [True, False]
#   protobuf 6.30.2, python: [-7, -1, 0, 3, 5] ['', 'a', 'aa', 'b'] [False, True]
#   protobuf 6.31.0, upb: [-1, -7, 5, 3, 0] ['aa', 'a', 'b', ''] [True, False]
#   protobuf 6.31.0, python: [-7, -1, 0, 3, 5] ['', 'a', 'aa', 'b'] [False, True]
#   protobuf 7.36.2, upb: [-1, -7, 5, 3, 0] ['aa', 'a', 'b', ''] [True, False]
#   protobuf 7.36.2, python: [-7, -1, 0, 3, 5] ['', 'a', 'aa', 'b'] [False, True]
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cat > "$folder/maps.py" <<'PY'
import google.protobuf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.internal import api_implementation

Field = descriptor_pb2.FieldDescriptorProto
KEYS = {
    "int32": (Field.TYPE_INT32, [5, -1, 0, 3, -7]),
    "string": (Field.TYPE_STRING, ["b", "a", "aa", ""]),
    "bool": (Field.TYPE_BOOL, [True, False]),
}
file = descriptor_pb2.FileDescriptorProto(name="maps.proto", package="maps", syntax="proto3")
for is_map in (True, False):  # the second message is the first as it is on the wire
    message = file.message_type.add(name="Maps" if is_map else "Entries")
    for number, (name, (kind, _)) in enumerate(KEYS.items(), 1):
        entry = message.nested_type.add(name=f"{name.capitalize()}Entry")
        entry.options.map_entry = is_map
        entry.field.add(name="key", number=1, type=kind, label=Field.LABEL_OPTIONAL)
        entry.field.add(name="value", number=2, type=Field.TYPE_INT32, label=Field.LABEL_OPTIONAL)
        message.field.add(
            name=name,
            number=number,
            type=Field.TYPE_MESSAGE,
            label=Field.LABEL_REPEATED,
            type_name=f".maps.{message.name}.{entry.name}",
        )
pool = descriptor_pool.DescriptorPool()
pool.Add(file)
Maps, Entries = (
    message_factory.GetMessageClass(pool.FindMessageTypeByName(f"maps.{name}"))
    for name in ("Maps", "Entries")
)
maps = Maps()
for name, (_, keys) in KEYS.items():
    for key in keys:
        getattr(maps, name)[key] = 1
written = Entries.FromString(maps.SerializeToString(deterministic=True))
print(f"protobuf {google.protobuf.__version__}, {api_implementation.Type()}:", end=" ")
print(*([entry.key for entry in getattr(written, name)] for name in KEYS))
PY
for version in 6.30.2 6.31.0 7.36.2; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "protobuf==$version"
    for implementation in upb python; do
        PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=$implementation \
            "$folder/$version/bin/python" "$folder/maps.py"
    done
done | tee "$folder/output"
diff "$folder/output" - <<'SEEN'
protobuf 6.30.2, upb: [5, 3, 0, -1, -7] ['aa', 'a', 'b', ''] [True, False]
protobuf 6.30.2, python: [-7, -1, 0, 3, 5] ['', 'a', 'aa', 'b'] [False, True]
protobuf 6.31.0, upb: [-1, -7, 5, 3, 0] ['aa', 'a', 'b', ''] [True, False]
protobuf 6.31.0, python: [-7, -1, 0, 3, 5] ['', 'a', 'aa', 'b'] [False, True]
protobuf 7.36.2, upb: [-1, -7, 5, 3, 0] ['aa', 'a', 'b', ''] [True, False]
protobuf 7.36.2, python: [-7, -1, 0, 3, 5] ['', 'a', 'aa', 'b'] [False, True]
SEEN
