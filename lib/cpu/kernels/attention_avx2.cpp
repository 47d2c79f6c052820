#include "cpu/kernels/attention_pages.h"
#include "cpu/kernels/attention_scores_q8_0.h"
#include "cpu/kernels/lanes_avx2.h"

namespace puna::core {
namespace {

struct Vectors {
    static constexpr int32_t kLanes = 8;
    static constexpr int32_t kMostQueries = 4;
    // With the row of the pass, 16 registers hold 8 sums.
    static constexpr int32_t vectors(int32_t queries) { return queries == 4 ? 2 : 4; }
    using Vector = __m256;

    static Vector zero() { return _mm256_setzero_ps(); }
    static Vector fill(float value) { return _mm256_set1_ps(value); }
    static Vector multiply(Vector a, Vector b) { return _mm256_mul_ps(a, b); }
    static Vector multiply_add(Vector sum, Vector a, Vector b) {
        return _mm256_fmadd_ps(a, b, sum);
    }
    static Vector load_floats(const float* at, int32_t left) { return load_lanes(at, left); }
    static void store(float* at, int32_t left, Vector v) { store_lanes(at, left, v); }
    template <class Element>
    static Vector load(const uint8_t* at, int32_t left) {
        return load_by_copy<Vectors, Element>(at, left);
    }
    // As bits, whose order is that of magnitudes, with NaN at the end.
    static float largest(const Vector (&x)[4]) {
        __m256i bits = _mm256_setzero_si256();
        for (int32_t i = 0; i < 4; ++i) {
            const __m256 magnitude = _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x[i]);
            bits = _mm256_max_epi32(bits, _mm256_castps_si256(magnitude));
        }
        __m128i m = _mm_max_epi32(_mm256_castsi256_si128(bits), _mm256_extracti128_si256(bits, 1));
        m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
        m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1));
        return _mm_cvtss_f32(_mm_castsi128_ps(m));
    }
};

struct F32 {
    static constexpr int64_t kBytes = 4;
    static constexpr bool kHasScales = false;
    static __m256 load(const uint8_t* at) {
        return _mm256_castsi256_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)));
    }
};

struct F16 {
    static constexpr int64_t kBytes = 2;
    static constexpr bool kHasScales = false;
    static __m256 load(const uint8_t* at) {
        return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
    }
};

struct BF16 {
    static constexpr int64_t kBytes = 2;
    static constexpr bool kHasScales = false;
    static __m256 load(const uint8_t* at) {
        const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
        return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
    }
};

struct Q8_0 {
    static constexpr int64_t kBytes = 1;
    static constexpr bool kHasScales = true;
    static __m256 load(const uint8_t* at) { return _mm256_cvtepi32_ps(singles(at)); }
    static __m256 load_scales(const uint8_t* at) { return F16::load(at); }

    using Integers = __m256i;
    static Integers zero() { return _mm256_setzero_si256(); }
    static __m256 to_floats(Integers v) { return _mm256_cvtepi32_ps(v); }
    static void round(__m256 x, __m256 factor, int16_t* out) {
        const __m256i rounded = _mm256_cvtps_epi32(_mm256_mul_ps(x, factor));
        const __m128i words =
            _mm_packs_epi32(_mm256_castsi256_si128(rounded), _mm256_extracti128_si256(rounded, 1));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out), words);
    }
    static Integers pairs(const uint8_t* at) {
        return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
    }
    static Integers singles(const uint8_t* at) {
        return _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(at)));
    }
    static Integers add_products(Integers sum, Integers words, int32_t factors) {
        return _mm256_add_epi32(sum, _mm256_madd_epi16(words, _mm256_set1_epi32(factors)));
    }
};

}  // namespace

void attention_scores_f32_avx2(const AttentionChunk& chunk) {
    attention_scores<Vectors, F32>(chunk);
}
void attention_scores_f16_avx2(const AttentionChunk& chunk) {
    attention_scores<Vectors, F16>(chunk);
}
void attention_scores_bf16_avx2(const AttentionChunk& chunk) {
    attention_scores<Vectors, BF16>(chunk);
}
void attention_scores_q8_0_avx2(const AttentionChunk& chunk) {
    attention_scores_of_bytes<Vectors, Q8_0>(chunk);
}
void attention_values_f32_avx2(const AttentionChunk& chunk) {
    attention_values<Vectors, F32>(chunk);
}
void attention_values_f16_avx2(const AttentionChunk& chunk) {
    attention_values<Vectors, F16>(chunk);
}
void attention_values_bf16_avx2(const AttentionChunk& chunk) {
    attention_values<Vectors, BF16>(chunk);
}
void attention_values_q8_0_avx2(const AttentionChunk& chunk) {
    attention_values<Vectors, Q8_0>(chunk);
}

}  // namespace puna::core
