// The formats whose quants are indices: IQ4_NL, IQ4_XS, MXFP4 of 16 values, the others of grids.
#pragma once

#include "cuda/blocks.cuh"
#include "format/iq_grids.h"

namespace puna::cuda {

// ---- 16 values ----------------------------------------------------------------------------------

// Four values of a table as a word.
constexpr uint32_t word_of(const int8_t* values) {
    return static_cast<uint32_t>(static_cast<uint8_t>(values[0])) |
           static_cast<uint32_t>(static_cast<uint8_t>(values[1])) << 8 |
           static_cast<uint32_t>(static_cast<uint8_t>(values[2])) << 16 |
           static_cast<uint32_t>(static_cast<uint8_t>(values[3])) << 24;
}
template <const int8_t (&kValues)[16]>
struct ValueTable {
    static constexpr uint32_t kWords[4] = {word_of(kValues), word_of(kValues + 4),
                                           word_of(kValues + 8), word_of(kValues + 12)};

    // The values of the four nibbles in the lower half of a word.
    __device__ static uint32_t look_up(uint32_t nibbles) {
        constexpr uint32_t kWord0 = kWords[0], kWord1 = kWords[1];
        constexpr uint32_t kWord2 = kWords[2], kWord3 = kWords[3];
        const uint32_t index = nibbles & 0x7777u;
        const uint32_t lower = __byte_perm(kWord0, kWord1, index);
        const uint32_t upper = __byte_perm(kWord2, kWord3, index);
        return __byte_perm(lower, upper, 0x3210u | (nibbles & 0x8888u) >> 1);
    }
    // 32 of them from a group of 16 bytes.
    __device__ static void spread(const uint32_t* words, uint32_t* quants) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const uint32_t first = look_up(words[i]);
            const uint32_t second = look_up(words[i] >> 16);
            quants[i] = __byte_perm(first, second, 0x6420u);
            quants[i + 4] = __byte_perm(first, second, 0x7531u);
        }
    }
};
using Iq4Table = ValueTable<core::kIq4Values>;
using Mxfp4Table = ValueTable<core::kMxfp4Values>;

struct IQ4_NL : BlockTraits<32, 18> {
    template <class Bytes>
    __device__ static void unpack(Bytes block, int, Span& span) {
        uint32_t words[4];
        load_words<2, 4>(block + 2, words);
        Iq4Table::spread(words, span.quants);
        span.scale[0] = load_half(block);
    }
};

struct IQ4_XS : BlockTraits<256, 136> {
    template <class Bytes>
    __device__ static void unpack(Bytes block, int index, Span& span) {
        uint32_t words[4];
        uint32_t head[2];
        load_words<8, 2>(block, head);
        load_words<8, 4>(block + 8 + 16 * index, words);
        Iq4Table::spread(words, span.quants);
        const uint32_t low = head[1] >> 4 * index & 15u;
        const uint32_t high = head[0] >> (16 + 2 * index) & 3u;
        span.scale[0] = half_value(head[0] & 0xffffu) *
                        static_cast<float>(static_cast<int>(low | high << 4) - 32);
    }
};

struct MXFP4 : BlockTraits<32, 17> {
    template <class Bytes>
    __device__ static void unpack(Bytes block, int, Span& span) {
        uint32_t words[4];
        load_words<1, 4>(block + 1, words);
        Mxfp4Table::spread(words, span.quants);
        const uint32_t exponent = block[0];
        span.scale[0] =
            __uint_as_float(exponent < 2 ? 0x00200000u << exponent : (exponent - 1) << 23);
    }
};

// ---- Grids --------------------------------------------------------------------------------------

template <class Entry, int kEntries>
struct Grid {
    Entry entries[kEntries];
};

// An entry's values as bytes: kPerEntry of kBits each index a table of values.
template <class Entry, int kPerEntry, int kBits, int kEntries, int kValues>
constexpr Grid<Entry, kEntries> expand(const uint16_t (&grid)[kEntries],
                                       const int8_t (&values)[kValues]) {
    Grid<Entry, kEntries> result = {};
    for (int i = 0; i < kEntries; ++i) {
        for (int j = 0; j < kPerEntry; ++j) {
            const int index = grid[i] >> kBits * j & ((1 << kBits) - 1);
            const auto byte = static_cast<uint8_t>(values[index % kValues]);
            result.entries[i] |= static_cast<Entry>(byte) << 8 * j;
        }
    }
    return result;
}

