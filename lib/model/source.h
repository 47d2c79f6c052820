// Source: one GGUF file, wherever the host keeps it, held open while anything needs its bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/allocator.h"
#include "base/file_reader.h"
#include "base/mapped_file.h"
#include "base/status.h"
#include "format/byte_source.h"
#include "puna/puna.h"

namespace puna::core {

// Bytes of a tensor, valid as long as the source.
struct WeightView {
    const std::byte* data = nullptr;
    uint64_t size = 0;
    bool is_mapped = false;  // pages of a file
};

// Where the weights of a source lie.
enum class WeightPlace {
    kMapped,    // pages of the file
    kBorrowed,  // the host's memory
    kCopied,    // a buffer of ours that load() fills
};

// Immutable once loaded; calls the host's release exactly once, at its end.
class Source {
  public:
    // Takes the duty to call release over. open() comes next.
    explicit Source(const puna_source& descriptor) noexcept : descriptor_(descriptor) {}
    ~Source();
    Source(const Source&) = delete;
    Source& operator=(const Source&) = delete;

    // `index` of the source in its array, for messages. With disable_mmap a file is read, not
    // mapped; so is a range of a file that does not begin at a multiple of 64, because its tensors
    // would not be aligned in memory as they are in the file.
    Status open(size_t index, bool disable_mmap);

    const std::string& name() const { return name_; }  // for messages
    uint64_t size() const { return size_; }
    WeightPlace place() const { return place_; }

    // From the first byte on. A header that was parsed in place points into this source. Whoever reads
    // it knows name() too, so failures leave it to them.
    std::unique_ptr<ByteSource> byte_source() const;

    Status read_at(uint64_t offset, void* dst, size_t n_bytes) const;

    // Told how many bytes of the range are done; a failure ends the load.
    using Report = std::function<Status(uint64_t n_done)>;

    // Makes the bytes from `begin` to `end` available to tensor_bytes(): reads them into one buffer
    // unless they are in memory or mapped.
    Status load(uint64_t begin, uint64_t end, Allocator& allocator, const Report& report);
    // What load() takes from the allocator.
    uint64_t buffer_bytes(uint64_t begin, uint64_t end) const;

    // A range that was loaded.
    Result<WeightView> tensor_bytes(uint64_t offset, uint64_t size) const;

  private:
    Status check(size_t index) const;
    // As read_at(), but failures do not name the source.
    Status read_bytes(uint64_t offset, void* dst, size_t n_bytes) const;
    Status open_path(bool disable_mmap);
    std::span<const std::byte> bytes_in_place() const;
    Status prefetch(uint64_t begin, uint64_t end, const Report& report) const;

    puna_source descriptor_;  // its path is not valid after open()
    std::string name_;
    uint64_t size_ = 0;
    WeightPlace place_ = WeightPlace::kCopied;
    MappedFile mapped_;
    FileReader file_;
    Buffer buffer_;
    uint64_t buffer_begin_ = 0;  // of the buffer, in the source
    uint64_t buffer_end_ = 0;
};

// Opens all of them, or none. Every descriptor's release is called in any case, at once for all
// when this fails or throws.
Result<std::vector<std::shared_ptr<Source>>> open_sources(std::span<const puna_source> descriptors,
                                                          bool disable_mmap);

}  // namespace puna::core
