// The header of a GGUF file: metadata and the list of tensors. read_gguf makes it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "format/block_format.h"
#include "format/byte_order.h"

namespace puna::core {

// The numbers are those of the file format.
enum class GgufType : uint32_t {
    kUint8 = 0,
    kInt8 = 1,
    kUint16 = 2,
    kInt16 = 3,
    kUint32 = 4,
    kInt32 = 5,
    kFloat32 = 6,
    kBool = 7,
    kString = 8,
    kArray = 9,
    kUint64 = 10,
    kInt64 = 11,
    kFloat64 = 12,
};

const char* gguf_type_name(GgufType type);

// Bytes of one scalar of the type; 0 for strings and arrays.
size_t gguf_type_bytes(GgufType type);

// A metadata value. Every byte was verified while the header was read: bools are 0 or 1, the
// strings of an array fill its bytes exactly.
struct GgufEntry {
    std::string_view key;
    uint64_t offset = 0;  // of the key in the file
    GgufType type = GgufType::kUint8;
    GgufType element_type = GgufType::kUint8;  // of an array
    uint64_t count = 0;                        // elements of an array
    // A scalar's little-endian bytes, a string's text, an array's elements; possibly unaligned.
    std::span<const std::byte> bytes;

    std::string_view text() const {
        return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    }
};

// The strings of an array, read as they are walked.
class GgufStrings {
  public:
    class Iterator {
      public:
        using value_type = std::string_view;
        using difference_type = std::ptrdiff_t;

        Iterator() = default;
        explicit Iterator(const std::byte* at) : at_(at) {}
        std::string_view operator*() const {
            return {reinterpret_cast<const char*>(at_ + 8), length()};
        }
        Iterator& operator++() {
            at_ += 8 + length();
            return *this;
        }
        Iterator operator++(int) {
            Iterator before = *this;
            ++*this;
            return before;
        }
        bool operator==(const Iterator&) const = default;

      private:
        size_t length() const { return static_cast<size_t>(load_le<uint64_t>(at_)); }

        const std::byte* at_ = nullptr;
    };

    GgufStrings() = default;
    GgufStrings(std::span<const std::byte> bytes, size_t count) : bytes_(bytes), count_(count) {}

    size_t size() const { return count_; }
    bool empty() const { return count_ == 0; }
    Iterator begin() const { return Iterator(bytes_.data()); }
    Iterator end() const { return Iterator(bytes_.data() + bytes_.size()); }

  private:
    std::span<const std::byte> bytes_;
    size_t count_ = 0;
};

// The numbers of an array, loaded as T whatever integer type the file holds (the values fit).
template <class T>
class GgufNumbers {
  public:
    GgufNumbers() = default;
    GgufNumbers(GgufType type, const std::byte* data, size_t count)
        : type_(type), data_(data), count_(count) {}

    size_t size() const { return count_; }
    bool empty() const { return count_ == 0; }
    T operator[](size_t i) const;

  private:
    GgufType type_ = GgufType::kUint8;
    const std::byte* data_ = nullptr;
    size_t count_ = 0;
};

struct GgufTensor {
    std::string_view name;
    BlockFormat format = BlockFormat::kF32;
    uint32_t n_dims = 0;
    std::array<uint64_t, 4> ne = {1, 1, 1, 1};  // elements per dimension, the row length first
    uint64_t offset = 0;                        // of the data, from the start of the file
    uint64_t n_elements = 0;
    uint64_t n_bytes = 0;
};

// Keys, names and values are views. Where the source has memory of its own (memory, a mapped
// file) they point into it and it must outlive the header; otherwise the header owns them.
class GgufHeader {
  public:
    static constexpr uint64_t kAnyCount = UINT64_MAX;

    const std::string& name() const { return name_; }  // of the file, for messages
    uint32_t version() const { return version_; }
    uint32_t alignment() const { return alignment_; }
    uint64_t data_offset() const { return data_offset_; }  // of the tensor data, from the start
    std::span<const GgufEntry> entries() const { return entries_; }  // in the order of the file
    std::span<const GgufTensor> tensors() const { return tensors_; }

