// The ways in which a host hands a file to the library, with a count of the calls of `release`.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>

#include "puna/puna.h"
#include "support/model_file.h"

namespace puna::test {

// Bytes in memory as a source: its address and this object stay where they are.
class MemorySource {
  public:
    explicit MemorySource(AlignedBytes bytes) : bytes_(std::move(bytes)) {}
    explicit MemorySource(const ModelFile& file) : MemorySource(file.bytes()) {}
    MemorySource(const MemorySource&) = delete;
    MemorySource& operator=(const MemorySource&) = delete;

    puna_source in_place() {
        puna_source source = described();
        source.memory = bytes_.data();
        return source;
    }
    puna_source by_callback() {
        puna_source source = described();
        source.read = read;
        return source;
    }

    AlignedBytes& bytes() { return bytes_; }
    int n_released() const { return n_released_; }
    int n_reads() const { return n_reads_; }
    uint64_t n_bytes_read() const { return n_bytes_read_; }
    // The callback fails at and after this read; counted from 0.
    void fail_from_read(int index) { fail_from_ = index; }

  private:
    puna_source described() {
        puna_source source = PUNA_SOURCE_INIT;
        source.length = bytes_.size();
        source.user = this;
        source.release = [](void* user) { ++static_cast<MemorySource*>(user)->n_released_; };
        return source;
    }
    static int32_t PUNA_CALL read(uint64_t offset, void* buffer, size_t size, void* user) {
        auto& self = *static_cast<MemorySource*>(user);
        if (self.n_reads_++ >= self.fail_from_) return 1;
        if (offset > self.bytes_.size() || size > self.bytes_.size() - offset) return 2;
        self.n_bytes_read_ += size;
        std::memcpy(buffer, self.bytes_.data() + offset, size);
        return 0;
    }

    AlignedBytes bytes_;
    int n_released_ = 0;
    int n_reads_ = 0;
    uint64_t n_bytes_read_ = 0;
    int fail_from_ = INT32_MAX;
};

// A file that lasts as long as the object: `lead` bytes of something else, then the contents.
class TemporaryFile {
  public:
    TemporaryFile(std::string path, std::span<const uint8_t> contents, size_t lead = 0)
        : path_(std::move(path)) {
        std::FILE* file = std::fopen(path_.c_str(), "wb");
        if (file == nullptr) throw std::runtime_error("cannot write " + path_);
        const std::string before(lead, '?');
        const bool written =
            std::fwrite(before.data(), 1, lead, file) == lead &&
            std::fwrite(contents.data(), 1, contents.size(), file) == contents.size();
        if (std::fclose(file) != 0 || !written) throw std::runtime_error("cannot write " + path_);
    }
    ~TemporaryFile() { std::remove(path_.c_str()); }
    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;

    const std::string& path() const { return path_; }

  private:
    std::string path_;
};

}  // namespace puna::test
