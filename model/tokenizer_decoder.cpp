// The decoders of the tokenizers package as stages that work on a stream of tokens.
#include "model/tokenizer_decoder.hpp"

#include "base/text.hpp"
#include "model/json_text.hpp"
#include "model/tokenizer_normalizer.hpp"
#include "model/tokenizer_unicode.hpp"

#include <optional>
#include <utility>

namespace troupe::model {
namespace {

// The byte of a token that looks like <0x0A>.
std::optional<char> byte_of_token(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return std::nullopt;
  int value = 0;
  for (const char digit : token.substr(3, 2)) {
    const bool is_decimal = digit >= '0' && digit <= '9';
    const char lower = static_cast<char>(digit | 0x20);
    if (!is_decimal && (lower < 'a' || lower > 'f')) return std::nullopt;
    value = value * 16 + (is_decimal ? digit - '0' : lower - 'a' + 10);
  }
  return static_cast<char>(value);
}

void replace_text(std::string& subject, std::string_view what, std::string_view with) {
  for (size_t at = 0; (at = subject.find(what, at)) != std::string::npos; at += with.size()) {
    subject.replace(at, what.size(), with);
  }
}

// A stage that needs each token whole.
class whole_token_stage : public decoder_stage {
public:
  void chunk(std::string_view part) final { token_ += part; }
  void end_token() final {
    std::string token = std::move(token_);
    token_.clear();
    take(std::move(token));
  }
  void finish() override { next_->finish(); }

protected:
  virtual void take(std::string token) = 0;
  void pass(std::string_view token) {
    next_->chunk(token);
    next_->end_token();
  }

private:
  std::string token_;
};

class sink_stage final : public decoder_stage {
public:
  explicit sink_stage(std::string& out) : out_(out) {}
  void chunk(std::string_view part) override { out_ += part; }
  void end_token() override {}
  void finish() override {}

private:
  std::string& out_;
};

// All tokens together become one; what is not UTF-8 is replaced in the sum.
class byte_level_stage final : public whole_token_stage {
public:
  void finish() override {
    std::string rest;
    assembler_.finish(rest);
    pass(rest);
    next_->finish();
  }

private:
  void take(std::string token) override {
    std::string bytes;
    if (!append_letter_bytes(bytes, token)) bytes = token;
    std::string out;
    assembler_.push(bytes, out);
    if (!out.empty()) next_->chunk(out);
  }

  utf8_assembler assembler_;
};

// A run of byte tokens is text when all of it is UTF-8, else one U+FFFD for each byte; so a run is
// certain only when it ends.
class byte_fallback_stage final : public whole_token_stage {
public:
  void finish() override {
    flush();
    next_->finish();
  }

private:
  void take(std::string token) override {
    if (const auto byte = byte_of_token(token)) {
      bytes_ += *byte;
      return;
    }
    flush();
    pass(token);
  }

  void flush() {
    if (bytes_.empty()) return;
    if (is_valid_utf8(bytes_)) {
      pass(bytes_);
    } else {
      for (size_t i = 0; i < bytes_.size(); ++i) pass(replacement_character);
    }
    bytes_.clear();
  }

  std::string bytes_;
};

class fuse_stage final : public decoder_stage {
public:
  void chunk(std::string_view part) override { next_->chunk(part); }
  void end_token() override {}
  void finish() override {
    next_->end_token();
    next_->finish();
  }
};

// Takes up to `start` letters off the front of each token and up to `stop` off its end.
class strip_stage final : public decoder_stage {
public:
  strip_stage(std::string letter, size_t start, size_t stop)
      : letter_(std::move(letter)), start_(start), stop_(stop), start_left_(start) {}