    // Null when there is none.
    const GgufEntry* find(std::string_view key) const;
    const GgufTensor* find_tensor(std::string_view tensor_name) const;
    bool has(std::string_view key) const { return find(key) != nullptr; }

    // A value of the type asked for. A missing key is PUNA_ERROR_MODEL, a wrong type, count or
    // range PUNA_ERROR_FORMAT. Integers may be stored in any integer type that holds the value.
    Result<uint32_t> get_u32(std::string_view key) const;
    Result<uint64_t> get_u64(std::string_view key) const;
    Result<float> get_f32(std::string_view key) const;
    Result<bool> get_bool(std::string_view key) const;
    Result<std::string_view> get_string(std::string_view key) const;

    // The fallback when the key is missing; a wrong type is an error still.
    Result<uint32_t> get_u32_or(std::string_view key, uint32_t fallback) const;
    Result<uint64_t> get_u64_or(std::string_view key, uint64_t fallback) const;
    Result<float> get_f32_or(std::string_view key, float fallback) const;
    Result<bool> get_bool_or(std::string_view key, bool fallback) const;
    Result<std::string_view> get_string_or(std::string_view key, std::string_view fallback) const;

    // Arrays of exactly `count` elements, or of any number.
    Result<GgufStrings> get_strings(std::string_view key, uint64_t count = kAnyCount) const;
    Result<GgufNumbers<float>> get_f32s(std::string_view key, uint64_t count = kAnyCount) const;
    Result<GgufNumbers<int32_t>> get_i32s(std::string_view key, uint64_t count = kAnyCount) const;
    Result<GgufNumbers<uint32_t>> get_u32s(std::string_view key, uint64_t count = kAnyCount) const;

    // A failure that names the file, the key and its place, for callers that refuse a value.
    PUNA_PRINTF(4, 5)
    Status key_error(puna_status code, std::string_view key, const char* format, ...) const;

  private:
    friend class GgufParser;

    Result<const GgufEntry*> find_typed(std::string_view key, GgufType type) const;
    Result<const GgufEntry*> find_array(std::string_view key, uint64_t count) const;
    template <class T>
    Result<T> get_integer(std::string_view key) const;
    template <class T>
    Result<GgufNumbers<T>> get_integers(std::string_view key, uint64_t count) const;
    template <class T>
    Status range_error(std::string_view key, GgufType type, uint64_t bits) const;
    Status element_error(const GgufEntry& entry, GgufType wanted) const;

    std::string name_;
    uint32_t version_ = 0;
    uint32_t alignment_ = 32;
    uint64_t data_offset_ = 0;
    std::vector<GgufEntry> entries_;
    std::vector<GgufTensor> tensors_;
    std::vector<uint32_t> entries_by_key_;   // sorted, so that no crafted names make it slow
    std::vector<uint32_t> tensors_by_name_;  // sorted
    std::vector<std::unique_ptr<std::byte[]>> owned_;
};

// "key 'general.name' at byte 24", for messages: cut so that a long name leaves room for what is
// wrong with it.
struct GgufPlace {
    GgufPlace(const char* noun, std::string_view name, std::optional<uint64_t> offset = {});

    static constexpr size_t kMaxNameLength = 64;
    char text[128];
};

// An integer of the given type, sign-extended to 64 bits.
uint64_t gguf_load_integer(GgufType type, const std::byte* bytes);

template <class T>
T GgufNumbers<T>::operator[](size_t i) const {
    const std::byte* at = data_ + i * gguf_type_bytes(type_);
    if constexpr (std::is_floating_point_v<T>) {
        return load_le<T>(at);
    } else {
        return static_cast<T>(gguf_load_integer(type_, at));
    }
}

}  // namespace puna::core
