#include "model/source.h"

#include <algorithm>
#include <cinttypes>
#include <cstring>
#include <string_view>

namespace puna::core {

namespace {

// Weights are aligned in memory as they are in the file, up to this.
constexpr uint64_t kAlignment = 64;

// The piece of a file that is read, or asked for, between two reports of progress.
constexpr uint64_t kReadBytes = 1 << 20;
constexpr uint64_t kPrefetchBytes = 16 << 20;

constexpr size_t kMaxNameLength = 80;

// The end of the path, so that a message has room for what is wrong.
std::string name_of_path(std::string_view path) {
    if (path.size() <= kMaxNameLength) return std::string(path);
    size_t begin = path.size() - kMaxNameLength;
    while (begin < path.size() && (static_cast<uint8_t>(path[begin]) & 0xc0) == 0x80) ++begin;
    return "..." + std::string(path.substr(begin));
}

// Releases the sources that nobody owns yet.
class Unopened {
  public:
    explicit Unopened(std::span<const puna_source> descriptors) : descriptors_(descriptors) {}
    ~Unopened() {
        for (const puna_source& descriptor : descriptors_) {
            if (descriptor.release != nullptr) descriptor.release(descriptor.user);
        }
    }
    Unopened(const Unopened&) = delete;
    Unopened& operator=(const Unopened&) = delete;

    std::shared_ptr<Source> take_first() {
        auto source = std::make_shared<Source>(descriptors_.front());
        descriptors_ = descriptors_.subspan(1);
        return source;
    }

