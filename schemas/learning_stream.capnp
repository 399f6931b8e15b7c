# What is learnt from: batches of documents as the log of ingest keeps them, and the state of a
# stream over that log. The structs of ingest_records.hpp and learning_stream_state.hpp say what the
# fields mean. Fields are only ever added, at the end.
@0xc1a8f3d27e5b9460;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("troupe::schemas::wire");

struct IngestDocument {
  source @0 :Text;
  position @1 :UInt64;
  id @2 :Text;
  domain @3 :Text;
  text @4 :Data;
  fault @5 :Text;
  erases @6 :Bool;
}

struct IngestBatch {
  client @0 :Text;
  sequence @1 :UInt64;
  mark @2 :UInt64;
  beginsAnew @3 :Bool;
  documents @4 :List(IngestDocument);
}

struct IngestClient {
  name @0 :Text;
  sequence @1 :UInt64;
  mark @2 :UInt64;
  first @3 :UInt64;
  count @4 :UInt32;
}

struct IngestClients {
  clients @0 :List(IngestClient);
}

struct LearningDocument {
  offset @0 :UInt64;
  id @1 :Text;
  domain @2 :Text;
  text @3 :Data;
}

struct LearningPiece {
  tokens @0 :List(Int32);
  targets @1 :List(Int32);
  bytes @2 :UInt64;
}

struct LearningReservoir {
  domain @0 :Text;
  offered @1 :UInt64;
  slots @2 :List(LearningDocument);
}

struct SeenDocument {
  exact @0 :UInt64;
  similar @1 :UInt64;
  offset @2 :UInt64;
}

struct NamedCount {
  name @0 :Text;
  count @1 :UInt64;
}

struct LearningStreamState {
  settings @0 :Text;
  cursor @1 :UInt64;
  limit @2 :UInt64;
  accepted @3 :UInt64;
  batches @4 :UInt64;
  domainDraws @5 :UInt64;
  replayDraws @6 :UInt64;
  tokensDealt @7 :UInt64;
  tokensReplayed @8 :UInt64;
  windowed @9 :List(LearningDocument);
  open @10 :LearningDocument;
  openTaken @11 :UInt64;
  pending @12 :List(LearningPiece);
  reservoirs @13 :List(LearningReservoir);
  heldOut @14 :List(LearningDocument);
  seen @15 :List(SeenDocument);
  seenAdded @16 :UInt64;
  domains @17 :List(NamedCount);
  rejections @18 :List(NamedCount);
}
