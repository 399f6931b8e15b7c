// Cutting and counting.
#include "model/training/shares.hpp"

namespace troupe::model {

std::vector<share_documents> cut_into_shares(share_documents documents, uint32_t share_tokens) {
  if (share_tokens == 0) return {documents};
  std::vector<share_documents> out;
  for (size_t begin = 0, end = 0; begin < documents.size(); begin = end) {
    size_t tokens = 0;
    while (end < documents.size() &&
           (end == begin || tokens + documents[end].tokens.size() <= share_tokens)) {
      tokens += documents[end++].tokens.size();
    }
    out.push_back(documents.subspan(begin, end - begin));
  }
  return out;
}

uint64_t count_targets(share_documents documents) {
  uint64_t out = 0;
  for (const auto& document : documents)
    for (const int32_t target : document.targets) out += target >= 0 ? 1 : 0;
  return out;
}

} // namespace troupe::model
