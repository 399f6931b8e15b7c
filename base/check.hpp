// The check that ends the process when a bug shows itself; always on, in every build.
#pragma once

namespace troupe {

// Prints file, line and expression on standard error and aborts. Any thread.
[[noreturn]] void check_failed(const char* file, int line, const char* expression);

} // namespace troupe

#define TROUPE_CHECK(cond) \
  ((cond) ? static_cast<void>(0) : ::troupe::check_failed(__FILE__, __LINE__, #cond))
