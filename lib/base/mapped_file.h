// Files mapped read-only into memory: weights are used in place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "base/status.h"

namespace puna::core {

class FileReader;

// If another process cuts the file while it is mapped, reading the lost pages faults (POSIX).
class MappedFile {
  public:
    MappedFile() = default;
    MappedFile(MappedFile&& other) noexcept { swap(other); }
    MappedFile& operator=(MappedFile&& other) noexcept {
        MappedFile(std::move(other)).swap(*this);
        return *this;
    }
    ~MappedFile() { unmap(); }

    // The whole file, or `length` bytes at any offset; a range that reaches past the end of the
    // file is PUNA_ERROR_TRUNCATED. The path is UTF-8.
    static Result<MappedFile> open(const std::string& path);
    static Result<MappedFile> open(const std::string& path, uint64_t offset, uint64_t length);

    // Null and 0 for an empty file.
    std::span<const std::byte> bytes() const { return {data_, size_}; }
    const std::byte* data() const { return data_; }
    size_t size() const { return size_; }

    // Asks the system to read these bytes ahead, into large pages where it has them for files, and waits for
    // a part of each of those. A hint: what is out of range is cut off.
    void prefetch(size_t offset, size_t length) const;

  private:
    static Result<MappedFile> map(const FileReader& file, uint64_t offset, uint64_t length);
    // Maps `size` bytes from `aligned_offset`, a multiple of mapping_granularity().
    static Result<void*> map_pages(const FileReader& file, uint64_t aligned_offset, size_t size);
    static size_t mapping_granularity();
    void unmap() noexcept;

    void swap(MappedFile& other) noexcept {
        std::swap(base_, other.base_);
        std::swap(mapped_size_, other.mapped_size_);
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
    }

    void* base_ = nullptr;  // where the pages begin, at or before data_
    size_t mapped_size_ = 0;
    const std::byte* data_ = nullptr;
    size_t size_ = 0;
};

}  // namespace puna::core
