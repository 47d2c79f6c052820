// Writing a file that appears under its name whole, or not at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "base/status.h"

namespace puna::core {

// Bytes go to a new file beside the one wanted, PATH.part-1 or with the next number that is free; commit() gives
// it its name, in place of a file that has it. Without a commit the destructor removes it. Behind a symbolic link
// it is what that leads to. Paths are UTF-8.
class FileWriter {
  public:
    FileWriter() = default;
    FileWriter(FileWriter&& other) noexcept { swap(other); }
    FileWriter& operator=(FileWriter&& other) noexcept {
        FileWriter(std::move(other)).swap(*this);
        return *this;
    }
    ~FileWriter();

    static Result<FileWriter> create(const std::string& path);

    Status append(std::span<const std::byte> bytes);
    Status commit();

  private:
    static constexpr intptr_t kNoHandle = -1;
    static constexpr int kMostTemporaries = 1000;

    // What `path` leads to, which is a file or not there.
    static Result<std::string> replaceable(const std::string& path);
    // Opens a file that was not there, as temporary_; false if it was.
    Result<bool> create_temporary();
    Status close_file();
    // One write of the operating system: how many bytes it took.
    Result<size_t> write_some(std::span<const std::byte> bytes);
    void swap(FileWriter& other) noexcept {
        std::swap(path_, other.path_);
        std::swap(target_, other.target_);
        std::swap(temporary_, other.temporary_);
        std::swap(handle_, other.handle_);
        std::swap(is_temporary_, other.is_temporary_);
    }

    std::string path_;             // as it was given, for errors
    std::string target_;           // without symbolic links
    std::string temporary_;        // beside it
    intptr_t handle_ = kNoHandle;  // a file descriptor or a HANDLE
    bool is_temporary_ = false;    // the file beside the one wanted exists
};

}  // namespace puna::core
