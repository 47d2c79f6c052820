#include <cstring>

#include "cpu/kernels.h"
#include "cpu/kernels/lanes_avx2.h"

namespace puna::core {
namespace {

constexpr int64_t kLanes = 8;
constexpr int64_t kBlock = 32;
constexpr int64_t kVectors = kBlock / kLanes;

struct F16 {
    static __m128i round(__m256 x) { return _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT); }
};

struct BF16 {
    static __m128i round(__m256 x) {
        const __m256i bits = _mm256_castps_si256(x);
        const __m256i high = _mm256_srli_epi32(bits, 16);
        const __m256i odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
        const __m256i sum =
            _mm256_add_epi32(_mm256_add_epi32(bits, odd), _mm256_set1_epi32(0x7fff));
        const __m256i quiet = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
        const __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
        const __m256i half = _mm256_blendv_epi8(_mm256_srli_epi32(sum, 16), quiet, is_nan);
        return _mm_packus_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
    }
};

template <class Element>
void encode(const float* from, int64_t n, uint8_t* out) {
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 2 * i),
                         Element::round(_mm256_loadu_ps(from + i)));
    }
    if (i == n) return;
    uint8_t rest[2 * kLanes];
    _mm_storeu_si128(reinterpret_cast<__m128i*>(rest), Element::round(load_lanes(from + i, n - i)));
    std::memcpy(out + 2 * i, rest, static_cast<size_t>(2 * (n - i)));
}

// As bits, whose order is that of magnitudes, with NaN at the end.
uint32_t largest_magnitude(const __m256 (&x)[kVectors]) {
    const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
    __m256i largest = _mm256_setzero_si256();
    for (const __m256& v : x) {
        largest = _mm256_max_epi32(largest, _mm256_and_si256(_mm256_castps_si256(v), magnitude));
    }
    __m128i m =
        _mm_max_epi32(_mm256_castsi256_si128(largest), _mm256_extracti128_si256(largest, 1));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1));
    return static_cast<uint32_t>(_mm_cvtsi128_si32(m));
}

// To nearest, ties to even, within -127 .. 127.
__m256i to_bytes(const __m256 (&x)[kVectors], float inverse) {
    const __m256 factor = _mm256_set1_ps(inverse);
    __m256i whole[kVectors];
    for (int64_t i = 0; i < kVectors; ++i) {
        whole[i] = _mm256_cvtps_epi32(_mm256_mul_ps(x[i], factor));
    }
    const __m256i low = _mm256_packs_epi32(whole[0], whole[1]);
    const __m256i high = _mm256_packs_epi32(whole[2], whole[3]);
    // Packing works within halves of a register: groups of 4 bytes are then in this order.
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), order);
    return _mm256_max_epi8(bytes, _mm256_set1_epi8(-127));
}

// n is 1 .. kBlock.
void encode_block(const float* from, int64_t n, uint8_t* out) {
    __m256 x[kVectors];
    for (int64_t i = 0; i < kVectors; ++i) {
        const int64_t left = n - i * kLanes;
        x[i] = left > 0 ? load_lanes(from + i * kLanes, left) : _mm256_setzero_ps();
    }
    const uint32_t largest_bits = largest_magnitude(x);
    float largest;
    std::memcpy(&largest, &largest_bits, sizeof largest);
    const __m128i half = _mm_cvtps_ph(_mm_set_ss(largest / 127.0f), _MM_FROUND_TO_NEAREST_INT);
    const auto scale = static_cast<uint16_t>(_mm_extract_epi16(half, 0));
    std::memcpy(out, &scale, sizeof scale);
    __m256i bytes = _mm256_setzero_si256();
    if (scale != 0 && scale < 0x7c00) bytes = to_bytes(x, 1.0f / _mm_cvtss_f32(_mm_cvtph_ps(half)));
    if (n == kBlock) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 2), bytes);
    } else {
        uint8_t some[kBlock];
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(some), bytes);
        std::memcpy(out + 2, some, static_cast<size_t>(n));
    }
}

}  // namespace

void kv_encode_f16_avx2(const float* from, int64_t n, uint8_t* out) {
    encode<F16>(from, n, out);
}

void kv_encode_bf16_avx2(const float* from, int64_t n, uint8_t* out) {
    encode<BF16>(from, n, out);
}

void kv_encode_q8_0_avx2(const float* from, int64_t n, uint8_t* out) {
    for (int64_t i = 0; i < n; i += kBlock, out += kBlock + 2) {
        encode_block(from + i, n - i < kBlock ? n - i : kBlock, out);
    }
}

}  // namespace puna::core
