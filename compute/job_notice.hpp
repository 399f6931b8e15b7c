// A thread that others count on to come back soon says here whom to tell that it will not, because
// it is about to compute.
#pragma once

namespace troupe::compute {

using job_notice = void (*)(void* context);

// For the calling thread; null: nobody.
void set_job_notice(job_notice call, void* context);
// Made by an executor before every job, on the thread that will compute.
void give_job_notice();

} // namespace troupe::compute