// 8 (value + 1): the shift by an eighth up or down then makes it 8 value + 9 +- 1.
constexpr int8_t kIq1Bytes[3] = {0, 8, 16};

__device__ const Grid<uint64_t, 256> iq2_xxs_grid =
    expand<uint64_t, 8, 2>(core::kIq2XxsGrid, core::kIq2Values);
__device__ const Grid<uint64_t, 512> iq2_xs_grid =
    expand<uint64_t, 8, 2>(core::kIq2XsGrid, core::kIq2Values);
__device__ const Grid<uint64_t, 1024> iq2_s_grid =
    expand<uint64_t, 8, 2>(core::kIq2SGrid, core::kIq2Values);
__device__ const Grid<uint64_t, 2048> iq1_grid = expand<uint64_t, 8, 2>(core::kIq1Grid, kIq1Bytes);
__device__ const Grid<uint32_t, 256> iq3_xxs_grid =
    expand<uint32_t, 4, 4>(core::kIq3XxsGrid, core::kIq3XxsValues);
__device__ const Grid<uint32_t, 512> iq3_s_grid =
    expand<uint32_t, 4, 4>(core::kIq3SGrid, core::kIq3SValues);

// Four magnitudes, of which those with a set bit of the low four become negative. None is 0, so that no
// byte carries into the next.
__device__ inline uint32_t with_signs(uint32_t magnitudes, uint32_t signs) {
    const uint32_t ones = (signs & 15u) * 0x00204081u & 0x01010101u;
    return (magnitudes ^ ones * 255u) + ones;
}

// 7 sign bits and an eighth that makes the number of set bits even.
__device__ inline uint32_t even_signs(uint32_t bits) {
    const uint32_t seven = bits & 127u;
    return seven | static_cast<uint32_t>(__popc(seven) & 1) << 7;
}

// Eight elements into two words.
__device__ inline void put_entry(uint64_t entry, uint32_t signs, uint32_t* quants) {
    quants[0] = with_signs(static_cast<uint32_t>(entry), signs);
    quants[1] = with_signs(static_cast<uint32_t>(entry >> 32), signs >> 4);
}

__device__ inline float iq2_scale(float scale, uint32_t sub_scale) {
    return scale * (0.5f + static_cast<float>(sub_scale & 15u)) * 0.25f;
}

struct IQ2_XXS : BlockTraits<256, 66> {
    template <class Bytes>
    __device__ static void unpack(Bytes block, int index, Span& span) {
        uint32_t words[2];
        load_words<2, 2>(block + 2 + 8 * index, words);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            put_entry(iq2_xxs_grid.entries[words[0] >> 8 * i & 255u], even_signs(words[1] >> 7 * i),
                      span.quants + 2 * i);
        }
        span.scale[0] = iq2_scale(load_half(block), words[1] >> 28);
    }
};

struct IQ2_XS : BlockTraits<256, 74, 0, true> {
    template <class Bytes>
    __device__ static void unpack(Bytes block, int index, Span& span) {
        uint32_t words[2];
        load_words<2, 2>(block + 2 + 8 * index, words);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const uint32_t code = words[i / 2] >> i % 2 * 16 & 0xffffu;
            put_entry(iq2_xs_grid.entries[code & 511u], even_signs(code >> 9), span.quants + 2 * i);
        }
        const float scale = load_half(block);
        const uint32_t packed = block[66 + index];
        span.scale[0] = iq2_scale(scale, packed);
        span.scale[1] = iq2_scale(scale, packed >> 4);
    }
};

struct IQ2_S : BlockTraits<256, 82, 0, true> {
    template <class Bytes>
    __device__ static void unpack(Bytes block, int index, Span& span) {
        uint32_t entries, signs;
        load_words<2, 1>(block + 2 + 4 * index, &entries);
        load_words<2, 1>(block + 34 + 4 * index, &signs);
        const uint32_t high = block[66 + index];
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const uint32_t entry = (entries >> 8 * i & 255u) | (high >> 2 * i & 3u) << 8;
            put_entry(iq2_s_grid.entries[entry], signs >> 8 * i, span.quants + 2 * i);
        }
        const float scale = load_half(block);
        const uint32_t packed = block[74 + index];
        span.scale[0] = iq2_scale(scale, packed);
        span.scale[1] = iq2_scale(scale, packed >> 4);
    }
};

