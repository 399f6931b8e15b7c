// The post-processors of the tokenizers package, for a single text.
#include "model/tokenizer_post_processor.hpp"

#include "base/text.hpp"
#include "model/json_text.hpp"

#include <algorithm>

namespace troupe::model {
namespace {

result<int32_t> parse_id(const json_field& field) {
  if (!field.value().is_number_unsigned() || field.value().get<uint64_t>() > INT32_MAX) {
    return field.fails("must be a token id");
  }
  return static_cast<int32_t>(field.value().get<uint64_t>());
}

} // namespace

result<post_processor> post_processor::parse(const json_field& section) {
  post_processor out;
  if (section.is_null()) return out;
  if (status failed = parse_into(section, out); !failed.ok()) return fail(std::move(failed));
  return out;
}

status post_processor::parse_into(const json_field& section, post_processor& out) {
  if (!section.value().is_object()) return section.fails("must be an object").value();
  const auto type = section.type();
  if (!type) return type.error();
  if (*type == "ByteLevel") return {}; // only moves offsets
  if (*type == "Sequence") {
    const auto list = section.array("processors");
    if (!list) return list.error();
    for (size_t i = 0; i < list->value().size(); ++i) {
      TROUPE_RETURN_IF_ERROR(parse_into(list->element(i), out));
    }
    return {};
  }
  const bool is_template = *type == "TemplateProcessing";
  if (!is_template && *type != "BertProcessing" && *type != "RobertaProcessing") {
    return section.member("type")
        .fails(text("unknown post-processor '", *type, "'"), status_code::unsupported)
        .value();
  }
  if (!out.parts_.empty()) {
    return section.fails("a second template is not supported", status_code::unsupported).value();
  }
  auto parts = is_template ? parse_template(section) : parse_frame(section);
  if (!parts) return std::move(parts).error();
  out.parts_ = std::move(*parts);
  return {};
}

result<std::vector<post_processor::part>> post_processor::parse_template(
    const json_field& section) {
  std::vector<part> parts;
  TROUPE_TAKE(const json_field single, section.array("single"));
  TROUPE_TAKE(const json_field special, section.object("special_tokens"));
  for (size_t i = 0; i < single.value().size(); ++i) {
    const json_field piece = single.element(i);
    if (!piece.value().is_object()) return piece.fails("must be an object");
    if (!piece.member("Sequence").is_null()) {
      TROUPE_TAKE(const json_field sequence, piece.object("Sequence"));
      TROUPE_TAKE(const std::string id, sequence.string("id"));
      if (id != "A") return sequence.fails("a single text has only the sequence 'A'");
      parts.push_back({true, {}});
      continue;
    }
    TROUPE_TAKE(const json_field token, piece.object("SpecialToken"));
    TROUPE_TAKE(const std::string id, token.string("id"));
    const auto entry = special.value().find(id);
    if (entry == special.value().end() || !entry->is_object()) {
      return token.fails(text("'", id, "' is not among special_tokens"));
    }
    TROUPE_TAKE(const json_field ids,
                json_field(*entry, text(special.where(), "['", id, "']")).array("ids"));
    part made{false, {}};
    for (size_t j = 0; j < ids.value().size(); ++j) {
      TROUPE_TAKE(const int32_t number, parse_id(ids.element(j)));
      made.tokens.push_back(number);
    }
    parts.push_back(std::move(made));
  }
  return parts;
}

// BERT's and RoBERTa's: "cls" before, "sep" behind, each a pair of text and id.
result<std::vector<post_processor::part>> post_processor::parse_frame(const json_field& section) {
  std::vector<part> parts;
  for (const char* name : {"cls", "sep"}) {
    TROUPE_TAKE(const json_field pair, section.array(name));
    if (pair.value().size() != 2) return pair.fails("must be a token and its id");
    TROUPE_TAKE(const int32_t id, parse_id(pair.element(1)));
    parts.push_back({false, {id}});
  }
  parts.insert(parts.begin() + 1, part{true, {}});
  return parts;
}

std::vector<int32_t> post_processor::apply(std::vector<int32_t> ids,
                                           bool add_special_tokens) const {
  if (parts_.empty()) return ids;
  std::vector<int32_t> out;
  out.reserve(ids.size() + parts_.size());
  for (const part& part : parts_) {
    const auto& tokens = part.is_text ? ids : part.tokens;
    if (part.is_text || add_special_tokens) out.insert(out.end(), tokens.begin(), tokens.end());
  }
  return out;
}

} // namespace troupe::model
