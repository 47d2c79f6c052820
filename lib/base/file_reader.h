// Reading a regular file at given offsets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "base/status.h"

namespace puna::core {

// Paths are UTF-8. Reading is thread-safe: there is no file position.
class FileReader {
  public:
    FileReader() = default;
    FileReader(FileReader&& other) noexcept { swap(other); }
    FileReader& operator=(FileReader&& other) noexcept {
        FileReader(std::move(other)).swap(*this);
        return *this;
    }
    ~FileReader();

    // Refuses what is not a regular file, without blocking on it.
    static Result<FileReader> open(const std::string& path);

    const std::string& path() const { return path_; }
    // When opened. 0 for files of /proc and /sys, which have contents all the same.
    uint64_t size() const { return size_; }
    // A file descriptor or a HANDLE.
    intptr_t native_handle() const { return handle_; }

    // Fills `out` from `offset` on; PUNA_ERROR_TRUNCATED when the file ends before that. Failures of
    // reading do not name the file, which the caller may know by another name.
    Status read_at(uint64_t offset, std::span<std::byte> out) const;
    // One read of the operating system: how many bytes came, 0 at the end of the file.
    Result<size_t> read_some(uint64_t offset, std::span<std::byte> out) const;

  private:
    static constexpr intptr_t kNoHandle = -1;

    void swap(FileReader& other) noexcept {
        std::swap(path_, other.path_);
        std::swap(size_, other.size_);
        std::swap(handle_, other.handle_);
    }

    std::string path_;
    uint64_t size_ = 0;
    intptr_t handle_ = kNoHandle;
};

// The whole contents whatever size the file claims (/proc claims 0), refused beyond `max_size`.
Result<std::string> read_text_file(const std::string& path, size_t max_size);

// A path the operating system can take: not empty, no NUL inside.
Status check_path(const std::string& path);

}  // namespace puna::core
