#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "checksum.h"
#include "files.h"

namespace cli {

// A file on its way here: as much of it as has come, from its first byte on, and still there after
// this object is gone. Functions throw std::runtime_error when the disk refuses.
class PartialFile {
  public:
    // Goes on with what an earlier download has left, which is read for the checksum; with `etag`
    // and `whole_size` as Checksum takes them. Throws Interrupted, too.
    PartialFile(const std::string& path, const std::string& etag, uint64_t whole_size,
                const Interrupt& interrupt);

    const std::string& path() const { return path_; }
    uint64_t size() const { return size_; }
    uint64_t whole_size() const { return whole_size_; }

    void write(std::string_view bytes);
    // From the first byte again.
    void restart();
    // Gives it its name, and ends this object, if the checksum is right. Once, when it is whole.
    bool finish(const std::string& name);

  private:
    void take_up(const Interrupt& interrupt);
    [[noreturn]] void fail(const char* what) const;

    std::string path_;
    uint64_t size_ = 0;
    uint64_t whole_size_;
    Checksum checksum_;
    File file_;
};

}  // namespace cli
