#include <cstring>

#include "cpu/kernels/linear_tile_avx512.h"

namespace puna::core {
namespace {

// Blocks of 32 elements: an F16 scale, then a signed byte per element. The product of the two is
// exact in float, so scaling the weights costs nothing in accuracy and is shared by all rows of x.
struct Q8_0 {
    static constexpr int64_t kBlock = 32;
    static constexpr int64_t kBlockBytes = 34;
    static constexpr int64_t kBytesPerStep = kStep / kBlock * kBlockBytes;

    static __m512 scale_of(const uint8_t* block) {
        int16_t bits;
        std::memcpy(&bits, block, sizeof bits);
        return _mm512_cvtph_ps(_mm256_set1_epi16(bits));
    }
    static __m512 load(const uint8_t* q, __m512 scale) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(q));
        return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes)), scale);
    }
    static void load_step(const uint8_t* row, int64_t j, __m512 w[kVectors]) {
        const uint8_t* block = row + j / kBlock * kBlockBytes;
        for (int v = 0; v < kVectors; v += 2, block += kBlockBytes) {
            const __m512 scale = scale_of(block);
            w[v] = load(block + 2, scale);
            w[v + 1] = load(block + 2 + kLanes, scale);
        }
    }
    // Rows are whole blocks, so all lanes are set.
    static __m512 load_tail(const uint8_t* row, int64_t j, __mmask16) {
        const uint8_t* block = row + j / kBlock * kBlockBytes;
        return load(block + 2 + j % kBlock, scale_of(block));
    }
};

}  // namespace

void linear_q8_0_avx512(const LinearBlock& block) {
    multiply_block<Q8_0>(block);
}

}  // namespace puna::core
