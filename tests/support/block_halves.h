#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "format/block_format.h"

namespace puna::test {

// Where a block of a quantised format has F16 numbers: its scale, or scale and min. Empty for
// IQ1_M, which scatters its scale over four bytes, and for MXFP4, which has none.
inline std::vector<size_t> half_places(core::BlockFormat format) {
    using enum core::BlockFormat;
    switch (format) {
        case kQ4_1:
        case kQ5_1:
        case kQ4_K:
        case kQ5_K:
            return {0, 2};
        case kQ2_K:
            return {80, 82};
        case kQ3_K:
        case kQ6_K:
        case kTQ1_0:
        case kTQ2_0:
            return {core::block_format_info(format).block_bytes - 2};
        case kIQ1_M:
        case kMXFP4:
            return {};
        default:
            return {0};
    }
}

// Clears the top bit of the exponents: scales below 2, hence finite.
inline void make_scales_finite(core::BlockFormat format, uint8_t* block) {
    if (format == core::BlockFormat::kIQ1_M) block[55] &= 0xbf;
    for (const size_t at : half_places(format)) block[at + 1] &= 0xbf;
}

// Makes scale and min 1.
inline void make_scales_one(core::BlockFormat format, uint8_t* block) {
    constexpr uint16_t kOne = 0x3c00;
    if (format == core::BlockFormat::kMXFP4) block[0] = 127;
    if (format == core::BlockFormat::kIQ1_M) {
        for (size_t i = 0; i < 4; ++i) {
            uint8_t& top = block[49 + 2 * i];
            top = static_cast<uint8_t>((top & 15) | (kOne >> 4 * i & 15) << 4);
        }
    }
    for (const size_t at : half_places(format)) {
        block[at] = kOne & 255;
        block[at + 1] = kOne >> 8;
    }
}

}  // namespace puna::test
