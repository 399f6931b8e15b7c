// Compiling and running the patterns of tokenizer.json with PCRE2.
#include "model/tokenizer_regex.hpp"

#include "base/check.hpp"
#include "base/text.hpp"
#include "model/tokenizer_unicode.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace troupe::model {
namespace {

// Steps of one match and heap of the interpreter. A megabyte of blanks needs a few million steps;
// a pattern that needs more is one that goes wild.
constexpr uint32_t match_steps_max = 200'000'000;
constexpr uint32_t match_heap_kib_max = 512 * 1024;

struct code_deleter {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
struct match_data_deleter {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};
struct match_context_deleter {
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};
struct compile_context_deleter {
  void operator()(pcre2_compile_context* context) const { pcre2_compile_context_free(context); }
};

std::string pcre2_message(int code) {
  char message[256] = {};
  pcre2_get_error_message(code, reinterpret_cast<PCRE2_UCHAR*>(message), sizeof message);
  return message;
}

} // namespace

struct regex_scratch::parts {
  std::unique_ptr<pcre2_match_data, match_data_deleter> data{pcre2_match_data_create(1, nullptr)};
  std::unique_ptr<pcre2_match_context, match_context_deleter> context{
      pcre2_match_context_create(nullptr)};
};

regex_scratch::regex_scratch() : parts_(std::make_unique<parts>()) {
  TROUPE_CHECK(parts_->data && parts_->context);
  pcre2_set_match_limit(parts_->context.get(), match_steps_max);
  pcre2_set_heap_limit(parts_->context.get(), match_heap_kib_max);
}

regex_scratch::~regex_scratch() = default;

struct regex::program {
  std::string literal; // when not empty, matched by plain search and `code` is null
  std::unique_ptr<pcre2_code, code_deleter> code;
};

result<regex> regex::compile(std::string_view oniguruma_pattern) {
  auto translated = translate_oniguruma(oniguruma_pattern);
  if (!translated) return tl::make_unexpected(std::move(translated).error());

  std::unique_ptr<pcre2_compile_context, compile_context_deleter> context(
      pcre2_compile_context_create(nullptr));
  TROUPE_CHECK(context != nullptr);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  PCRE2_SIZE offset = 0;
  auto made = std::make_shared<program>();
  made->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated->data()),
                                 translated->size(), PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE,
                                 &error, &offset, context.get()));
  if (!made->code) {
    return fail(status_code::unsupported,
                text("pattern '", oniguruma_pattern, "' (read as '", *translated, "'), position ",
                     offset, ": ", pcre2_message(error)));
  }
  // Without JIT (not built in, or no executable memory) the interpreter gives the same matches.
  pcre2_jit_compile(made->code.get(), PCRE2_JIT_COMPLETE);
  regex out;
  out.program_ = std::move(made);
  return out;
}

result<regex> regex::compile_literal(std::string_view literal) {
  if (literal.empty()) return compile("");
  auto made = std::make_shared<program>();
  made->literal = literal;
  regex out;
  out.program_ = std::move(made);
  return out;
}

status regex::find_all(std::string_view subject, regex_scratch& scratch,
                       std::vector<text_range>& out) const {
  if (!program_->literal.empty()) {
    const std::string& literal = program_->literal;
    for (size_t at = 0; (at = subject.find(literal, at)) != std::string_view::npos;) {
      out.push_back({at, at + literal.size()});
      at += literal.size();
    }
    return {};
  }
  pcre2_match_data* data = scratch.parts_->data.get();
  const auto* units = reinterpret_cast<PCRE2_SPTR>(subject.data());
  size_t last_match_end = std::string_view::npos;
  for (size_t at = 0; at <= subject.size();) {
    const auto match = [&](uint32_t options) {
      return pcre2_match(program_->code.get(), units, subject.size(), at, options, data,
                         scratch.parts_->context.get());
    };
    int matched = match(PCRE2_NO_UTF_CHECK);
    // The JIT's stack is small; the interpreter keeps its frames on the heap.
    if (matched == PCRE2_ERROR_JIT_STACKLIMIT) matched = match(PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT);
    if (matched == PCRE2_ERROR_NOMATCH) break;
    if (matched < 0) {
      return {status_code::exhausted,
              text("a pre-tokenizer pattern failed at byte ", at, ": ", pcre2_message(matched))};
    }
    const PCRE2_SIZE* offsets = pcre2_get_ovector_pointer(data);
    const text_range found{offsets[0], offsets[1]};
    if (found.end <= found.begin && found.end == last_match_end) {
      if (at >= subject.size()) break;
      next_code_point(subject, at);
      continue;
    }
    out.push_back(found);
    last_match_end = found.end;
    at = found.end;
  }
  return {};
}

} // namespace troupe::model
