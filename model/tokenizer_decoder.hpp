// From token texts back to text, one token at a time.
#pragma once

#include "base/status.hpp"
#include "model/tokenizer_regex.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::model {

class json_field;

// One stage of decoding at work. Tokens come in chunks of text: `chunk` may be called several times
// before `end_token`. What a stage knows for sure it hands to the next at once, and the rest no
// later than `finish`, so that whatever the cuts, the sum of the output is the same.
class decoder_stage {
public:
  virtual ~decoder_stage() = default;
  virtual void chunk(std::string_view part) = 0;
  virtual void end_token() = 0;
  virtual void finish() = 0; // no more tokens

protected:
  friend class decoder_run;
  decoder_stage* next_ = nullptr; // set before the first token
};

// A decoding under way; one thread at a time.
class decoder_run {
public:
  explicit decoder_run(std::vector<std::unique_ptr<decoder_stage>> stages);
  ~decoder_run();
  decoder_run(decoder_run&&) noexcept;
  decoder_run& operator=(decoder_run&&) noexcept;

  // Both return the text that became certain.
  std::string push(std::string_view token);
  std::string finish();

private:
  std::unique_ptr<std::string> out_; // written by the last stage
  std::vector<std::unique_ptr<decoder_stage>> stages_;
};

// The `decoder` section of tokenizer.json. Immutable.
class token_decoder {
public:
  static result<token_decoder> parse(const json_field& section);

  decoder_run start() const;

  // The bytes a token stands for by itself, without what its neighbours or its place do to it.
  std::string bytes_of(std::string_view token) const;

private:
  enum class step_kind {
    byte_level,
    byte_fallback,
    fuse,
    strip,
    replace,
    metaspace,
    suffix,
    spaces
  };
  struct step {
    step_kind kind;
    std::string content{};        // replace, strip; the replacement of metaspace; the suffix
    std::vector<regex> pattern{}; // replace
    size_t start = 0;             // strip
    size_t stop = 0;
    bool drops_first = false; // metaspace: in the first token the mark is nothing
  };

  static status parse_into(const json_field& section, std::vector<step>& steps);
  static result<step> parse_step(const json_field& section, const std::string& type);

  std::vector<step> steps_;
};

} // namespace troupe::model
