# What a checkpoint consists of. The structs of checkpoint_manifest.hpp say what the fields mean.
# Fields are only ever added, at the end.
@0xb7d1c05a94e2f683;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("troupe::schemas::wire");

struct CheckpointManifest {
  step @0 :UInt64;
  stateHash @1 :UInt64;
  hasScore @2 :Bool;
  score @3 :Float64;
  settings @4 :List(CheckpointSetting);
  parts @5 :List(CheckpointPart);
  chunks @6 :List(CheckpointChunk);
}

struct CheckpointSetting {
  name @0 :Text;
  value @1 :Text;
}

struct CheckpointPart {
  name @0 :Text;
  bytes @1 :UInt64;
}

struct CheckpointChunk {
  hashHigh @0 :UInt64;
  hashLow @1 :UInt64;
  bytes @2 :UInt64;
}