  private:
    std::span<const puna_source> descriptors_;
};

}  // namespace

Source::~Source() {
    mapped_ = MappedFile();
    if (descriptor_.release != nullptr) descriptor_.release(descriptor_.user);
}

Status Source::open(size_t index, bool disable_mmap) {
    PUNA_TRY(check(index));
    if (descriptor_.path != nullptr) {
        name_ = name_of_path(descriptor_.path);
        return open_path(disable_mmap);
    }
    name_ = "source " + std::to_string(index);
    size_ = descriptor_.length;
    if (descriptor_.memory != nullptr) place_ = WeightPlace::kBorrowed;
    return {};
}

Status Source::check(size_t index) const {
    const puna_source& d = descriptor_;
    const char* wrong = nullptr;
    if ((d.path != nullptr) + (d.memory != nullptr) + (d.read != nullptr) != 1) {
        wrong = "set exactly one of path, memory and read";
    } else if (d.reserved != 0 || d.reserved2 != nullptr) {
        wrong = "reserved fields must be 0";
    } else if (d.path == nullptr && d.offset != 0) {
        wrong = "offset must be 0 with memory and read";
    } else if (d.path == nullptr && d.length == 0) {
        wrong = "length must be the size of the GGUF with memory and read";
    } else if (d.path == nullptr && d.length > (d.memory != nullptr ? SIZE_MAX / 2 : INT64_MAX)) {
        wrong = "length exceeds the address space";
    } else if (reinterpret_cast<uintptr_t>(d.memory) % kAlignment != 0) {
        wrong = "memory must be aligned to 64 bytes";
    }
    if (wrong == nullptr) return {};
    return make_status(PUNA_ERROR_ARGUMENT, "sources[%zu]: %s", index, wrong);
}

Status Source::open_path(bool disable_mmap) {
    const std::string path = descriptor_.path;
    descriptor_.path = nullptr;  // valid during the call only
    PUNA_TRY_ASSIGN(file_, FileReader::open(path));
    const uint64_t offset = descriptor_.offset;
    if (offset > file_.size() || descriptor_.length > file_.size() - offset) {
        return make_status(PUNA_ERROR_TRUNCATED,
                           "%s: the range of %" PRIu64 " bytes at %" PRIu64
                           " reaches past the end of the file at %" PRIu64,
                           name_.c_str(), descriptor_.length, offset, file_.size());
    }
    size_ = descriptor_.length != 0 ? descriptor_.length : file_.size() - offset;
    if (disable_mmap || offset % kAlignment != 0) return {};
    PUNA_TRY_ASSIGN(mapped_, MappedFile::open(path, offset, size_));
    place_ = WeightPlace::kMapped;
    file_ = FileReader();
    return {};
}

std::span<const std::byte> Source::bytes_in_place() const {
    if (place_ == WeightPlace::kMapped) return mapped_.bytes();
    if (place_ == WeightPlace::kCopied) return {};
    return {static_cast<const std::byte*>(descriptor_.memory), static_cast<size_t>(size_)};
}

std::unique_ptr<ByteSource> Source::byte_source() const {
    if (place_ != WeightPlace::kCopied) return std::make_unique<SpanSource>(bytes_in_place());
    return std::make_unique<CallbackSource>(size_, [this](uint64_t offset, void* dst, size_t n) {
        return this->read_bytes(offset, dst, n);
    });
}

Status Source::read_at(uint64_t offset, void* dst, size_t n_bytes) const {
    return read_bytes(offset, dst, n_bytes).within(name_.c_str());
}

Status Source::read_bytes(uint64_t offset, void* dst, size_t n_bytes) const {
    if (offset > size_ || n_bytes > size_ - offset) {
        return make_status(PUNA_ERROR_TRUNCATED,
                           "%zu bytes at %" PRIu64 " reach past its end at %" PRIu64, n_bytes,
                           offset, size_);
    }
    if (place_ != WeightPlace::kCopied) {
        if (n_bytes != 0) std::memcpy(dst, bytes_in_place().data() + offset, n_bytes);
        return {};
    }
    if (descriptor_.read == nullptr) {
        return file_.read_at(descriptor_.offset + offset, {static_cast<std::byte*>(dst), n_bytes});
    }
    if (descriptor_.read(offset, dst, n_bytes, descriptor_.user) == 0) return {};
    return make_status(PUNA_ERROR_CALLBACK_STOPPED,
                       "the read callback failed on %zu bytes at %" PRIu64, n_bytes, offset);
}

uint64_t Source::buffer_bytes(uint64_t begin, uint64_t end) const {
    if (place_ != WeightPlace::kCopied || begin >= end) return 0;
    return (end + kAlignment - 1) / kAlignment * kAlignment - begin / kAlignment * kAlignment;
}

Status Source::load(uint64_t begin, uint64_t end, Allocator& allocator, const Report& report) {
    if (begin >= end || place_ == WeightPlace::kBorrowed) return {};
    if (place_ == WeightPlace::kMapped) return prefetch(begin, end, report);
    const uint64_t n_bytes = buffer_bytes(begin, end);
    if (n_bytes > SIZE_MAX) {
        return make_status(PUNA_ERROR_OUT_OF_MEMORY,
                           "%s: %" PRIu64 " bytes of weights exceed the address space",
                           name_.c_str(), n_bytes);
    }
    const uint64_t buffer_begin = begin / kAlignment * kAlignment;
    PUNA_TRY_ASSIGN(Buffer buffer,
                    Buffer::create(allocator, static_cast<size_t>(n_bytes), kAlignment, "weights"));
    for (uint64_t at = begin; at < end;) {
        const uint64_t n = std::min(kReadBytes, end - at);
        PUNA_TRY(read_at(at, buffer.as<std::byte>() + (at - buffer_begin), static_cast<size_t>(n)));
        at += n;
        PUNA_TRY(report(at - begin));
    }
    buffer_ = std::move(buffer);
    buffer_begin_ = buffer_begin;
    buffer_end_ = end;
    return {};
}

// Lets the system read ahead, so that the first tokens do not wait for one page after the other.
Status Source::prefetch(uint64_t begin, uint64_t end, const Report& report) const {
    for (uint64_t at = begin; at < end;) {
        const uint64_t n = std::min(kPrefetchBytes, end - at);
        mapped_.prefetch(static_cast<size_t>(at), static_cast<size_t>(n));
        at += n;
        PUNA_TRY(report(at - begin));
    }
    return {};
}

Result<WeightView> Source::tensor_bytes(uint64_t offset, uint64_t size) const {
    const bool copied = place_ == WeightPlace::kCopied;
    const uint64_t begin = copied ? buffer_begin_ : 0;
    const uint64_t end = copied ? buffer_end_ : size_;
    if (offset < begin || offset > end || size > end - offset) {
        return make_status(PUNA_ERROR_INTERNAL,
                           "%s: %" PRIu64 " bytes at %" PRIu64 " were not loaded", name_.c_str(),
                           size, offset);
    }
    const std::byte* base = copied ? buffer_.as<std::byte>() : bytes_in_place().data();
    return WeightView{base + (offset - begin), size, place_ == WeightPlace::kMapped};
}

Result<std::vector<std::shared_ptr<Source>>> open_sources(std::span<const puna_source> descriptors,
                                                          bool disable_mmap) {
    Unopened unopened(descriptors);
    std::vector<std::shared_ptr<Source>> sources;
    sources.reserve(descriptors.size());
    for (size_t i = 0; i < descriptors.size(); ++i) {
        sources.push_back(unopened.take_first());
        PUNA_TRY(sources.back()->open(i, disable_mmap));
    }
    return sources;
}

}  // namespace puna::core
