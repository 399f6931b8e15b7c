# The header of a frame between two nodes: control messages and tensors take the same path. The payload
# follows the header as raw bytes and is never inside it. Fields are only ever added, at the end.
@0xb5f0c2a94d7e1683;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("troupe::schemas::wire");

enum FrameKind {
  control @0;
  tensor @1;
}

enum ElementType {
  none @0;
  f32 @1;
  bf16 @2;
  f16 @3;
  u8 @4;
}

struct FrameHeader {
  protocolVersion @0 :UInt32;
  kind @1 :FrameKind;
  sourceNode @2 :Text;         # the name of the node, unique in the cluster
  sourceIncarnation @3 :UInt64; # raised each time the node starts; older ones are fenced
  placementEpoch @4 :UInt64;   # the placement the sender acted on
  step @5 :UInt64;
  layer @6 :UInt32;
  targetRole @7 :Text;         # "expert_shard/3"
  expertIds @8 :List(UInt32);  # experts whose rows are in the payload
  rowMap @9 :List(UInt32);     # for each payload row, its row in the sender's batch
  elementType @10 :ElementType;
  shape @11 :List(UInt64);
  payloadBytes @12 :UInt64;
  payloadChecksum @13 :UInt64;
}
