#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace cli {

// Of a file by the etag that a Hub gives it: the SHA-256 of a large file (64 hexadecimal digits),
// or the hash by which git names a small one (40). Any other etag is no checksum.
class Checksum {
  public:
    // `size` in bytes, of the whole file.
    Checksum(const std::string& etag, uint64_t size);
    ~Checksum();

    // The next bytes of the file.
    void add(std::string_view bytes);
    // All were added, and they are the file's. True without a checksum.
    bool is_right();
    // From the first byte again.
    void restart();

  private:
    struct Digest;
    std::unique_ptr<Digest> digest_;  // null: no checksum
    std::string expected_;            // lower case
    uint64_t size_;
};

}  // namespace cli
