#include "cpu/kernels/panel_rows_avx2.h"

#include <cstring>

#include "cpu/kernels/rounded_block_avx2.h"

namespace puna::core {
namespace {

// The low 4 bytes of a vector.
inline void store_four(void* at, __m128i v) {
    const int32_t bits = _mm_cvtsi128_si32(v);
    std::memcpy(at, &bits, sizeof bits);
}

// Lane 0 of the result: all lanes of words of the same parity, added up.
inline __m128i sum_pairs(__m128i words) {
    const __m128i sums = _mm_add_epi16(words, _mm_shuffle_epi32(words, _MM_SHUFFLE(1, 0, 3, 2)));
    return _mm_add_epi16(sums, _mm_shuffle_epi32(sums, _MM_SHUFFLE(2, 3, 0, 1)));
}

// The pairs of 16 bytes as sums of words: with the other sign to `minus_pairs`; returns their sum.
inline float sum_half(__m128i bytes, int16_t* minus_pairs) {
    const __m128i pairs = sum_pairs(_mm_maddubs_epi16(_mm_set1_epi8(1), bytes));
    store_four(minus_pairs, _mm_sub_epi16(_mm_setzero_si128(), pairs));
    const __m128i sum = _mm_madd_epi16(pairs, _mm_set1_epi16(1));
    return static_cast<float>(_mm_cvtsi128_si32(sum));
}

// Row `row` of a block, from 32 elements.
void pack_block(const float* x, int32_t row, PackedBytes& block) {
    const RoundedBlock rounded = round_block<kMostOfBytes>(x);
    const __m256i bytes = _mm256_permutevar8x32_epi32(
        _mm256_packs_epi16(_mm256_packs_epi32(rounded.integers[0], rounded.integers[1]),
                           _mm256_packs_epi32(rounded.integers[2], rounded.integers[3])),
        _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    block.scales[row] = rounded.scale;
    const __m128i halves[2] = {_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1)};
    for (int h = 0; h < 2; ++h) {
        block.sums[h][row] = rounded.scale * sum_half(halves[h], block.minus_pairs[h][row]);
    }
    alignas(32) int8_t in_order[kRowBlock];
    _mm256_store_si256(reinterpret_cast<__m256i*>(in_order), bytes);
    for (int i = 0; i < 8; ++i) std::memcpy(block.elements[i][row], in_order + 4 * i, 4);
}

void pack_block(const float* x, int32_t row, PackedWords& block) {
    const RoundedBlock rounded = round_block<kMostOfWords>(x);
    block.scales[row] = rounded.scale;
    for (int h = 0; h < 2; ++h) {
        alignas(32) int16_t in_order[kRowBlock / 2];
        _mm256_store_si256(reinterpret_cast<__m256i*>(in_order),
                           pack_words(rounded.integers[2 * h], rounded.integers[2 * h + 1]));
        for (int i = 0; i < 8; ++i) {
            std::memcpy(block.elements[8 * h + i][row], in_order + 2 * i, 4);
        }
    }
}

template <class Block>
void pack_group(const float* x, int64_t x_stride, int64_t n_in, int32_t n_rows, void* group) {
    auto* blocks = static_cast<Block*>(group);
    const float zeros[kRowBlock] = {};
    for (int32_t r = 0; r < kGroupRows; ++r) {
        for (int64_t b = 0; b < n_in / kRowBlock; ++b) {
            pack_block(r < n_rows ? x + r * x_stride + b * kRowBlock : zeros, r, blocks[b]);
        }
    }
}

template <class Block>
int64_t bytes_of(int64_t n_rows) {
    return (n_rows + kGroupRows - 1) / kGroupRows * static_cast<int64_t>(sizeof(Block));
}

}  // namespace

void pack_bytes_avx2(const float* x, int64_t x_stride, int64_t n_in, int32_t n_rows, void* group) {
    pack_group<PackedBytes>(x, x_stride, n_in, n_rows, group);
}
int64_t packed_bytes_avx2(int64_t n_rows) {
    return bytes_of<PackedBytes>(n_rows);
}

void pack_words_avx2(const float* x, int64_t x_stride, int64_t n_in, int32_t n_rows, void* group) {
    pack_group<PackedWords>(x, x_stride, n_in, n_rows, group);
}
int64_t packed_words_avx2(int64_t n_rows) {
    return bytes_of<PackedWords>(n_rows);
}

}  // namespace puna::core
