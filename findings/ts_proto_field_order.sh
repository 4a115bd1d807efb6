#!/usr/bin/env bash
# ts-proto: serialises fields in the order of their declaration, not of their numbers.
#
# ts-proto 2.18.0 writes the fields of a message in the order in which the .proto file declares them.
# protobuf-es 2.17, like Go, Java, Rust (prost), Python and C++, writes them in the order of their
# numbers. Both are valid protobuf, so nothing fails until bytes are hashed or signed: programs in two
# languages then disagree on the bytes of one message. Messages whose bytes matter must declare their
# fields in the order of their numbers.
#
# Output seen (Node.js 20, x86-64), for b = 7 (field 5, declared first) and a = 1 (field 2):
#   ts-proto 2.18.0: 28071001
#   protobuf-es 2.17.0: 10012807
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat > order.proto <<'PROTO'
syntax = "proto3";
package order;
message M {
  uint32 b = 5;
  uint32 a = 2;
}
PROTO
cat > package.json <<'JSON'
{"private": true, "type": "module"}
JSON
cat > buf.gen.yaml <<'YAML'
version: v2
plugins:
  - local: node_modules/.bin/protoc-gen-ts_proto
    out: tsproto
  - local: node_modules/.bin/protoc-gen-es
    out: es
    opt: target=js
YAML
npm install --silent --no-audit --no-fund ts-proto@2.18.0 @bufbuild/protobuf@2.17.0 \
    @bufbuild/protoc-gen-es@2.13.0 @bufbuild/buf@1.75.0 typescript@5.4.5 >/dev/null 2>&1
node_modules/.bin/buf generate --path order.proto
node_modules/.bin/tsc --skipLibCheck --target es2022 --module nodenext tsproto/order.ts
cat > show.mjs <<'JS'
import { create, toBinary } from "@bufbuild/protobuf";
import { M } from "./tsproto/order.js";
import { MSchema } from "./es/order_pb.js";
const hex = (bytes) => Buffer.from(bytes).toString("hex");
console.log(`ts-proto 2.18.0: ${hex(M.encode({ b: 7, a: 1 }).finish())}`);
console.log(`protobuf-es 2.17.0: ${hex(toBinary(MSchema, create(MSchema, { b: 7, a: 1 })))}`);
JS
node show.mjs | tee output
diff output - <<'SEEN'
ts-proto 2.18.0: 28071001
protobuf-es 2.17.0: 10012807
SEEN
