#include "cpu/kernels/attention_pages.h"
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
    static Vector multiply_add(Vector sum, Vector a, Vector b) {
        return _mm256_fmadd_ps(a, b, sum);
    }
    static void store(float* at, int32_t left, Vector v) { store_lanes(at, left, v); }
    template <class Element>
    static Vector load(const uint8_t* at, int32_t left) {
        return load_by_copy<Vectors, Element>(at, left);
    }
};

struct F32 {
    static constexpr int64_t kBytes = 4;
    static __m256 load(const uint8_t* at) {
        return _mm256_castsi256_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)));
    }
};

struct F16 {
    static constexpr int64_t kBytes = 2;
    static __m256 load(const uint8_t* at) {
        return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
    }
};

struct BF16 {
    static constexpr int64_t kBytes = 2;
    static __m256 load(const uint8_t* at) {
        const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
        return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
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
void attention_values_f32_avx2(const AttentionChunk& chunk) {
    attention_values<Vectors, F32>(chunk);
}
void attention_values_f16_avx2(const AttentionChunk& chunk) {
    attention_values<Vectors, F16>(chunk);
}
void attention_values_bf16_avx2(const AttentionChunk& chunk) {
    attention_values<Vectors, BF16>(chunk);
}

}  // namespace puna::core
