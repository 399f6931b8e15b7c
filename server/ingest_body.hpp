// Documents to learn from, as clients send them and as lines of files hold them: a JSON object with
// a string named text; optional are domain, id (a string or an integer) and delete. Other members
// are left alone.
#pragma once

#include "schemas/ingest_records.hpp"
#include "server/api_error.hpp"

#include <string_view>
#include <vector>

namespace troupe::server {

// One object. `source` and `position` are left to the caller.
api_result<schemas::ingest_document> parse_ingest_document(std::string_view json);

// The body of POST /v1/data: an object, or an object a line ("NDJSON"; empty lines are left out).
// All of it or nothing; a failure names the line. Positions are lines, from one. Lines are seen as
// such whatever the type says, as many clients send one of their own.
api_result<std::vector<schemas::ingest_document>> parse_ingest_body(std::string_view body,
                                                                    std::string_view content_type);

} // namespace troupe::server
