#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "support/tensor_encoding.h"

namespace puna::test {

// Memory at a multiple of 64, as a host that maps a file or loads an asset would hand it over.
template <class T>
struct CacheLineAllocator {
    using value_type = T;
    static constexpr std::align_val_t kAlignment{64};

    CacheLineAllocator() = default;
    template <class U>
    CacheLineAllocator(const CacheLineAllocator<U>&) {}

    T* allocate(size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), kAlignment)); }
    void deallocate(T* memory, size_t) { ::operator delete(memory, kAlignment); }
    bool operator==(const CacheLineAllocator&) const { return true; }
};
using AlignedBytes = std::vector<uint8_t, CacheLineAllocator<uint8_t>>;

// The alternatives stand in the order of GGUF's value types, so the index is the type number.
// Give the exact type: set("llama.block_count", 2) writes an int32, 2u a uint32, and a
// std::vector an array.
using MetadataArray =
    std::variant<std::vector<uint8_t>, std::vector<int8_t>, std::vector<uint16_t>,
                 std::vector<int16_t>, std::vector<uint32_t>, std::vector<int32_t>,
                 std::vector<float>, std::vector<bool>, std::vector<std::string>, std::monostate,
                 std::vector<uint64_t>, std::vector<int64_t>, std::vector<double>>;
using MetadataValue = std::variant<uint8_t, int8_t, uint16_t, int16_t, uint32_t, int32_t, float,
                                   bool, std::string, MetadataArray, uint64_t, int64_t, double>;

// A GGUF file in memory. What goes in through the typed calls comes out as a valid file; the raw
// calls and set_version write whatever a test of refusals needs. Misuse throws
// std::invalid_argument. Keys and tensors keep the order in which they were first named.
class ModelFile {
  public:
    void set_version(uint32_t version) { version_ = version; }

    // The padding of tensor data, 32 unless told; writes general.alignment.
    void set_alignment(uint32_t alignment);

    // Replaces the value of a key that is there already.
    void set(std::string_view key, const MetadataValue& value);
    void set_raw(std::string_view key, uint32_t type, std::vector<uint8_t> bytes);
    bool has(std::string_view key) const;
    void erase(std::string_view key);

    // The shape is in file order: the length of a row comes first. Replaces a tensor of that name.
    void add_tensor(std::string_view name, std::vector<uint64_t> shape,
                    std::span<const float> values, Encoding encoding);
    void add_raw_tensor(std::string_view name, std::vector<uint64_t> shape, uint32_t type,
                        std::vector<uint8_t> bytes);
    bool has_tensor(std::string_view name) const;
    void erase_tensor(std::string_view name);
    void rename_tensor(std::string_view from, std::string_view to);

    AlignedBytes bytes() const;

    // Throws std::runtime_error when the file cannot be written.
    void save(const std::string& path) const;

  private:
    struct Entry {
        std::string name;
        uint32_t type;
        std::vector<uint64_t> shape;  // of a tensor
        std::vector<uint8_t> bytes;
    };

    static Entry& entry_named(std::vector<Entry>& entries, std::string_view name);
    static bool contains(const std::vector<Entry>& entries, std::string_view name);
    static void remove(std::vector<Entry>& entries, std::string_view name);
    size_t padded(size_t size) const { return (size + alignment_ - 1) / alignment_ * alignment_; }
    AlignedBytes header() const;

    uint32_t version_ = 3;
    uint32_t alignment_ = 32;
    std::vector<Entry> metadata_;
    std::vector<Entry> tensors_;
};

}  // namespace puna::test
