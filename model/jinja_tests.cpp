// The tests of Jinja: what may stand behind `is`.
#include "model/jinja_runtime.hpp"

#include <algorithm>
#include <utility>

namespace troupe::model {
namespace {

using value = template_value;

template <int Wanted, bool OrEqual>
bool ordered(jinja_runtime& runtime, const value& subject, const jinja_call& call) {
  const auto order = python_compare(subject, call.get(0, "other", {}));
  if (!order) runtime.fails(call.at, "the values cannot be compared");
  return order && (*order == Wanted || (OrEqual && *order == 0));
}

template <bool Equal>
bool equals(jinja_runtime& runtime, const value& subject, const jinja_call& call) {
  return runtime.equal(call.at, subject, call.get(0, "other", {})) == Equal;
}

bool has_remainder(jinja_runtime& runtime, const value& subject, const jinja_call& call,
                   int64_t divisor, bool wanted) {
  if (!subject.is_number() || divisor == 0) {
    runtime.fails(call.at, "the test needs a number");
    return false;
  }
  if (subject.is_float())
    return (runtime.binary(call.at, "%", subject, divisor).number() != 0) == wanted;
  return (subject.integer() % divisor != 0) == wanted;
}

bool is_cased_as(const value& subject, std::string (*change)(std::string_view)) {
  if (!subject.is_string()) return false;
  // Python: at least one cased letter, and none of the other case.
  const std::string& text = subject.string();
  return change(text) == text && (python_lower(text) != text || python_upper(text) != text);
}

bool test_in(jinja_runtime& runtime, const value& subject, const jinja_call& call) {
  return runtime.contains(call.at, call.get(0, "seq", {}), subject);
}

bool is_sequence(const value& subject) {
  return subject.is_list() || subject.is_string() || subject.is_dict() || subject.is_undefined();
}

constexpr std::pair<std::string_view, jinja_test> tests[] = {
    {"defined", [](auto&, const value& v, const auto&) { return !v.is_undefined(); }},
    {"undefined", [](auto&, const value& v, const auto&) { return v.is_undefined(); }},
    {"none", [](auto&, const value& v, const auto&) { return v.is_none(); }},
    {"boolean", [](auto&, const value& v, const auto&) { return v.is_bool(); }},
    {"true", [](auto&, const value& v, const auto&) { return v.is_bool() && v.boolean(); }},
    {"false", [](auto&, const value& v, const auto&) { return v.is_bool() && !v.boolean(); }},
    {"integer", [](auto&, const value& v, const auto&) { return v.is_int(); }},
    {"float", [](auto&, const value& v, const auto&) { return v.is_float(); }},
    {"number", [](auto&, const value& v, const auto&) { return v.is_number(); }},
    {"string", [](auto&, const value& v, const auto&) { return v.is_string(); }},
    {"mapping", [](auto&, const value& v, const auto&) { return v.is_dict(); }},
    {"sequence", [](auto&, const value& v, const auto&) { return is_sequence(v); }},
    {"iterable", [](auto&, const value& v, const auto&) { return is_sequence(v) || v.is_loop(); }},
    {"callable", [](auto&, const value& v, const auto&) { return v.is_callable(); }},
    {"escaped", [](auto&, const value&, const auto&) { return false; }},
    {"odd", [](auto& r, const value& v, const auto& c) { return has_remainder(r, v, c, 2, true); }},
    {"even",
     [](auto& r, const value& v, const auto& c) { return has_remainder(r, v, c, 2, false); }},
    {"divisibleby",
     [](auto& r, const value& v, const auto& c) {
       const value by = c.get(0, "num", {});
       return has_remainder(r, v, c, by.is_int() ? by.integer() : 0, false);
     }},
    {"lower", [](auto&, const value& v, const auto&) { return is_cased_as(v, python_lower); }},
    {"upper", [](auto&, const value& v, const auto&) { return is_cased_as(v, python_upper); }},
    {"filter",
     [](auto&, const value& v, const auto&) {
       return v.is_string() && find_jinja_filter(v.string()) != nullptr;
     }},
    {"test", [](auto&, const value& v,
                const auto&) { return v.is_string() && find_jinja_test(v.string()) != nullptr; }},
    {"sameas",
     [](auto& r, const value& v, const auto& c) {
       const value other = c.get(0, "other", {});
       return python_type(v) == python_type(other) && r.equal(c.at, v, other);
     }},
    {"in", test_in},
    {"eq", equals<true>},
    {"==", equals<true>},
    {"equalto", equals<true>},
    {"ne", equals<false>},
    {"!=", equals<false>},
    {"lt", ordered<-1, false>},
    {"<", ordered<-1, false>},
    {"lessthan", ordered<-1, false>},
    {"le", ordered<-1, true>},
    {"<=", ordered<-1, true>},
    {"gt", ordered<1, false>},
    {">", ordered<1, false>},
    {"greaterthan", ordered<1, false>},
    {"ge", ordered<1, true>},
    {">=", ordered<1, true>},
};

} // namespace

jinja_test find_jinja_test(std::string_view name) {
  const auto* found = std::find_if(std::begin(tests), std::end(tests),
                                   [name](const auto& test) { return test.first == name; });
  return found == std::end(tests) ? nullptr : found->second;
}

} // namespace troupe::model
