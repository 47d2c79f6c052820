// Changes in saved sequences that the checksum would give away; see docs/state_format.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "base/hash64.h"
#include "format/byte_order.h"

namespace puna::test {

using SavedState = std::vector<std::byte>;

// Where the fields of the header stand.
struct StateOffset {
    static constexpr size_t kVersion = 8;
    static constexpr size_t kHeaderSize = 12;
    static constexpr size_t kSize = 16;
    static constexpr size_t kFingerprint = 24;
    static constexpr size_t kKvTypeK = 32;
    static constexpr size_t kKvTypeV = 36;
    static constexpr size_t kLayers = 40;
    static constexpr size_t kHeadsKv = 44;
    static constexpr size_t kHeadDimK = 48;
    static constexpr size_t kHeadDimV = 52;
    static constexpr size_t kTokens = 56;
    static constexpr size_t kValid = 60;
    static constexpr size_t kUnshifted = 64;
    static constexpr size_t kFirstToken = 68;
};

template <class T>
void set_field(SavedState& state, size_t offset, T value) {
    core::store_le(&state[offset], value);
}

// Makes size and checksum fit the rest. The state has at least a header and eight bytes more.
inline void seal(SavedState& state) {
    constexpr size_t kChecksumSize = 8;
    set_field<uint64_t>(state, StateOffset::kSize, state.size());
    const size_t n_hashed = state.size() - kChecksumSize;
    set_field(state, n_hashed, core::hash64(std::span(state).first(n_hashed)));
}

}  // namespace puna::test
