// The signs of 8 elements in 7 bits.
#pragma once

#include <bit>

namespace puna::core {

// The 7 low bits, and an eighth that makes the number of set bits even.
inline unsigned even_signs(unsigned bits) {
    const unsigned seven = bits & 127;
    return seven | static_cast<unsigned>(std::popcount(seven) & 1) << 7;
}

}  // namespace puna::core
