// Readers of what comes to be learnt from.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace troupe::fuzz {

void read_ingest_segment(std::span<const std::byte> bytes);
std::vector<std::string> ingest_segment_seeds();

void read_ingest_body(std::span<const std::byte> bytes);
std::vector<std::string> ingest_body_seeds();

void read_learning_state(std::span<const std::byte> bytes);
std::vector<std::string> learning_state_seeds();

// Cleaning and fingerprints, which see every byte of every document.
void clean_document(std::span<const std::byte> bytes);
std::vector<std::string> document_seeds();

} // namespace troupe::fuzz
