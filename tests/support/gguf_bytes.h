// A GGUF file byte by byte, right or wrong: nothing is checked, counts are what the test says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "format/block_format.h"
#include "format/byte_order.h"
#include "format/gguf_reader.h"

namespace puna::test {

class GgufBytes {
  public:
    template <class T>
    GgufBytes& number(T value) {
        std::byte bytes[sizeof(T)];
        core::store_le(bytes, value);
        bytes_.insert(bytes_.end(), bytes, bytes + sizeof bytes);
        return *this;
    }
    GgufBytes& raw(std::string_view text) {
        for (const char c : text) bytes_.push_back(static_cast<std::byte>(c));
        return *this;
    }
    GgufBytes& text(std::string_view text) { return number<uint64_t>(text.size()).raw(text); }
    GgufBytes& zeros(size_t n) {
        bytes_.resize(bytes_.size() + n);
        return *this;
    }
    GgufBytes& pad(size_t alignment) { return zeros((alignment - size() % alignment) % alignment); }

    GgufBytes& prologue(uint32_t version, uint64_t n_tensors, uint64_t n_keys) {
        return raw("GGUF").number(version).number(n_tensors).number(n_keys);
    }
    GgufBytes& key(std::string_view name, core::GgufType type) {
        return text(name).number(static_cast<uint32_t>(type));
    }
    template <class T>
    GgufBytes& key_value(std::string_view name, core::GgufType type, T value) {
        return key(name, type).number(value);
    }
    GgufBytes& key_text(std::string_view name, std::string_view value) {
        return key(name, core::GgufType::kString).text(value);
    }
    // The elements follow.
    GgufBytes& key_array(std::string_view name, core::GgufType element, uint64_t count) {
        return key(name, core::GgufType::kArray)
            .number(static_cast<uint32_t>(element))
            .number(count);
    }
    GgufBytes& tensor(std::string_view name, const std::vector<uint64_t>& ne, uint32_t type_id,
                      uint64_t offset) {
        text(name).number(static_cast<uint32_t>(ne.size()));
        for (const uint64_t n : ne) number(n);
        return number(type_id).number(offset);
    }
    GgufBytes& tensor(std::string_view name, const std::vector<uint64_t>& ne,
                      core::BlockFormat format, uint64_t offset) {
        return tensor(name, ne, static_cast<uint32_t>(format), offset);
    }

    size_t size() const { return bytes_.size(); }
    const std::vector<std::byte>& bytes() const { return bytes_; }

  private:
    std::vector<std::byte> bytes_;
};

}  // namespace puna::test
