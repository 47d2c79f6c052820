// Writes GGUF files, whole or split. The format: docs/gguf.md of the ggml project, version 3.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/status.h"
#include "format/gguf_header.h"

namespace puna::core {

class FileWriter;

class GgufWriter {
  public:
    static constexpr uint32_t kAlignment = 32;  // of tensor data; the format's default
    static constexpr uint32_t kMaxParts = 256;  // as many as a load takes

    struct Tensor {
        std::string name;
        BlockFormat format;
        uint32_t n_dims;
        std::array<uint64_t, 4> ne;  // the row length first
        uint64_t n_elements;
        uint64_t n_bytes;
    };

    // Keys stand in the file in the order they were first set; setting one again replaces it.
    void set_u16(std::string_view key, uint16_t value) {
        set_number(key, GgufType::kUint16, value);
    }
    void set_u32(std::string_view key, uint32_t value) {
        set_number(key, GgufType::kUint32, value);
    }
    void set_i32(std::string_view key, int32_t value) { set_number(key, GgufType::kInt32, value); }
    void set_f32(std::string_view key, float value) { set_number(key, GgufType::kFloat32, value); }
    void set_bool(std::string_view key, bool value) {
        set_number(key, GgufType::kBool, static_cast<uint8_t>(value));
    }
    void set_string(std::string_view key, std::string_view value);
    void set_strings(std::string_view key, std::span<const std::string> values);
    void set_f32s(std::string_view key, std::span<const float> values) {
        set_numbers(key, GgufType::kFloat32, values);
    }
    void set_i32s(std::string_view key, std::span<const int32_t> values) {
        set_numbers(key, GgufType::kInt32, values);
    }
    // The value of another file, as it is.
    void copy(const GgufEntry& entry);

    // PUNA_ERROR_ARGUMENT for a name that is empty, too long or taken, for a shape of 0 or more
    // than 4 dimensions, and for rows that do not divide into blocks.
    Status add_tensor(std::string_view name, BlockFormat format, std::span<const uint64_t> shape);
    std::span<const Tensor> tensors() const { return tensors_; }
    uint64_t data_bytes() const;  // of all tensors

    // Fills the next bytes of a tensor: whole blocks, from its first element on, piece by piece.
    using Fill = std::function<Status(const Tensor& tensor, std::span<std::byte> bytes)>;

    // Writes the file `path`, or, when the tensors take more than `part_bytes` (0: no limit), parts
    // named by split_name() that hold no more, or one tensor. They appear under their names when the
    // last byte is written, and not at all when that fails. Returns the number of files.
    Result<uint32_t> write(const std::string& path, uint64_t part_bytes, const Fill& fill) const;

  private:
    struct Value {
        std::string key;
        std::vector<std::byte> bytes;  // type and value, as the file has them
    };
    struct Part {
        size_t first = 0;  // tensors
        size_t count = 0;
    };

    template <class T>
    void set_number(std::string_view key, GgufType type, T value);
    template <class T>
    void set_numbers(std::string_view key, GgufType type, std::span<const T> values);
    std::vector<std::byte>& value_of(std::string_view key);
    std::vector<Part> parts(uint64_t part_bytes) const;
    std::vector<std::byte> header(std::span<const Tensor> tensors) const;
    Status write_part(const Part& part, const std::vector<std::byte>& header, FileWriter& file,
                      const Fill& fill) const;

    std::vector<Value> values_;
    std::vector<Tensor> tensors_;
    std::unordered_set<std::string> tensor_names_;
};

}  // namespace puna::core
