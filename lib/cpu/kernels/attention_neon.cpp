#include "cpu/kernels/attention_pages.h"
#include "cpu/kernels/lanes_neon.h"

namespace puna::core {
namespace {

struct Vectors {
    static constexpr int32_t kLanes = 4;
    static constexpr int32_t kMostQueries = 4;
    // 16 sums, or 8 for a single query, whose page has no more.
    static constexpr int32_t vectors(int32_t queries) { return queries == 1 ? 8 : 16 / queries; }
    using Vector = float32x4_t;

    static Vector zero() { return vdupq_n_f32(0.0f); }
    static Vector fill(float value) { return vdupq_n_f32(value); }
    static Vector multiply_add(Vector sum, Vector a, Vector b) { return vfmaq_f32(sum, a, b); }
    static void store(float* at, int32_t left, Vector v) { store_lanes(at, left, v); }
    template <class Element>
    static Vector load(const uint8_t* at, int32_t left) {
        return load_by_copy<Vectors, Element>(at, left);
    }
};

struct F32 {
    static constexpr int64_t kBytes = 4;
    static constexpr bool kHasScales = false;
    static float32x4_t load(const uint8_t* at) { return vreinterpretq_f32_u8(vld1q_u8(at)); }
};

struct F16 {
    static constexpr int64_t kBytes = 2;
    static constexpr bool kHasScales = false;
    static float32x4_t load(const uint8_t* at) {
        return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(at)));
    }
};

}  // namespace

void attention_scores_f32_neon(const AttentionChunk& chunk) {
    attention_scores<Vectors, F32>(chunk);
}
void attention_scores_f16_neon(const AttentionChunk& chunk) {
    attention_scores<Vectors, F16>(chunk);
}
void attention_values_f32_neon(const AttentionChunk& chunk) {
    attention_values<Vectors, F32>(chunk);
}
void attention_values_f16_neon(const AttentionChunk& chunk) {
    attention_values<Vectors, F16>(chunk);
}

}  // namespace puna::core
