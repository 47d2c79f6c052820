// ByteSource: what a file is parsed from, forward, one value at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "base/status.h"

namespace puna::core {

class ByteSource {
  public:
    virtual ~ByteSource() = default;

    uint64_t size() const { return size_; }
    uint64_t position() const { return position_; }
    uint64_t remaining() const { return size_ - position_; }

    // PUNA_ERROR_TRUNCATED unless so many bytes remain.
    Status require(uint64_t n_bytes) const;

    // Every call either advances by exactly the bytes asked for, or fails and stays where
    // it was.
    Status read(void* dst, size_t n_bytes);
    Status skip(uint64_t n_bytes);

    // The next bytes in place, without advancing, or null where the source has no memory of its
    // own. They must lie within remaining().
    virtual const std::byte* view(size_t n_bytes) const;

    // Back to a position at or before the present one.
    void rewind(uint64_t position);

  protected:
    explicit ByteSource(uint64_t size) : size_(size) {}
    ByteSource(const ByteSource&) = delete;
    ByteSource& operator=(const ByteSource&) = delete;

    // Copies bytes that are known to lie within the source.
    virtual Status read_at(uint64_t position, void* dst, size_t n_bytes) = 0;

  private:
    uint64_t size_;
    uint64_t position_ = 0;
};

// Memory or a mapped file. The bytes must outlive the source and every view of it.
class SpanSource final : public ByteSource {
  public:
    explicit SpanSource(std::span<const std::byte> bytes)
        : ByteSource(bytes.size()), bytes_(bytes) {}

    const std::byte* view(size_t n_bytes) const override;

  private:
    Status read_at(uint64_t position, void* dst, size_t n_bytes) override;

    std::span<const std::byte> bytes_;
};

// Fills dst with exactly n_bytes from the offset on, or fails.
using ReadAt = std::function<Status(uint64_t offset, void* dst, size_t n_bytes)>;

// Anything that can be read at an offset, such as a file inside an asset pack. Small reads are
// served from one block, large ones go straight to the destination.
class CallbackSource final : public ByteSource {
  public:
    CallbackSource(uint64_t size, ReadAt read) : ByteSource(size), callback_(std::move(read)) {}

  private:
    static constexpr size_t kBlockBytes = 64 * 1024;

    Status read_at(uint64_t position, void* dst, size_t n_bytes) override;

    ReadAt callback_;
    std::unique_ptr<std::byte[]> block_;
    uint64_t block_start_ = 0;
    size_t block_size_ = 0;  // valid bytes in the block
};

}  // namespace puna::core
