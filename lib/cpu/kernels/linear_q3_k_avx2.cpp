#include "cpu/kernels/sub_blocks_avx2.h"

namespace puna::core {
namespace {

// Blocks of 256 elements: 32 bytes, of which bit s of byte i is the third bit of element 32 s + i;
// 2 times 32 bytes, of which byte i of a half holds the lower 2 bits of the elements i, i + 32, i + 64
// and i + 96 of its 128; 16 scales of sub-blocks, 6 bits each, from -32; an F16 scale. The numbers are
// from -4.
struct Q3_K {
    static constexpr int64_t kBlock = 256;
    static constexpr int64_t kBlockBytes = 110;

    void begin(const uint8_t* block) {
        third = load_32(block);
        q = block + 32;
        const auto a = load_word<uint32_t>(block + 96);
        const auto b = load_word<uint32_t>(block + 100);
        const auto c = load_word<uint32_t>(block + 104);
        const __m128i bits = _mm_unpacklo_epi64(
            bytes_of((a & kLow4) | (c << 4 & kBits45), (b & kLow4) | (c << 2 & kBits45)),
            bytes_of((a >> 4 & kLow4) | (c & kBits45), (b >> 4 & kLow4) | (c >> 2 & kBits45)));
        scale_16(_mm_sub_epi8(bits, _mm_set1_epi8(32)), load_half(block + 108), scales);
    }
    void load(int step, __m256 w[kVectors]) const {
        const __m256i four = load_32(q + step / 4 * 32);
        const __m256i low =
            _mm256_and_si256(_mm256_srli_epi16(four, step % 4 * 2), _mm256_set1_epi8(3));
        // Without its bit 2 a number is negative: less 4 it has all upper bits.
        const __m256i bit = _mm256_set1_epi8(static_cast<char>(1 << step));
        const __m256i is_set = _mm256_cmpeq_epi8(_mm256_and_si256(third, bit), bit);
        const __m256i upper = _mm256_andnot_si256(is_set, _mm256_set1_epi8(-4));
        scale_pair(_mm256_or_si256(low, upper), scales + 2 * step, w);
    }

    float scales[16];
    __m256i third;
    const uint8_t* q;
};

}  // namespace

void linear_q3_k_avx2(const LinearBlock& block) {
    multiply_block<Q3_K>(block);
}

}  // namespace puna::core