  void chunk(std::string_view part) override {
    std::string out;
    for (size_t at = 0; at < part.size();) {
      const size_t begin = at;
      next_code_point(part, at);
      put(part.substr(begin, at - begin), out);
    }
    if (!out.empty()) next_->chunk(out);
  }
  void end_token() override {
    held_ = 0;
    start_left_ = start_;
    next_->end_token();
  }
  void finish() override { next_->finish(); }

private:
  void put(std::string_view letter, std::string& out) {
    if (letter != letter_) {
      start_left_ = 0;
      for (; held_ > 0; --held_) out += letter_;
      out += letter;
    } else if (start_left_ > 0) {
      --start_left_;
    } else if (held_ < stop_) {
      ++held_; // may be at the end
    } else {
      out += letter_;
    }
  }

  std::string letter_;
  size_t start_;
  size_t stop_;
  size_t start_left_;
  size_t held_ = 0;
};

class replace_stage final : public whole_token_stage {
public:
  replace_stage(regex pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}

private:
  void take(std::string token) override {
    // Where the pattern's bounds do not suffice, replace_all leaves the token as it is.
    static_cast<void>(replace_all(pattern_, content_, scratch_, token));
    pass(token);
  }

  regex pattern_;
  std::string content_;
  regex_scratch scratch_;
};

class metaspace_stage final : public decoder_stage {
public:
  metaspace_stage(std::string mark, bool drops_first)
      : mark_(std::move(mark)), drops_(drops_first) {}

  void chunk(std::string_view part) override {
    std::string out(part);
    replace_text(out, mark_, drops_ ? "" : " ");
    if (!out.empty()) next_->chunk(out);
  }
  void end_token() override {
    drops_ = false;
    next_->end_token();
  }
  void finish() override { next_->finish(); }

private:
  std::string mark_;
  bool drops_;
};

// The end-of-word mark is a space, but nothing in the last token; so one token is held back.
class suffix_stage final : public whole_token_stage {
public:
  explicit suffix_stage(std::string suffix) : suffix_(std::move(suffix)) {}
  void finish() override {
    if (held_) replace_text(*held_, suffix_, "");
    if (held_) pass(*held_);
    next_->finish();
  }

private:
  void take(std::string token) override {
    if (held_) {
      replace_text(*held_, suffix_, " ");
      pass(*held_);
    }
    held_ = std::move(token);
  }

  std::string suffix_;
  std::optional<std::string> held_;
};

// Without a decoder the tokens are joined with spaces.
class spaces_stage final : public whole_token_stage {
private:
  void take(std::string token) override {
    if (!is_first_) next_->chunk(" ");
    is_first_ = false;
    pass(token);
  }

