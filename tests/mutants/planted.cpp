// In the order of the folders.
#include "tests/mutants/planted.hpp"

namespace troupe::mutants {

const std::vector<planted_bug>& planted_bugs() {
  static const std::vector<planted_bug> bugs = {
      {"promise_lower_ballot", "a voter grants a ballot below the one it has promised", "cascade",
       2},
      {"double_vote", "the proposer counts a repeated answer as another vote", "flapping_links", 7},
      {"forget_accepted_value",
       "the proposer does not take over the value that was accepted before", "cascade", 1},
      {"epoch_not_raised", "a restarted part comes back in the same epoch", "replica_loss", 4},
      {"kv_version_not_raised", "a new epoch does not say that KV pages are gone", "device_trouble",
       1},
      {"detector_trigger_happy", "a node is given up at its first late report", "steady", 1},
      {"copies_on_one_node", "all copies of a shard lie on one node", "node_loss", 1},
      {"link_no_dedupe", "a repeated frame is delivered again", "flapping_links", 5},
      {"link_ack_early", "a frame is acknowledged before those before it are there",
       "partition_asymmetric", 1},
      {"vote_checksum_ignored", "a voter believes a damaged file", "storage_corruption", 17},
      {"rename_not_synced", "the folder is not synced after the rename", "storage_corruption", 19},
      {"vote_before_durable", "a voter answers before its vote is durable", "coordinator_loss", 1},
      {"lost_memory_votes", "a voter that has lost its memory votes at once", "chaos", 2},
      {"leader_trusts_own_view", "the leader goes on from what it knows, not from what it has read",
       "rolling_restart", 2},
      {"go_before_all_ready", "an epoch starts before everybody is ready", "cascade", 1},
      {"drain_forgets_streams", "a drained node leaves with streams open", "rolling_restart", 57},
      {"count_late_answers", "the answer of a second copy of a shard is counted as another shard's",
       "partition_asymmetric", 98},
      {"answers_of_other_layers_taken",
       "the late answer of an earlier layer is combined into this one", "flapping_links", 6},
      {"streams_not_resubmitted", "a door does not hand its streams to the new epoch", "node_loss",
       1},
      {"door_wired_early",
       "a door hands its streams to a sequencer that may not know the epoch yet", "rolling_restart",
       48},
      {"received_ignored", "a door repeats what a resuming client has already", "chaos", 1},
      {"leaving_not_told", "a door does not tell that a client has left", "leaving", 1},
      {"stop_not_told", "a door does not tell that a stop text has ended a choice", "leaving", 1},
      {"ended_choices_drawn", "choices that had ended go on in the next epoch", "node_loss", 1},
      {"orphans_mixed_up", "what a lost door's stream had drawn is given to another request",
       "node_loss", 1},
      {"resume_skips_a_token", "a resumed stream lacks its first drawn token", "device_trouble", 1},
      {"penalties_not_resumed", "penalties do not see what was drawn before the failover",
       "hot_expert", 1},
      {"sampling_key_reused", "cached positions do not count in the key of a draw", "cascade", 1},
      {"drafts_believed", "what follows a wrong guess is taken for an answer", "node_loss", 13},
      {"ended_streams_keep_pages", "pages of a stream that has ended are not given back",
       "client_storm", 1},
      {"lost_pages_kept", "KV pages are reused though their bytes are gone", "device_trouble", 1},
      {"skip_epoch_check", "frames of an epoch that is over are handed to the parts",
       "coordinator_loss", 2},
      {"old_tokens_relayed", "a door relays tokens of an epoch that is over", "deadlines", 30},
      {"old_submissions_taken", "a sequencer takes requests of another epoch", "device_trouble",
       28},
      {"restart_not_told", "a restarted part is not told to the others", "tight_memory", 4},
      {"fence_not_awaited", "a node is ready while its device still works for the last epoch",
       "hung_device", 1},
  };
  return bugs;
}

} // namespace troupe::mutants
