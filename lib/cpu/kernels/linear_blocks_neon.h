// The NEON linear kernel for quantised weights and few activation rows, written once for all formats
// (chunk_neon.h).
//
// Weights stay bytes. Activations are rounded to 16 bits in groups of 32 with a scale of their own,
// which changes one by 1/65278 of the largest of its group at most. They are multiplied as two signed
// bytes each, so that sums of products are exact until they meet their scales. That takes 7 instructions
// for 32 elements of a weight row and an activation row; floats would take 8 for the products alone, and
// each weight 1 1/2 conversions before.
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/kernels.h"
#include "cpu/kernels/chunk_neon.h"
#include "cpu/kernels/linear_spans.h"

namespace puna::core {
namespace {

// ---- Activations --------------------------------------------------------------------------------

// A chunk of activations: x = scale * (256 * high + low).
struct alignas(64) ChunkOfX {
    // The largest magnitude whose high byte is still one after rounding.
    static constexpr float kLargest = 127 * 256 + 127;
    // Parts that hold nothing above it count as zeros: the inverse of their scale would overflow.
    static constexpr float kLeast = 0x1p-100f;

    static constexpr int64_t kColumns = kChunk;

    int8_t high[kChunk];
    int8_t low[kChunk];
    float scales[kParts];
    float sums[2 * kParts];  // of the activations of each group, as rounded

    // The first n elements, a multiple of 32, and zeros beyond. Infinity and NaN become NaN.
    void load(const float* x, int64_t n) {
        std::memset(this, 0, sizeof *this);
        for (int64_t part = 0; part * kPart < n && part < kParts; ++part) {
            load_part(x + part * kPart, part);
        }
    }

    // Lane i: what the factor of part or group 4 kVector + i has to be multiplied with.
    template <bool kWideScales, int kVector>
    float32x4_t scales_of() const {
        if constexpr (kWideScales) return vld1q_f32(scales + 4 * kVector);
        const float32x2_t two = vld1_f32(scales + 2 * kVector);
        return vcombine_f32(vdup_lane_f32(two, 0), vdup_lane_f32(two, 1));
    }
    template <bool kWideScales, int kVector>
    float32x4_t sums_of() const {
        if constexpr (!kWideScales) return vld1q_f32(sums + 4 * kVector);
        return vpaddq_f32(vld1q_f32(sums + 8 * kVector), vld1q_f32(sums + 8 * kVector + 4));
    }

