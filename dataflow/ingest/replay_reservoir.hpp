// Documents that were learnt from before, to be learnt from again: a uniform sample of all that
// were offered (Vitter's algorithm R), whose draws are keyed by seed and number, so that a log that
// is read again fills it with the same ones. Bounded in documents and in the bytes of each.
#pragma once

#include "base/status.hpp"
#include "schemas/learning_stream_state.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace troupe::dataflow {

struct reservoir_settings {
  uint32_t documents_max = 1024; // of each domain where `by_domain`; 0: nothing is kept
  bool by_domain = false;        // a sample of each domain rather than one of all
  uint32_t bytes_max = 32 << 10; // of a document; of a longer one a part is kept
};

inline constexpr size_t reservoir_domains_max = 256; // further ones share the last

class replay_reservoir {
public:
  replay_reservoir(const reservoir_settings& settings, uint64_t seed)
      : settings_(settings), seed_(seed) {}

  void offer(const schemas::learning_document& document);
  // Documents of this id leave; their places stay empty until the sample fills them, so that it
  // stays uniform over what may still be learnt from. How many there were.
  size_t erase(std::string_view id);

  // The n-th draw: by domain, those with something in them equally often or by weight, then
  // uniform. Null: there is nothing.
  const schemas::learning_document* draw(
      uint64_t n, const std::map<std::string, uint64_t, std::less<>>& weights) const;

  size_t documents() const;
  uint64_t bytes() const;
  bool empty() const { return documents() == 0; }

  // In the order in which the domains came.
  std::vector<schemas::learning_reservoir> save() const;
  status restore(std::span<const schemas::learning_reservoir> from);

private:
  struct sample {
    uint32_t number = 0; // of the domain, in the order of coming; keys its draws
    uint64_t offered = 0;
    std::vector<schemas::learning_document> slots;
    std::vector<uint32_t> filled() const; // slots with a document
  };
  sample& sample_of(const std::string& domain);
  schemas::learning_document part_of(const schemas::learning_document& document,
                                     const sample& of) const;

  reservoir_settings settings_;
  uint64_t seed_;
  std::map<std::string, sample, std::less<>> samples_;
};

} // namespace troupe::dataflow
