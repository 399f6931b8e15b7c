// A shared, immutable object inside a message between actors of one process. It never leaves the
// node: serialising it fails.
#pragma once

#include <caf/error.hpp>
#include <caf/meta/type_name.hpp>
#include <caf/sec.hpp>

#include <memory>
#include <string>
#include <type_traits>

namespace troupe::actors {

// The owners are the messages and the states that keep it; the object lives as long as one of them.
template <class T>
struct local_ref {
  std::shared_ptr<const T> value;
  const T& operator*() const { return *value; }
  const T* operator->() const { return value.get(); }
};

// To text it is opaque (an address would make traces differ from run to run).
template <class Inspector, class T>
typename Inspector::result_type inspect(Inspector& f, local_ref<T>&) {
  if constexpr (std::is_same_v<typename Inspector::result_type, caf::error>)
    return caf::make_error(caf::sec::state_not_serializable,
                           std::string("local_ref stays on its node"));
  else
    return f(caf::meta::type_name("local_ref"));
}

template <class T>
local_ref<T> make_local(T value) {
  return {std::make_shared<const T>(std::move(value))};
}

} // namespace troupe::actors
