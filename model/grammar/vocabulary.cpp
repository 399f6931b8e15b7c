// Sorted tokens are the tree in order already.
#include "model/grammar/vocabulary.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace troupe::model {
namespace {

size_t common_bytes(const std::string& a, const std::string& b) {
  const size_t most = std::min(a.size(), b.size());
  size_t same = 0;
  while (same < most && a[same] == b[same]) ++same;
  return same;
}

} // namespace

vocabulary::vocabulary(std::vector<std::string> token_bytes) : bytes_(std::move(token_bytes)) {
  for (auto& bytes : bytes_)
    if (bytes.size() > token_bytes_max) bytes.clear();
  std::vector<int32_t> order(bytes_.size());
  std::iota(order.begin(), order.end(), 0);
  const auto bytes = [this](int32_t id) -> const std::string& { return bytes_of(id); };
  std::sort(order.begin(), order.end(), [&bytes](int32_t a, int32_t b) {
    const int compared = bytes(a).compare(bytes(b));
    return compared != 0 ? compared < 0 : a < b;
  });

  const auto open_node = [this](uint8_t byte, size_t depth) {
    byte_.push_back(byte);
    depth_.push_back(static_cast<uint8_t>(depth));
    end_.push_back(0);
    token_begin_.push_back(static_cast<uint32_t>(tokens_.size()));
  };
  open_node(0, 0);
  std::vector<node> path{0}; // from the root to the node of the last token
  const std::string* last = nullptr;
  for (const int32_t id : order) {
    const std::string& content = bytes(id);
    if (content.empty()) continue;
    const size_t keep = last == nullptr ? 0 : common_bytes(*last, content);
    for (; path.size() > keep + 1; path.pop_back()) end_[path.back()] = static_cast<node>(nodes());
    for (size_t i = keep; i < content.size(); ++i) {
      path.push_back(static_cast<node>(nodes()));
      open_node(static_cast<uint8_t>(content[i]), i + 1);
    }
    tokens_.push_back(id);
    if (content.size() == 1) single_bytes_.add(static_cast<uint8_t>(content[0]));
    last = &content;
  }
  for (const node at : path) end_[at] = static_cast<node>(nodes());
  token_begin_.push_back(static_cast<uint32_t>(tokens_.size()));
}

} // namespace troupe::model
