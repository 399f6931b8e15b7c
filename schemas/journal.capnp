# What nodes tell each other about the requests they keep. The structs of journal_messages.hpp say
# what the fields mean. Fields are only ever added, at the end.
@0xd0a84bb2f3c75e19;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("troupe::schemas::wire");

struct JournalEntry {
  number @0 :UInt64;
  bytes @1 :Data;
}

struct JournalAnswer {
  number @0 :UInt64;
  kept @1 :Bool;
}
