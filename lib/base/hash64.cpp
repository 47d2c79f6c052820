#include "base/hash64.h"

#include <bit>
#include <cstring>

namespace puna::core {
namespace {

// Odd, with irregular bits: the fractions of the square roots of 2, 3, 5, 7 and 11.
constexpr uint64_t kSpread = 0x6a09e667f3bcc909;
constexpr uint64_t kMix = 0xbb67ae8584caa73b;
constexpr uint64_t kStateStep = 0x3c6ef372fe94f82b;
constexpr uint64_t kFinal1 = 0xa54ff53a5f1d36f1;
constexpr uint64_t kFinal2 = 0x510e527fade682d1;

// Up to eight bytes as a little-endian number.
uint64_t load_word(const std::byte* bytes, size_t n) {
    uint64_t word = 0;
    std::memcpy(&word, bytes, n);
    if constexpr (std::endian::native == std::endian::big) word = __builtin_bswap64(word);
    return word;
}

// Can be undone for a known word, and for a known state: one word that differs is never lost.
uint64_t absorb(uint64_t state, uint64_t word) {
    state ^= std::rotl(word * kSpread, 31) * kMix;
    return std::rotl(state, 27) * kStateStep + kFinal1;
}

}  // namespace

uint64_t hash64(std::span<const std::byte> bytes, uint64_t seed) {
    uint64_t state = absorb(seed, bytes.size());
    while (bytes.size() >= sizeof(uint64_t)) {
        state = absorb(state, load_word(bytes.data(), sizeof(uint64_t)));
        bytes = bytes.subspan(sizeof(uint64_t));
    }
    if (!bytes.empty()) state = absorb(state, load_word(bytes.data(), bytes.size()));
    state = (state ^ state >> 32) * kFinal1;
    state = (state ^ state >> 29) * kFinal2;
    return state ^ state >> 32;
}

}  // namespace puna::core