struct IQ3_XXS : BlockTraits<256, 98> {
    template <class Bytes>
    __device__ static void unpack(Bytes block, int index, Span& span) {
        uint32_t entries[2];
        uint32_t word;
        load_words<2, 2>(block + 2 + 8 * index, entries);
        load_words<2, 1>(block + 66 + 4 * index, &word);
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            const uint32_t entry = iq3_xxs_grid.entries[entries[i / 4] >> i % 4 * 8 & 255u];
            const uint32_t signs = even_signs(word >> i / 2 * 7) >> i % 2 * 4;
            span.quants[i] = with_signs(entry, signs);
        }
        span.scale[0] = load_half(block) * (0.5f + static_cast<float>(word >> 28)) * 0.5f;
    }
};

struct IQ3_S : BlockTraits<256, 110> {
    template <class Bytes>
    __device__ static void unpack(Bytes block, int index, Span& span) {
        uint32_t entries[2];
        uint32_t signs;
        load_words<2, 2>(block + 2 + 8 * index, entries);
        load_words<2, 1>(block + 74 + 4 * index, &signs);
        const uint32_t high = block[66 + index];
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            const uint32_t low = entries[i / 4] >> i % 4 * 8 & 255u;
            const uint32_t entry = iq3_s_grid.entries[low | (high >> i & 1u) << 8];
            span.quants[i] = with_signs(entry, signs >> 4 * i);
        }
        const uint32_t packed = block[106 + index / 2] >> index % 2 * 4 & 15u;
        span.scale[0] = load_half(block) * static_cast<float>(1 + 2 * packed);
    }
};

// Up by an eighth where the bit says 0.
__device__ inline void put_shifted(uint64_t entry, uint32_t is_down, uint32_t* quants) {
    const uint32_t shift = is_down != 0 ? 0u : 0x02020202u;
    quants[0] = static_cast<uint32_t>(entry) + shift;
    quants[1] = static_cast<uint32_t>(entry >> 32) + shift;
}

struct IQ1_S : BlockTraits<256, 50, 9> {
    template <class Bytes>
    __device__ static void unpack(Bytes block, int index, Span& span) {
        uint32_t entries;
        load_words<2, 1>(block + 2 + 4 * index, &entries);
        const uint32_t word = load_16(block + 34 + 2 * index);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const uint32_t entry = (entries >> 8 * i & 255u) | (word >> 3 * i & 7u) << 8;
            put_shifted(iq1_grid.entries[entry], word >> 15, span.quants + 2 * i);
        }
        span.scale[0] = load_half(block) * static_cast<float>(2 * (word >> 12 & 7u) + 1) * 0.125f;
    }
};

struct IQ1_M : BlockTraits<256, 56, 9, true> {
    template <class Bytes>
    __device__ static void unpack(Bytes block, int index, Span& span) {
        uint32_t entries;
        uint32_t words[2];
        load_words<4, 1>(block + 4 * index, &entries);
        load_words<8, 2>(block + 48, words);
        const uint32_t high = load_16(block + 32 + 2 * index);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const uint32_t nibble = high >> 4 * i & 15u;
            const uint32_t entry = (entries >> 8 * i & 255u) | (nibble & 7u) << 8;
            put_shifted(iq1_grid.entries[entry], nibble >> 3, span.quants + 2 * i);
        }
        const uint32_t bits = (words[0] >> 12 & 15u) | (words[0] >> 28) << 4 |
                              (words[1] >> 12 & 15u) << 8 | (words[1] >> 28) << 12;
        const float scale = half_value(bits) * 0.125f;
        const uint32_t word = words[index / 4] >> index / 2 % 2 * 16;
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            const uint32_t packed = word >> (index % 2 * 2 + i) * 3 & 7u;
            span.scale[i] = scale * static_cast<float>(2 * packed + 1);
        }
    }
};

}  // namespace puna::cuda
