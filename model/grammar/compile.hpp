// From a constraint as it was asked for to a grammar that can run.
#pragma once

#include "base/status.hpp"
#include "model/grammar/constraint.hpp"
#include "model/grammar/matcher.hpp"

#include <list>
#include <memory>
#include <utility>

namespace troupe::model {

// `invalid_argument` says where in the constraint's text what is wrong. `usable`: bytes a text may
// have. Cost is bounded by the sizes of text and grammar.
result<network> compile(const constraint& asked, const byte_set& usable);
// Whether it compiles, where any byte is usable.
status check(const constraint& asked);

// Matchers of the constraints asked for lately, so that equal ones share what they find. One thread
// at a time.
class matcher_shelf {
public:
  explicit matcher_shelf(size_t kept_max = 16) : kept_max_(kept_max) {}

  // Without a vocabulary yet: `words` is called once to make it.
  template <class Words>
  result<constrained_text> begin(const constraint& asked, Words words) {
    if (words_ == nullptr) words_ = std::make_shared<const vocabulary>(words());
    return begin_known(asked);
  }

private:
  result<constrained_text> begin_known(const constraint& asked);

  size_t kept_max_;
  std::shared_ptr<const vocabulary> words_; // shared by all matchers
  // The latest in front; each owned together with the texts under way.
  std::list<std::pair<constraint, std::shared_ptr<matcher>>> kept_;
};

} // namespace troupe::model