  private:
    void load_part(const float* x, int64_t part) {
        float32x4_t values[8];
        uint32x4_t largest = vdupq_n_u32(0);
        for (int i = 0; i < 8; ++i) {
            values[i] = vld1q_f32(x + 4 * i);
            // As integers, magnitudes are ordered like floats, and NaN is the largest.
            const uint32x4_t bits = vreinterpretq_u32_f32(vabsq_f32(values[i]));
            largest = vmaxq_u32(largest, bits);
        }
        const float magnitude =
            vgetq_lane_f32(vreinterpretq_f32_u32(vdupq_n_u32(vmaxvq_u32(largest))), 0);
        scales[part] = magnitude * (1.0f / kLargest);
        const float factor = magnitude < kLeast ? 0.0f : kLargest / magnitude;
        for (int g = 0; g < 2; ++g) {
            const int32_t sum = store_group(values + 4 * g, factor, part * kPart + 16 * g);
            sums[2 * part + g] = static_cast<float>(sum) * scales[part];
        }
    }
    // Stores 16 values as bytes, from element `at` on; returns their sum.
    int32_t store_group(const float32x4_t* values, float factor, int64_t at) {
        int32_t sum = 0;
        for (int i = 0; i < 2; ++i, at += 8) {
            const int32x4_t a = vcvtnq_s32_f32(vmulq_n_f32(values[2 * i], factor));
            const int32x4_t b = vcvtnq_s32_f32(vmulq_n_f32(values[2 * i + 1], factor));
            const int16x8_t rounded = vcombine_s16(vmovn_s32(a), vmovn_s32(b));
            vst1_s8(high + at, vrshrn_n_s16(rounded, 8));
            vst1_s8(low + at, vmovn_s16(rounded));
            sum += vaddlvq_s16(rounded);
        }
        return sum;
    }
};

// ---- Sums ---------------------------------------------------------------------------------------

// The products of two vectors of weights with the activations from element `at`, exact: at most
// 32 * 128 * 2^15. Lane i: those of the bytes 4 i .. 4 i + 3.
[[gnu::always_inline]] inline int32x4_t multiply_part(const Quants& w, const ChunkOfX& x, int at) {
    const int32x4_t zero = vdupq_n_s32(0);
    int32x4_t sum = vdotq_s32(zero, w.first, vld1q_s8(x.high + at));
    sum = vdotq_s32(sum, w.second, vld1q_s8(x.high + at + 16));
    sum = vshlq_n_s32(sum, 8);
    sum = vdotq_s32(sum, w.first, vld1q_s8(x.low + at));
    return vdotq_s32(sum, w.second, vld1q_s8(x.low + at + 16));
}
// The same for one vector.
[[gnu::always_inline]] inline int32x4_t multiply_group(int8x16_t w, const ChunkOfX& x, int at) {
    const int32x4_t top = vdotq_s32(vdupq_n_s32(0), w, vld1q_s8(x.high + at));
    return vdotq_s32(vshlq_n_s32(top, 8), w, vld1q_s8(x.low + at));
}

// Adds one part of a weight row times one of an activation row; `scales` has those of both for this and
// for its neighbours.
template <int kAt, bool kWideScales>
[[gnu::always_inline]] inline float32x4_t add_part(float32x4_t sum, const Quants& w,
                                                   const ChunkOfX& x, float32x4_t scales) {
    constexpr int kElement = kAt * static_cast<int>(kPart);
    if constexpr (kWideScales) {
        const float32x4_t products = vcvtq_f32_s32(multiply_part(w, x, kElement));
        return vfmaq_laneq_f32(sum, products, scales, kAt % 4);
    } else {
        const float32x4_t first = vcvtq_f32_s32(multiply_group(w.first, x, kElement));
        const float32x4_t second = vcvtq_f32_s32(multiply_group(w.second, x, kElement + 16));
        sum = vfmaq_laneq_f32(sum, first, scales, kAt % 2 * 2);
        return vfmaq_laneq_f32(sum, second, scales, kAt % 2 * 2 + 1);
    }
}

// Adds the parts that have their factors in vector kVector, of each of kOuts weight rows with each of
// kRows rows of activations.
template <int kVector, class Format, int32_t kOuts, int32_t kRows>
[[gnu::always_inline]] inline void add_parts(const Format (&w)[kOuts],
                                             const ChunkOfX* const (&x)[kRows],
                                             float32x4_t (&sums)[kOuts][kRows]) {
    constexpr bool kWide = Format::kWideScales;
    constexpr int kCount = kParts / kFactors<kWide>;
    float32x4_t scales[kOuts][kRows];
    for (int32_t o = 0; o < kOuts; ++o) {
        for (int32_t r = 0; r < kRows; ++r) {
            const float32x4_t of_x = x[r]->template scales_of<kWide, kVector>();
            scales[o][r] = vmulq_f32(w[o].scales[kVector], of_x);
            if constexpr (Format::kHasMinimums) {
                sums[o][r] = vfmaq_f32(sums[o][r], w[o].minimums[kVector],
                                       x[r]->template sums_of<kWide, kVector>());
            }
        }
    }
    unroll<kCount>([&](auto i) __attribute__((always_inline)) {
        constexpr int kAt = kVector * kCount + i;
        for (int32_t o = 0; o < kOuts; ++o) {
            const Quants quants = w[o].template quants<kAt>();
            for (int32_t r = 0; r < kRows; ++r) {
                sums[o][r] = add_part<kAt, kWide>(sums[o][r], quants, *x[r], scales[o][r]);
            }
        }
    });
}

template <class Format, int32_t kOuts, int32_t kRows>
[[gnu::always_inline]] inline void add_chunk(const uint8_t* at, int64_t out_bytes,
                                             const ChunkOfX* const (&x)[kRows],
                                             float32x4_t (&sums)[kOuts][kRows]) {
    Format w[kOuts];
    for (int32_t o = 0; o < kOuts; ++o) w[o].open(at + o * out_bytes);
    unroll<kFactors<Format::kWideScales>>([&](auto i) __attribute__((always_inline)) {
        add_parts<i>(w, x, sums);
    });
}

struct Spans {
    static constexpr int64_t kLeastColumns = kChunk;
    static constexpr int64_t kPrefetchBytes = 0;
    static constexpr int32_t outs(int32_t n_rows, int64_t) { return n_rows == 1 ? 2 : 1; }
    using Sum = float32x4_t;
    template <class Format>
    using Step = ChunkOfX;

    static Sum zero() { return vdupq_n_f32(0.0f); }
    static float total(Sum sum) { return vaddvq_f32(sum); }
    template <class Format>
    static void load(ChunkOfX& chunk, const float* x, int64_t n) {
        chunk.load(x, n);
    }
    template <int64_t kColumns, class Format, int32_t kOuts, int32_t kRows, class Ask>
    [[gnu::always_inline]] static void add(const uint8_t* at, int64_t out_bytes,
                                           const ChunkOfX* const (&x)[kRows],
                                           Sum (&sums)[kOuts][kRows], const Ask& ask) {
        ask(0);
        add_chunk<Format>(at, out_bytes, x, sums);
    }
};

template <class Format>
void multiply_blocks(const LinearBlock& block) {
    multiply_rows_in_spans<Spans, Format>(block);
}

}  // namespace
}  // namespace puna::core
