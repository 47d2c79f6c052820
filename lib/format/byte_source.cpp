#include "format/byte_source.h"

#include <algorithm>
#include <cassert>
#include <cinttypes>

namespace puna::core {

Status ByteSource::require(uint64_t n_bytes) const {
    if (n_bytes <= remaining()) return {};
    return make_status(PUNA_ERROR_TRUNCATED,
                       "the file ends at byte %" PRIu64 ", %" PRIu64
                       " bytes are needed at byte %" PRIu64,
                       size_, n_bytes, position_);
}

Status ByteSource::read(void* dst, size_t n_bytes) {
    PUNA_TRY(require(n_bytes));
    PUNA_TRY(read_at(position_, dst, n_bytes));
    position_ += n_bytes;
    return {};
}

Status ByteSource::skip(uint64_t n_bytes) {
    PUNA_TRY(require(n_bytes));
    position_ += n_bytes;
    return {};
}

const std::byte* ByteSource::view(size_t) const {
    return nullptr;
}

void ByteSource::rewind(uint64_t position) {
    assert(position <= position_);
    position_ = position;
}

const std::byte* SpanSource::view(size_t n_bytes) const {
    assert(n_bytes <= remaining());
    (void)n_bytes;
    return bytes_.data() + position();
}

Status SpanSource::read_at(uint64_t position, void* dst, size_t n_bytes) {
    if (n_bytes != 0) std::memcpy(dst, bytes_.data() + position, n_bytes);
    return {};
}

Status CallbackSource::read_at(uint64_t position, void* dst, size_t n_bytes) {
    auto* out = static_cast<std::byte*>(dst);
    while (n_bytes != 0) {
        if (position >= block_start_ && position - block_start_ < block_size_) {
            const auto at = static_cast<size_t>(position - block_start_);
            const size_t n = std::min(n_bytes, block_size_ - at);
            std::memcpy(out, block_.get() + at, n);
            position += n;
            out += n;
            n_bytes -= n;
            continue;
        }
        if (n_bytes >= kBlockBytes) return callback_(position, out, n_bytes);
        if (block_ == nullptr) block_.reset(new std::byte[kBlockBytes]);
        block_size_ = 0;  // stays empty if the callback fails
        block_start_ = position / kBlockBytes * kBlockBytes;
        const uint64_t n = std::min<uint64_t>(kBlockBytes, size() - block_start_);
        PUNA_TRY(callback_(block_start_, block_.get(), static_cast<size_t>(n)));
        block_size_ = static_cast<size_t>(n);
    }
    return {};
}

}  // namespace puna::core
