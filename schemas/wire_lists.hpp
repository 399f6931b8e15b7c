// Lists and texts between plain structs and builders or readers of Cap'n Proto. Templates, so that
// nothing that was generated is needed to read this header.
#pragma once

#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

namespace troupe::schemas {

// What a reader may take, and the first thing that was too much. A few bytes can promise a very
// long list, so sizes are looked at before anything is copied.
class wire_budget {
public:
  bool allows(size_t size, size_t size_max, const char* what) {
    if (size <= size_max) return true;
    if (problem_ == nullptr) problem_ = what;
    return false;
  }
  const char* problem() const { return problem_; } // nullptr: none

private:
  const char* problem_ = nullptr; // of static storage
};

template <class Number, class List>
void write_numbers(const std::vector<Number>& from, List to) {
  const auto size = static_cast<unsigned>(from.size());
  for (unsigned i = 0; i < size; ++i) to.set(i, from[i]);
}

template <class List, class Number>
void read_numbers(List from, std::vector<Number>& to) {
  const unsigned size = from.size();
  to.resize(size);
  for (unsigned i = 0; i < size; ++i) to[i] = from[i];
}

// Calls init(size) only for lists that have something, so that empty ones take no space.
template <class Number, class Init>
void write_list(const std::vector<Number>& from, Init init) {
  if (!from.empty()) write_numbers(from, init(static_cast<unsigned>(from.size())));
}

template <class Element, class Init, class Write>
void write_structs(const std::vector<Element>& from, Init init, Write write_one) {
  if (from.empty()) return;
  auto to = init(static_cast<unsigned>(from.size()));
  for (unsigned i = 0; i < from.size(); ++i) write_one(from[i], to[i]);
}

template <class List, class Element, class Read>
void read_structs(List from, std::vector<Element>& to, Read read_one) {
  to.resize(from.size());
  for (unsigned i = 0; i < from.size(); ++i) read_one(from[i], to[i]);
}

template <class Init>
void write_text(const std::string& from, Init init) {
  if (from.empty()) return;
  auto to = init(static_cast<unsigned>(from.size()));
  std::memcpy(to.begin(), from.data(), from.size()); // zero bytes included
}

template <class Text>
void read_text(Text from, std::string& to) {
  to.assign(from.begin(), from.size());
}

} // namespace troupe::schemas
