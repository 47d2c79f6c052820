#include "cpu/kernels/attention_pages.h"
#include "cpu/kernels/attention_scores_q8_0.h"
#include "cpu/kernels/intrinsics_avx512.h"

namespace puna::core {
namespace {

struct Vectors {
    static constexpr int32_t kLanes = 16;
    static constexpr int32_t kMostQueries = 8;
    static constexpr int32_t vectors(int32_t) { return 2; }  // the cells of a page
    using Vector = __m512;

    static Vector zero() { return _mm512_setzero_ps(); }
    static Vector fill(float value) { return _mm512_set1_ps(value); }
    static Vector multiply(Vector a, Vector b) { return _mm512_mul_ps(a, b); }
    static Vector multiply_add(Vector sum, Vector a, Vector b) {
        return _mm512_fmadd_ps(a, b, sum);
    }
    static Vector load_floats(const float* at, int32_t left) {
        return left >= kLanes ? _mm512_loadu_ps(at) : _mm512_maskz_loadu_ps(first_lanes(left), at);
    }
    static void store(float* at, int32_t left, Vector v) {
        if (left >= kLanes) {
            _mm512_storeu_ps(at, v);  // what a masked store leaves is slow to load again
        } else {
            _mm512_mask_storeu_ps(at, first_lanes(left), v);
        }
    }
    template <class Element>
    static Vector load(const uint8_t* at, int32_t left) {
        return Element::load(at, first_lanes(left));
    }
    // As bits, whose order is that of magnitudes, with NaN at the end.
    static float largest(const Vector (&x)[2]) {
        const __m512i bits = _mm512_max_epi32(_mm512_castps_si512(_mm512_abs_ps(x[0])),
                                              _mm512_castps_si512(_mm512_abs_ps(x[1])));
        return _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(_mm512_reduce_max_epi32(bits))));
    }

  private:
    static __mmask16 first_lanes(int32_t left) {
        return static_cast<__mmask16>(left >= kLanes ? 0xffff : (1 << left) - 1);
    }
};

struct F32 {
    static constexpr int64_t kBytes = 4;
    static constexpr bool kHasScales = false;
    static __m512 load(const uint8_t* at) { return _mm512_loadu_ps(at); }
    static __m512 load(const uint8_t* at, __mmask16 lanes) {
        return _mm512_maskz_loadu_ps(lanes, at);
    }
};

struct F16 {
    static constexpr int64_t kBytes = 2;
    static constexpr bool kHasScales = false;
    static __m512 load(const uint8_t* at) {
        return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)));
    }
    static __m512 load(const uint8_t* at, __mmask16 lanes) {
        return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes, at));
    }
};

struct BF16 {
    static constexpr int64_t kBytes = 2;
    static constexpr bool kHasScales = false;
    static __m512 widen(__m256i halves) {
        return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
    }
    static __m512 load(const uint8_t* at) {
        return widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)));
    }
    static __m512 load(const uint8_t* at, __mmask16 lanes) {
        return widen(_mm256_maskz_loadu_epi16(lanes, at));
    }
};

struct Q8_0 {
    static constexpr int64_t kBytes = 1;
    static constexpr bool kHasScales = true;
    static __m512 load(const uint8_t* at) { return _mm512_cvtepi32_ps(singles(at)); }
    static __m512 load(const uint8_t* at, __mmask16 lanes) {
        return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(lanes, at)));
    }
    static __m512 load_scales(const uint8_t* at) { return F16::load(at); }

    using Integers = __m512i;
    static Integers zero() { return _mm512_setzero_si512(); }
    static __m512 to_floats(Integers v) { return _mm512_cvtepi32_ps(v); }
    static void round(__m512 x, __m512 factor, int16_t* out) {
        const __m512i rounded = _mm512_cvtps_epi32(_mm512_mul_ps(x, factor));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm512_cvtsepi32_epi16(rounded));
    }
    static Integers pairs(const uint8_t* at) {
        return _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)));
    }
    static Integers singles(const uint8_t* at) {
        return _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
    }
    static Integers add_products(Integers sum, Integers words, int32_t factors) {
        return _mm512_dpwssd_epi32(sum, words, _mm512_set1_epi32(factors));
    }
};

}  // namespace

void attention_scores_f32_avx512(const AttentionChunk& chunk) {
    attention_scores<Vectors, F32>(chunk);
}
void attention_scores_f16_avx512(const AttentionChunk& chunk) {
    attention_scores<Vectors, F16>(chunk);
}
void attention_scores_bf16_avx512(const AttentionChunk& chunk) {
    attention_scores<Vectors, BF16>(chunk);
}
void attention_scores_q8_0_avx512(const AttentionChunk& chunk) {
    attention_scores_of_bytes<Vectors, Q8_0>(chunk);
}
void attention_values_f32_avx512(const AttentionChunk& chunk) {
    attention_values<Vectors, F32>(chunk);
}
void attention_values_f16_avx512(const AttentionChunk& chunk) {
    attention_values<Vectors, F16>(chunk);
}
void attention_values_bf16_avx512(const AttentionChunk& chunk) {
    attention_values<Vectors, BF16>(chunk);
}
void attention_values_q8_0_avx512(const AttentionChunk& chunk) {
    attention_values<Vectors, Q8_0>(chunk);
}

}  // namespace puna::core
