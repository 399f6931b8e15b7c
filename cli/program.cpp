// How commands end.
#include "cli/program.hpp"

#include "base/text.hpp"

namespace troupe::cli {

int program::complain(const status& why, int code) {
  (void)err.write(text("troupe: ", why.why(), "\n")); // nobody is left to tell when this fails
  return code;
}

int program::exit_after_output() {
  const status& failure = out.failure();
  if (failure.ok()) return exit_done;
  if (failure.code() == status_code::cancelled) return exit_unread; // the reader knows that it left
  return complain(failure);
}

} // namespace troupe::cli