  bool is_first_ = true;
};

} // namespace

decoder_run::decoder_run(std::vector<std::unique_ptr<decoder_stage>> stages)
    : out_(std::make_unique<std::string>()), stages_(std::move(stages)) {
  stages_.push_back(std::make_unique<sink_stage>(*out_));
  for (size_t i = 0; i + 1 < stages_.size(); ++i) stages_[i]->next_ = stages_[i + 1].get();
}

decoder_run::~decoder_run() = default;
decoder_run::decoder_run(decoder_run&&) noexcept = default;
decoder_run& decoder_run::operator=(decoder_run&&) noexcept = default;

std::string decoder_run::push(std::string_view token) {
  stages_.front()->chunk(token);
  stages_.front()->end_token();
  return std::exchange(*out_, {});
}

std::string decoder_run::finish() {
  stages_.front()->finish();
  return std::exchange(*out_, {});
}

result<token_decoder> token_decoder::parse(const json_field& section) {
  token_decoder out;
  if (section.is_null()) {
    out.steps_.push_back({step_kind::spaces});
    return out;
  }
  if (status failed = parse_into(section, out.steps_); !failed.ok()) return fail(std::move(failed));
  return out;
}

status token_decoder::parse_into(const json_field& section, std::vector<step>& steps) {
  if (!section.value().is_object()) return section.fails("must be an object").value();
  const auto type = section.type();
  if (!type) return type.error();
  if (*type == "Sequence") {
    const auto list = section.array("decoders");
    if (!list) return list.error();
    for (size_t i = 0; i < list->value().size(); ++i) {
      TROUPE_RETURN_IF_ERROR(parse_into(list->element(i), steps));
    }
    return {};
  }
  auto made = parse_step(section, *type);
  if (!made) return std::move(made).error();
  steps.push_back(std::move(*made));
  return {};
}

result<token_decoder::step> token_decoder::parse_step(const json_field& section,
                                                      const std::string& type) {
  if (type == "ByteLevel") return step{step_kind::byte_level};
  if (type == "ByteFallback") return step{step_kind::byte_fallback};
  if (type == "Fuse") return step{step_kind::fuse};
  if (type == "Replace") {
    step made{step_kind::replace};
    TROUPE_TAKE(made.content, section.string("content"));
    TROUPE_TAKE(regex pattern, parse_pattern(section, "pattern"));
    made.pattern.push_back(std::move(pattern));
    return made;
  }
  if (type == "Strip") {
    step made{step_kind::strip};
    TROUPE_TAKE(made.content, section.string("content"));
    TROUPE_TAKE(made.start, section.count("start"));
    TROUPE_TAKE(made.stop, section.count("stop"));
    size_t at = 0;
    if (!made.content.empty()) next_code_point(made.content, at);
    if (at == 0 || at != made.content.size())
      return section.member("content").fails("must be one character");
    return made;
  }
  if (type == "Metaspace") {
    step made{step_kind::metaspace};
    TROUPE_TAKE(made.content, section.string("replacement"));
    if (made.content.empty()) return section.member("replacement").fails("must be one character");
    TROUPE_TAKE(const auto scheme, section.optional_string("prepend_scheme"));
    TROUPE_TAKE(const bool add_prefix_space, section.boolean("add_prefix_space", true));
    made.drops_first = scheme ? *scheme != "never" : add_prefix_space;
    return made;
  }
  if (type == "BPEDecoder") {
    step made{step_kind::suffix};
    TROUPE_TAKE(made.content, section.string("suffix"));
    if (made.content.empty()) return section.member("suffix").fails("must not be empty");
    return made;
  }
  return section.member("type").fails(text("unknown decoder '", type, "'"),
                                      status_code::unsupported);
}

decoder_run token_decoder::start() const {
  std::vector<std::unique_ptr<decoder_stage>> stages;
  for (const step& step : steps_) {
    switch (step.kind) {
      case step_kind::byte_level:
        stages.push_back(std::make_unique<byte_level_stage>());
        break;
      case step_kind::byte_fallback:
        stages.push_back(std::make_unique<byte_fallback_stage>());
        break;
      case step_kind::fuse:
        stages.push_back(std::make_unique<fuse_stage>());
        break;
      case step_kind::strip:
        stages.push_back(std::make_unique<strip_stage>(step.content, step.start, step.stop));
        break;
      case step_kind::replace:
        stages.push_back(std::make_unique<replace_stage>(step.pattern.front(), step.content));
        break;
      case step_kind::metaspace:
        stages.push_back(std::make_unique<metaspace_stage>(step.content, step.drops_first));
        break;
      case step_kind::suffix:
        stages.push_back(std::make_unique<suffix_stage>(step.content));
        break;
      case step_kind::spaces:
        stages.push_back(std::make_unique<spaces_stage>());
        break;
    }
  }
  return decoder_run(std::move(stages));
}

std::string token_decoder::bytes_of(std::string_view token) const {
  std::string out(token);
  for (const step& step : steps_) {
    switch (step.kind) {
      case step_kind::byte_level: {
        std::string bytes;
        if (append_letter_bytes(bytes, out)) out = std::move(bytes);
        break;
      }
      case step_kind::byte_fallback:
        if (const auto byte = byte_of_token(out)) return std::string(1, *byte);
        break;
      case step_kind::replace: {
        regex_scratch scratch;
        if (status failed = replace_all(step.pattern.front(), step.content, scratch, out);
            !failed.ok()) {
          return out;
        }
        break;
      }
      case step_kind::metaspace:
      case step_kind::suffix:
        replace_text(out, step.content, " ");
        break;
      case step_kind::fuse:
      case step_kind::strip:
      case step_kind::spaces:
        break;
    }
  }
  return out;
}

} // namespace troupe::model
