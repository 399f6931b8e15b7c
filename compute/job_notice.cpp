// One notice per thread.
#include "compute/job_notice.hpp"

namespace troupe::compute {
namespace {

thread_local job_notice notice = nullptr;
thread_local void* notice_context = nullptr;

} // namespace

void set_job_notice(job_notice call, void* context) {
  notice = call;
  notice_context = context;
}

void give_job_notice() {
  if (notice != nullptr) notice(notice_context);
}

} // namespace troupe::compute
