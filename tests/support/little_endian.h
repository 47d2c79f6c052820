#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace puna::test {

// An unsigned integer with the bits of a T.
template <class T>
using BitsOf =
    std::conditional_t<sizeof(T) == 1, uint8_t,
                       std::conditional_t<sizeof(T) == 2, uint16_t,
                                          std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>>>;

template <class Bytes, class T>
void append_little_endian(Bytes& out, T value) {
    BitsOf<T> bits = 0;
    std::memcpy(&bits, &value, sizeof(T));
    for (size_t i = 0; i < sizeof(T); ++i) {
        out.push_back(static_cast<uint8_t>(static_cast<uint64_t>(bits) >> 8 * i));
    }
}

template <class T>
T load_little_endian(const uint8_t* bytes) {
    uint64_t wide = 0;
    for (size_t i = 0; i < sizeof(T); ++i) wide |= static_cast<uint64_t>(bytes[i]) << 8 * i;
    const auto bits = static_cast<BitsOf<T>>(wide);
    T value;
    std::memcpy(&value, &bits, sizeof(T));
    return value;
}

}  // namespace puna::test
