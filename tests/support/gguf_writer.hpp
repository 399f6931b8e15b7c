// Writes GGUF files for tests, byte by byte as the specification says.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace troupe::test_support {

class gguf_writer {
public:
  uint32_t version = 3;
  uint64_t alignment = 32;

  static std::string number(uint64_t value, size_t width) {
    std::string out;
    for (size_t i = 0; i < width; ++i) out += static_cast<char>(value >> (8 * i));
    return out;
  }
  static std::string word(const std::string& content) {
    return number(content.size(), 8) + content;
  }
  static std::string bits_of(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return number(bits, 4);
  }

  // Any value by the number of its type and its bytes.
  void put(const std::string& key, uint32_t type, const std::string& bytes) {
    values_.emplace_back(key, number(type, 4) + bytes);
  }
  void put_u32(const std::string& key, uint64_t value) { put(key, 4, number(value, 4)); }
  void put_f32(const std::string& key, double value) {
    put(key, 6, bits_of(static_cast<float>(value)));
  }
  void put_bool(const std::string& key, bool value) { put(key, 7, number(value ? 1 : 0, 1)); }
  void put_word(const std::string& key, const std::string& value) { put(key, 8, word(value)); }
  void put_array(const std::string& key, uint32_t type, const std::vector<std::string>& elements) {
    std::string bytes = number(type, 4) + number(elements.size(), 8);
    for (const auto& element : elements) bytes += element;
    put(key, 9, bytes);
  }
  void put_words(const std::string& key, const std::vector<std::string>& words) {
    std::vector<std::string> elements;
    for (const auto& each : words) elements.push_back(word(each));
    put_array(key, 8, elements);
  }
  void put_i32s(const std::string& key, const std::vector<int32_t>& numbers) {
    std::vector<std::string> elements;
    for (const int32_t each : numbers) elements.push_back(number(static_cast<uint32_t>(each), 4));
    put_array(key, 5, elements);
  }
  void put_f32s(const std::string& key, const std::vector<float>& numbers) {
    std::vector<std::string> elements;
    for (const float each : numbers) elements.push_back(bits_of(each));
    put_array(key, 6, elements);
  }
  void drop(const std::string& key) {
    std::erase_if(values_, [&](const auto& value) { return value.first == key; });
  }

  struct tensor {
    std::string name;
    std::vector<uint64_t> shape; // slowest dimension first
    uint32_t type = 0;
    std::string bytes;
  };
  std::vector<tensor> tensors;
  tensor& find(const std::string& name) {
    for (auto& each : tensors)
      if (each.name == name) return each;
    return tensors.emplace_back(); // the test that wanted it will fail
  }

  std::string bytes() const {
    std::string out =
        "GGUF" + number(version, 4) + number(tensors.size(), 8) + number(values_.size(), 8);
    for (const auto& [key, value] : values_) out += word(key) + value;
    std::string data;
    for (const auto& each : tensors) {
      data.resize((data.size() + alignment - 1) / alignment * alignment);
      out += word(each.name) + number(each.shape.size(), 4);
      for (size_t i = each.shape.size(); i-- > 0;) out += number(each.shape[i], 8);
      out += number(each.type, 4) + number(data.size(), 8);
      data += each.bytes;
    }
    out.resize((out.size() + alignment - 1) / alignment * alignment);
    return out + data;
  }

private:
  std::vector<std::pair<std::string, std::string>> values_;
};

} // namespace troupe::test_support
