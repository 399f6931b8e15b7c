// Constraints on answers: schemas, patterns and grammars that strangers send.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace troupe::fuzz {

void read_json_schema(std::span<const std::byte> bytes);
void read_regex(std::span<const std::byte> bytes);
void read_ebnf(std::span<const std::byte> bytes);
std::vector<std::string> json_schema_seeds();
std::vector<std::string> regex_seeds();
std::vector<std::string> ebnf_seeds();

} // namespace troupe::fuzz
