# What nodes tell each other about the cluster. The structs of cluster_messages.hpp say what the fields
# mean. Fields are only ever added, at the end.
@0xc1f3d6a27b90e845;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("troupe::schemas::wire");

struct Member {
  incarnation @0 :UInt64;
  generation @1 :UInt64;
  stagesLost @2 :UInt64;
  present @3 :Bool;
  serving @4 :Bool;
}

struct Placement {
  sequencer @0 :UInt32;
  stages @1 :List(UInt32);
  shards @2 :List(List(UInt32)); # copies of each, preferred first
}

struct ClusterState {
  epoch @0 :UInt64;
  kvVersion @1 :UInt64;
  members @2 :List(Member);
  where @3 :Placement;
}

struct NodeReport {
  node @0 :UInt32;
  incarnation @1 :UInt64;
  number @2 :UInt64;
  epoch @3 :UInt64;
  epochReady @4 :UInt64;
  epochGo @5 :UInt64;
  epochStuck @6 :UInt64;
  generation @7 :UInt64;
  stagesLost @8 :UInt64;
  serving @9 :Bool;
  draining @10 :Bool;
  leads @11 :Bool;
  majority @12 :Bool;
  hears @13 :List(UInt64);
  model @14 :UInt64;
  layout @15 :UInt64;
  speed @16 :UInt32;
  memory @17 :UInt64;
  shardRows @18 :List(UInt64);
  hasStreams @19 :Bool;
}

struct Ballot {
  round @0 :UInt64;
  proposer @1 :UInt32;
}

# Also what a voter keeps on its disk.
struct AcceptorState {
  promised @0 :Ballot;
  accepted @1 :Ballot;
  value @2 :ClusterState;
  recovered @3 :List(UInt64);
}

struct RegisterPrepare {
  number @0 :Ballot;
}

struct RegisterPromise {
  number @0 :Ballot;
  granted @1 :Bool;
  promised @2 :Ballot;
  accepted @3 :Ballot;
  value @4 :ClusterState;
  recovered @5 :List(UInt64);
}

struct RegisterAccept {
  number @0 :Ballot;
  value @1 :ClusterState;
}

struct RegisterAccepted {
  number @0 :Ballot;
  granted @1 :Bool;
  promised @2 :Ballot;
  recovered @3 :List(UInt64);
}

struct RegisterRecover {
  nonce @0 :UInt64;
}

struct RegisterRecovered {
  nonce @0 :UInt64;
  state @1 :AcceptorState;
}

struct StateUpdate {
  state @0 :ClusterState;
}
