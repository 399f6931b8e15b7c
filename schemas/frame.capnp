# The header of a frame between two nodes: control messages and tensors take the same path. On the wire
# a checksum goes before it and the payload, raw rows of f32, behind it. Fields and kinds of bodies are
# only ever added, at the end.
@0xe7a90b5c31d8f264;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("troupe::schemas::wire");

using Cluster = import "cluster.capnp";
using Journal = import "journal.capnp";
using Pipeline = import "pipeline.capnp";

struct FrameHeader {
  protocolVersion @0 :UInt32;
  source @1 :UInt32;
  sourceIncarnation @2 :UInt64; # raised each time the node starts; older ones are fenced
  target @3 :UInt32;
  targetIncarnation @4 :UInt64;
  epoch @5 :UInt64; # the placement the sender acted on
  linkNumber @6 :UInt64;
  linkAck @7 :UInt64;
  rows @8 :UInt32;
  columns @9 :UInt32;
  payloadChecksum @10 :UInt64;
  body :union {
    nothing @11 :Void;
    nodeReport @12 :Cluster.NodeReport;
    registerPrepare @13 :Cluster.RegisterPrepare;
    registerPromise @14 :Cluster.RegisterPromise;
    registerAccept @15 :Cluster.RegisterAccept;
    registerAccepted @16 :Cluster.RegisterAccepted;
    registerRecover @17 :Cluster.RegisterRecover;
    registerRecovered @18 :Cluster.RegisterRecovered;
    stateUpdate @19 :Cluster.StateUpdate;
    stageForward @20 :Pipeline.StageForward;
    stageDone @21 :Pipeline.StageDone;
    shardForward @22 :Pipeline.ShardForward;
    shardDone @23 :Pipeline.ShardDone;
    stepFailure @24 :Pipeline.StepFailure;
    submission @25 :Pipeline.Submission;
    choiceEnd @26 :Pipeline.ChoiceEnd;
    emission @27 :Pipeline.Emission;
    requestFailure @28 :Pipeline.RequestFailure;
    journalEntry @29 :Journal.JournalEntry;
    journalAnswer @30 :Journal.JournalAnswer;
  }
}
