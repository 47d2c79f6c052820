// Unaligned little-endian loads and stores: every number of a file passes through here.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace puna::core {

static_assert(std::endian::native == std::endian::little ||
              std::endian::native == std::endian::big);

template <size_t kSize>
using UnsignedOfSize = std::conditional_t<
    kSize == 1, uint8_t,
    std::conditional_t<kSize == 2, uint16_t, std::conditional_t<kSize == 4, uint32_t, uint64_t>>>;

template <class T>
T load_le(const void* bytes) {
    static_assert(std::is_arithmetic_v<T> && sizeof(T) <= 8);
    using Bits = UnsignedOfSize<sizeof(T)>;
    Bits bits;
    std::memcpy(&bits, bytes, sizeof bits);
    if constexpr (std::endian::native == std::endian::big && sizeof(T) > 1) {
        Bits swapped = 0;
        for (size_t i = 0; i < sizeof bits; ++i) {
            swapped = static_cast<Bits>((swapped << 8) | ((bits >> (8 * i)) & 0xff));
        }
        bits = swapped;
    }
    return std::bit_cast<T>(bits);
}

template <class T>
void store_le(void* bytes, T value) {
    using Bits = UnsignedOfSize<sizeof(T)>;
    const Bits bits = load_le<Bits>(&value);  // a swap on big-endian machines, nothing elsewhere
    std::memcpy(bytes, &bits, sizeof bits);
}

}  // namespace puna::core
