#include "cpu/kernels/attention_pages.h"
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
    static Vector multiply_add(Vector sum, Vector a, Vector b) {
        return _mm512_fmadd_ps(a, b, sum);
    }
    static void store(float* at, int32_t left, Vector v) {
        _mm512_mask_storeu_ps(at, first_lanes(left), v);
    }
    template <class Element>
    static Vector load(const uint8_t* at, int32_t left) {
        return Element::load(at, first_lanes(left));
    }

  private:
    static __mmask16 first_lanes(int32_t left) {
        return static_cast<__mmask16>(left >= kLanes ? 0xffff : (1 << left) - 1);
    }
};

struct F32 {
    static constexpr int64_t kBytes = 4;
    static __m512 load(const uint8_t* at) { return _mm512_loadu_ps(at); }
    static __m512 load(const uint8_t* at, __mmask16 lanes) {
        return _mm512_maskz_loadu_ps(lanes, at);
    }
};

struct F16 {
    static constexpr int64_t kBytes = 2;
    static __m512 load(const uint8_t* at) {
        return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)));
    }
    static __m512 load(const uint8_t* at, __mmask16 lanes) {
        return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes, at));
    }
};

struct BF16 {
    static constexpr int64_t kBytes = 2;
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
void attention_values_f32_avx512(const AttentionChunk& chunk) {
    attention_values<Vectors, F32>(chunk);
}
void attention_values_f16_avx512(const AttentionChunk& chunk) {
    attention_values<Vectors, F16>(chunk);
}
void attention_values_bf16_avx512(const AttentionChunk& chunk) {
    attention_values<Vectors, BF16>(chunk);
}

}  // namespace puna::core
