// From settings to a stream.
#include "cli/learn_stream.hpp"

#include "base/text.hpp"
#include "cli/learn_data.hpp"
#include "cli/ingest_setup.hpp"
#include "cli/program.hpp"
#include "storage/ingest_commit.hpp"
#include "storage/sealed_file.hpp"

#include <charconv>
#include <cmath>

namespace troupe::cli {
namespace {

constexpr size_t blocklist_bytes_max = size_t{64} << 20;
constexpr double weight_max = 1e6;
constexpr storage::file_kind state_kind{.magic = "TRPDATAS", .version = 1};

tl::unexpected<setup_failure> refused(status why, int code) {
  return tl::make_unexpected(setup_failure{std::move(why), code});
}

uint32_t thousandths(double from) {
  return static_cast<uint32_t>(std::lround(from * 1000));
}

dataflow::curriculum curriculum_of(const std::string& name) {
  if (name == "length") return dataflow::curriculum::length;
  if (name == "difficulty") return dataflow::curriculum::difficulty;
  return dataflow::curriculum::none;
}

result<dataflow::learning_stream_settings> stream_settings_of(const learn_stream_settings& from,
                                                              const learn_stream_frame& frame) {
  auto weights = parse_domain_weights(from.domain_weights);
  if (!weights) return fail(weights.error());
  return dataflow::learning_stream_settings{
      .context = frame.context,
      .step_tokens = frame.step_tokens,
      .separator = frame.separator,
      .seed = frame.seed,
      .replay_share = thousandths(from.replay),
      .replay = {.documents_max = from.replay_documents, .by_domain = from.replay_by_domain},
      .mixing = {.weights = std::move(*weights),
                 .temperature = thousandths(from.domain_temperature),
                 .order = curriculum_of(from.curriculum),
                 .window = from.window},
      .hold_out = frame.hold_out,
      .follows = from.follow};
}

result<dataflow::cleaner> cleaner_of(program& context, const learn_stream_settings& from) {
  dataflow::cleaning_settings settings{.quality = from.quality};
  settings.languages.insert(from.languages.begin(), from.languages.end());
  settings.domains_without_quality.insert(from.quality_off.begin(), from.quality_off.end());
  dataflow::blocklist blocked;
  if (!from.blocklist.empty()) {
    const auto content = context.files.read_text(from.blocklist, blocklist_bytes_max);
    if (!content) return fail(content.error().within("--blocklist"));
    auto parsed = dataflow::blocklist::parse(*content, from.blocklist);
    if (!parsed) return fail(parsed.error().within("--blocklist"));
    blocked = std::move(*parsed);
  }
  return dataflow::cleaner(std::move(settings), std::move(blocked));
}

} // namespace

result<std::map<std::string, uint64_t, std::less<>>> parse_domain_weights(
    const std::vector<std::string>& from) {
  std::map<std::string, uint64_t, std::less<>> out;
  for (const auto& each : from) {
    const size_t equals = each.rfind('=');
    double weight = -1;
    if (equals != std::string::npos && equals > 0) {
      const auto [end, error] =
          std::from_chars(each.data() + equals + 1, each.data() + each.size(), weight);
      if (error != std::errc{} || end != each.data() + each.size()) weight = -1;
    }
    if (!(weight >= 0 && weight <= weight_max))
      return fail(status_code::invalid_argument,
                  text("--domain-weights ", each, ": expected NAME=WEIGHT with a weight from 0 to ",
                       weight_max));
    const auto scaled =
        static_cast<uint64_t>(std::llround(weight * static_cast<double>(dataflow::weight_one)));
    if (!out.emplace(each.substr(0, equals), scaled).second)
      return fail(status_code::invalid_argument,
                  text("--domain-weights ", each, ": the domain comes twice"));
  }
  return out;
}

setup_result<std::unique_ptr<learning_from_log>> learning_from_log::open(
    program& context, const learn_stream_settings& settings, const learn_stream_frame& frame,
    const model::tokenizer& tokenizer) {
  auto stream_settings = stream_settings_of(settings, frame);
  if (!stream_settings) return refused(stream_settings.error(), exit_usage);
  auto clean = cleaner_of(context, settings);
  if (!clean) return refused(clean.error(), exit_usage);
  auto log = storage::posix_disk::open_to_read(ingest_log_folder(settings.ingest));
  if (!log)
    return refused(
        {log.error().code(),
         text(log.error().why(), "; troupe ingest and troupe serve --ingest make a log")},
        exit_failed);
  auto learner = storage::posix_disk::open(ingest_learner_folder(settings.ingest));
  if (!learner) return refused(learner.error().within("--ingest"), exit_failed);
  open_folders folders{std::move(*log), std::move(*learner)};
  std::unique_ptr<learning_from_log> out(new learning_from_log(std::move(folders)));
  auto* const self = out.get(); // holds the stream
  dataflow::learning_stream_parts parts{
      .read = [self](uint64_t offset) { return self->reader_.read(offset); },
      .end = [self] { return self->reader_.end(); },
      .tokenise =
          [&tokenizer](std::string_view content) { return tokens_of_document(tokenizer, content); },
      .quarantine =
          [self](const dataflow::rejected_document& rejected) {
            return self->quarantine_.put(rejected);
          }};
  out->stream_ = std::make_unique<dataflow::learning_stream>(*stream_settings, std::move(*clean),
                                                             std::move(parts));
  return out;
}

status learning_from_log::restore(std::span<const std::byte> state) {
  TROUPE_RETURN_IF_ERROR(stream_->restore(state));
  const auto end = reader_.end();
  if (!end) return end.error();
  if (stream_->cursor() > *end)
    return status(status_code::invalid_argument,
                  text("the state of the data is of another log: it has come to document ",
                       stream_->cursor(), ", and this log ends at ", *end));
  return quarantine_.resume();
}

status learning_from_log::commit(uint64_t cursor) {
  TROUPE_RETURN_IF_ERROR(quarantine_.sync());
  return storage::write_ingest_commit(*folders_.learner, cursor);
}

std::string learning_from_log::account() const {
  const auto figures = stream_->figures();
  uint64_t rejected = 0;
  std::string reasons;
  for (const auto& [reason, count] : figures.rejections) {
    rejected += count;
    reasons += text(reasons.empty() ? " (" : ", ", count, " ", reason);
  }
  return text(figures.cursor, " documents looked at: ", figures.accepted, " accepted, of which ",
              figures.waiting, " wait and ", figures.held_out, " are held out; ", rejected,
              " set aside", reasons, reasons.empty() ? "" : ")", "; ", figures.replayable,
              " kept for replay");
}

status write_stream_state(storage::disk& model, std::span<const std::byte> state) {
  TROUPE_RETURN_IF_ERROR(model.write(learn_stream_state_name, storage::seal(state_kind, state)));
  return model.sync(learn_stream_state_name);
}

result<std::vector<std::byte>> read_stream_state(const std::string& model_directory) {
  const auto folder = storage::posix_disk::open_to_read(model_directory);
  if (!folder) return fail(folder.error());
  const auto bytes = (*folder)->read(learn_stream_state_name);
  if (!bytes) return fail(bytes.error());
  const auto content = storage::unseal(state_kind, *bytes);
  if (!content)
    return fail(content.error().within(text(model_directory, "/", learn_stream_state_name)));
  return std::vector<std::byte>(content->begin(), content->end());
}

} // namespace troupe::cli
