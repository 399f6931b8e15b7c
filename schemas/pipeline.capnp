# What the parts of a pipeline tell each other across nodes. The structs of pipeline_messages.hpp say
# what the fields mean; floats travel as their bits. Fields are only ever added, at the end.
@0x9d24e8b1c7053f6a;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("troupe::schemas::wire");

struct StepRows {
  tokens @0 :List(Int32);
  positions @1 :List(UInt32);
  slots @2 :List(UInt32);
  sequenceOf @3 :List(UInt32);
  promptLengths @4 :List(UInt32);
  tables @5 :List(List(UInt32));
  wantedRows @6 :List(UInt32);
}

struct StageForward {
  step @0 :UInt64;
  stage @1 :UInt32;
  rows @2 :StepRows;
}

struct StageDone {
  step @0 :UInt64;
}

struct ExpertRows {
  expert @0 :UInt32;
  count @1 :UInt32;
}

struct ShardForward {
  step @0 :UInt64;
  layer @1 :UInt32;
  stage @2 :UInt32;
  shard @3 :UInt32;
  attempt @4 :UInt32;
  experts @5 :List(ExpertRows);
}

struct ShardDone {
  step @0 :UInt64;
  layer @1 :UInt32;
  stage @2 :UInt32;
  shard @3 :UInt32;
}

struct StepFailure {
  step @0 :UInt64;
  code @1 :UInt8;
  why @2 :Text;
}

struct Bias {
  token @0 :Int32;
  valueBits @1 :UInt32;
}

struct Progress {
  drawn @0 :List(Int32);
  finished @1 :Bool;
  promptScored @2 :Bool;
}

struct Submission {
  handle @0 :UInt64;
  ageNs @1 :Int64;
  hasDeadline @2 :Bool;
  deadlineNs @3 :Int64; # zero without one
  id @4 :Text;
  prompt @5 :List(Int32);
  choices @6 :UInt32;
  tokensMax @7 :UInt32;
  tokensMin @8 :UInt32;
  stopIds @9 :List(Int32);
  ignoreEos @10 :Bool;
  hasTopLogprobs @11 :Bool;
  topLogprobs @12 :UInt32; # zero without it
  promptLogprobs @13 :Bool;
  priority @14 :Int32;
  cacheSalt @15 :Text;
  temperatureBits @16 :UInt32;
  topPBits @17 :UInt32;
  minPBits @18 :UInt32;
  repetitionPenaltyBits @19 :UInt32;
  presencePenaltyBits @20 :UInt32;
  frequencyPenaltyBits @21 :UInt32;
  topK @22 :UInt32;
  seed @23 :UInt64;
  biases @24 :List(Bias);
  choicesSoFar @25 :List(Progress);
  constraintKind @26 :UInt8; # a kind of model::constraint
  constraint @27 :Text;
}

struct ChoiceEnd {
  handle @0 :UInt64;
  choice @1 :UInt32;
}

struct Alternative {
  token @0 :Int32;
  logprobBits @1 :UInt32;
}

struct TokenEntry {
  token @0 :Int32;
  logprobBits @1 :UInt32;
  top @2 :List(Alternative);
  scored @3 :Bool;
}

struct EmissionEntry {
  handle @0 :UInt64;
  choice @1 :UInt32;
  prompt @2 :List(TokenEntry);
  tokens @3 :List(TokenEntry);
  begin @4 :UInt32;
  finished @5 :Bool;
  reason @6 :UInt8;
  endsWithStopId @7 :Bool;
  cachedTokens @8 :UInt32;
  first @9 :Bool;
  startedAgoNs @10 :Int64;
}

struct Emission {
  entries @0 :List(EmissionEntry);
}

struct RequestFailure {
  handle @0 :UInt64;
  code @1 :UInt8;
  why @2 :Text;
}
