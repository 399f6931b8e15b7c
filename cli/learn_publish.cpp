// Measures, asks the gate, writes the model as a version, and promotes what may be.
#include "cli/learn_publish.hpp"

#include "base/text.hpp"

#include <cmath>
#include <cstring>
#include <utility>

namespace troupe::cli {
namespace {

dataflow::version_figures figures_of(const storage::weights_manifest& manifest) {
  dataflow::version_figures out{.held_out = {}, .imbalance = manifest.imbalance};
  for (const auto& figure : manifest.held_out)
    out.held_out.push_back({figure.domain, figure.bits_per_byte});
  return out;
}

} // namespace

result<std::unique_ptr<version_publisher>> version_publisher::open(
    const publish_settings& settings, storage::weights_registry registry, const subject& of) {
  std::unique_ptr<version_publisher> out(new version_publisher(settings, std::move(registry), of));
  for (const auto& each : settings.gate) {
    const auto file = parse_named_file("--gate", each);
    if (!file) return fail(file.error());
    auto read = read_text_to_judge(of.files, file->path, of.tokenizer, of.context, of.separator);
    if (!read) return fail(read.error().within("--gate"));
    out->domains_.push_back({file->name, std::move(*read)});
  }
  return out;
}

bool version_publisher::all_finite() {
  for (const auto& part : of_.run.state()) {
    if (!part.name.starts_with("value/")) continue;
    for (size_t at = 0; at + sizeof(float) <= part.bytes.size(); at += sizeof(float)) {
      float value = 0;
      std::memcpy(&value, part.bytes.data() + at, sizeof value);
      if (!std::isfinite(value)) return false;
    }
  }
  return true;
}

result<dataflow::version_figures> version_publisher::measure(double imbalance) {
  dataflow::version_figures out{
      .held_out = {}, .imbalance = imbalance, .weights_finite = all_finite()};
  for (const auto& domain : domains_) {
    const auto pieces = domain.text.pieces.all();
    const auto figures = of_.run.evaluate(pieces);
    if (!figures) return fail(figures.error());
    out.held_out.push_back({domain.name, domain.text.bits_per_byte(figures->loss_sum)});
  }
  return out;
}

status version_publisher::publish(double imbalance, const state_hash& state) {
  const auto record = registry_.promotions();
  if (!record) return record.error();
  dataflow::version_figures parent;
  if (record->promoted() != 0) {
    const auto manifest = registry_.read(record->promoted());
    if (!manifest) return manifest.error();
    parent = figures_of(*manifest);
  }
  const auto figures = measure(imbalance);
  if (!figures) return figures.error();
  storage::weights_manifest facts;
  facts.parent = record->promoted();
  facts.step = of_.run.steps();
  facts.state = state();
  facts.created = of_.time.wall_seconds();
  facts.imbalance = imbalance;
  facts.refused = dataflow::gate(
      parent, *figures, {.epsilon = settings_.epsilon, .imbalance_max = settings_.imbalance_max});
  for (const auto& figure : figures->held_out)
    if (std::isfinite(figure.bits_per_byte))
      facts.held_out.push_back({figure.domain, figure.bits_per_byte});
  auto made = registry_.begin();
  if (!made) return made.error();
  TROUPE_RETURN_IF_ERROR(write_model_folder(
      *made->folder, of_.texts,
      [this](const model::byte_sink& to) { return of_.run.write(compute::dtype::f32, to); }));
  const auto published = registry_.publish(std::move(*made), std::move(facts));
  if (!published) return published.error();
  std::string line = text("version ", published->version, " of step ", published->step);
  for (const auto& figure : published->held_out)
    line += text(", ", figure.domain, " ", shown_figure(figure.bits_per_byte));
  const bool passed = published->refused.empty();
  say(line + (passed ? "" : text("; refused: ", published->refused.front())));
  if (!passed || !settings_.promote) return {};
  const auto promoted =
      registry_.promote(published->version, "it passed its gate", of_.time.wall_seconds());
  return promoted ? status() : promoted.error();
}

void version_publisher::after_step(double imbalance, const state_hash& state) {
  if (settings_.every == 0 || of_.run.steps() % settings_.every != 0) return;
  published_ = of_.run.steps();
  last_failure_ = publish(imbalance, state);
  if (!last_failure_.ok()) say(text("no version was published: ", last_failure_.why()));
}

status version_publisher::finish(double imbalance, const state_hash& state) {
  if (of_.run.steps() == 0 || std::exchange(published_, of_.run.steps()) == of_.run.steps())
    return last_failure_;
  return publish(imbalance, state);
}

} // namespace troupe::cli
