// Chunks of 256 activations as the AVX2 kernels for few rows take them: integers of 16 bits, in 8 blocks of 32, as
// words or as two bytes each.
//
// Blocks that meet weights with wide scales are crossed, as theirs are (quants_avx2.h).
#pragma once

#include <cstdint>

#include "cpu/kernels/quants_avx2.h"
#include "cpu/kernels/rounded_block_avx2.h"

namespace puna::core {
namespace {

struct alignas(32) Vector {
    uint8_t bytes[32];

    __m256i load() const { return load_vector(bytes); }
    void store(__m256i v) { _mm256_store_si256(reinterpret_cast<__m256i*>(bytes), v); }
};

inline void cross_pairs(Vector (&blocks)[kRowBlocks]) {
    for (int i = 0; i < kRowBlocks; i += 2) {
        const __m256i a = blocks[i].load();
        const __m256i b = blocks[i + 1].load();
        blocks[i].store(_mm256_permute2x128_si256(a, b, 0x20));
        blocks[i + 1].store(_mm256_permute2x128_si256(a, b, 0x31));
    }
}

// x = scale * word, for signed quants, which have wide scales.
struct alignas(32) ChunkOfWords {
    static constexpr int64_t kColumns = kChunk;

    // The elements 0, 2, 4 .. and 1, 3, 5 .. of what crossed blocks meet.
    Vector even[kRowBlocks];
    Vector odd[kRowBlocks];
    __m256 scales;  // lane i: of block i

    // The first n elements, a multiple of 32, and zeros beyond. Infinity and NaN become NaN.
    template <class Format>
    void load(const float* x, int64_t n) {
        static_assert(Format::kWideScales && !Format::kHasMinimums && Format::kOffset == 0);
        alignas(32) float block_scales[kRowBlocks] = {};
        for (int i = 0; i < kRowBlocks; ++i) {
            if (i * kRowBlock < n) {
                const RoundedBlock rounded = round_block<kMostOfWords>(x + i * kRowBlock);
                block_scales[i] = rounded.scale;
                store(rounded.integers, i);
            } else {
                even[i].store(_mm256_setzero_si256());
                odd[i].store(_mm256_setzero_si256());
            }
        }
        cross_pairs(even);
        cross_pairs(odd);
        scales = _mm256_load_ps(block_scales);
    }

  private:
    void store(const __m256i (&integers)[4], int i) {
        const __m256i parted =
            _mm256_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15, 0, 1, 4, 5, 8, 9,
                             12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
        const __m256i a = _mm256_shuffle_epi8(pack_words(integers[0], integers[1]), parted);
        const __m256i b = _mm256_shuffle_epi8(pack_words(integers[2], integers[3]), parted);
        even[i].store(
            _mm256_permute4x64_epi64(_mm256_unpacklo_epi64(a, b), _MM_SHUFFLE(3, 1, 2, 0)));
        odd[i].store(
            _mm256_permute4x64_epi64(_mm256_unpackhi_epi64(a, b), _MM_SHUFFLE(3, 1, 2, 0)));
    }
};

// x = scale * (256 * high + low), with signed bytes, for quants that are not signed. Weights whose own scales
// are integers need one scale of activations for all of a chunk, the others one for a block.
struct alignas(32) ChunkOfBytes {
    static constexpr int64_t kColumns = kChunk;

    Vector high[kRowBlocks];
    Vector low[kRowBlocks];
    __m256 scales;  // lane i: of block i
    // Of the activations, as rounded: where scales are wide, of block i; otherwise, lane i of the 16, of the elements
    // 16 i .. 16 i + 15.
    __m256 sums;
    __m256 half_sums[2];

    // The first n elements, a multiple of 32, and zeros beyond. Infinity and NaN become NaN.
    template <class Format>
    void load(const float* x, int64_t n) {
        static_assert(!kIntegerScales<Format> || Format::kBlock == kChunk);  // n is kChunk then
        const float largest = kIntegerScales<Format> ? largest_magnitude(x, kChunk) : 0.0f;
        alignas(32) float block_scales[kRowBlocks] = {};
        __m256i halves[kRowBlocks];
        for (int i = 0; i < kRowBlocks; ++i) {
            if (i * kRowBlock < n) {
                const float* block = x + i * kRowBlock;
                const RoundedBlock rounded = kIntegerScales<Format>
                                                 ? round_block<kMostOfWords>(block, largest)
                                                 : round_block<kMostOfWords>(block);
                block_scales[i] = rounded.scale;
                halves[i] = store(rounded.integers, i);
            } else {
                high[i].store(_mm256_setzero_si256());
                low[i].store(_mm256_setzero_si256());
                halves[i] = _mm256_setzero_si256();
            }
        }
        scales = _mm256_load_ps(block_scales);
        add_up<Format::kWideScales>(halves);
        if constexpr (Format::kWideScales) {
            cross_pairs(high);
            cross_pairs(low);
        }
    }

  private:
    // Block i; returns the sums of its halves: those of the first in the lanes 0, 1, 4 and 5, of the second in the
    // others.
    __m256i store(const __m256i (&integers)[4], int i) {
        const __m256i a = _mm256_packs_epi32(integers[0], integers[1]);
        const __m256i b = _mm256_packs_epi32(integers[2], integers[3]);
        const auto high_bytes = [](__m256i words) {
            return _mm256_srai_epi16(_mm256_add_epi16(words, _mm256_set1_epi16(128)), 8);
        };
        const auto low_bytes = [](__m256i words) {
            return _mm256_and_si256(words, _mm256_set1_epi16(255));
        };
        const __m256i in_order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
        high[i].store(_mm256_permutevar8x32_epi32(_mm256_packs_epi16(high_bytes(a), high_bytes(b)),
                                                  in_order));
        low[i].store(
            _mm256_permutevar8x32_epi32(_mm256_packus_epi16(low_bytes(a), low_bytes(b)), in_order));
        const __m256i ones = _mm256_set1_epi16(1);
        return _mm256_hadd_epi32(_mm256_madd_epi16(a, ones), _mm256_madd_epi16(b, ones));
    }

    template <bool kWide>
    void add_up(const __m256i (&halves)[kRowBlocks]) {
        __m256i eight[2];
        for (int i = 0; i < 2; ++i) {
            const __m256i low_pair = _mm256_hadd_epi32(halves[4 * i], halves[4 * i + 1]);
            const __m256i high_pair = _mm256_hadd_epi32(halves[4 * i + 2], halves[4 * i + 3]);
            eight[i] = _mm256_add_epi32(_mm256_permute2x128_si256(low_pair, high_pair, 0x20),
                                        _mm256_permute2x128_si256(low_pair, high_pair, 0x31));
        }
        if constexpr (kWide) {
            const __m256i all = _mm256_permute4x64_epi64(_mm256_hadd_epi32(eight[0], eight[1]),
                                                         _MM_SHUFFLE(3, 1, 2, 0));
            sums = _mm256_mul_ps(_mm256_cvtepi32_ps(all), scales);
        } else {  // all scales are the same
            half_sums[0] = _mm256_mul_ps(_mm256_cvtepi32_ps(eight[0]), scales);
            half_sums[1] = _mm256_mul_ps(_mm256_cvtepi32_ps(eight[1]), scales);
        }
    }
};

template <bool kSigned>
struct ChunkForQuants {
    using Type = ChunkOfBytes;
};
template <>
struct ChunkForQuants<true> {
    using Type = ChunkOfWords;
};
template <class Format>
using ChunkOfX = typename ChunkForQuants<Format::kSigned>::Type;

}  // namespace
}  // namespace puna::core
