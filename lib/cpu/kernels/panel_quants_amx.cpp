#include "cpu/kernels/linear_panel_amx.h"
#include "cpu/kernels/quants_iq4_nl_avx512.h"
#include "cpu/kernels/quants_iq4_xs_avx512.h"
#include "cpu/kernels/quants_mxfp4_avx512.h"
#include "cpu/kernels/quants_q2_k_avx512.h"
#include "cpu/kernels/quants_q3_k_avx512.h"
#include "cpu/kernels/quants_q4_0_avx512.h"
#include "cpu/kernels/quants_q4_1_avx512.h"
#include "cpu/kernels/quants_q4_k_avx512.h"
#include "cpu/kernels/quants_q5_0_avx512.h"
#include "cpu/kernels/quants_q5_1_avx512.h"
#include "cpu/kernels/quants_q5_k_avx512.h"
#include "cpu/kernels/quants_q6_k_avx512.h"
#include "cpu/kernels/quants_q8_0_avx512.h"

namespace puna::core {
namespace {

template <class Format>
struct Quants {
    static constexpr int64_t kChunkBytes = kChunk / Format::kBlock * Format::kBlockBytes;
    static constexpr bool kBlocksHaveTables = Format::kWideScales && Format::kLevels <= 32;
    static constexpr int kFactors = Format::kWideScales ? kGroups / 2 : kGroups;

    static int64_t bytes_of(int64_t n) { return n / Format::kBlock * Format::kBlockBytes; }

    [[gnu::always_inline]] static inline void unpack(const uint8_t* at, int64_t n, PanelRow& row) {
        for (int64_t j = 0; j < n; j += kChunk, at += kChunkBytes) {
            if (n - j >= kChunk) {
                unpack_chunk(at, kChunk, j / kStep, row);
            } else {
                uint8_t tail[kChunkBytes] = {};
                std::memcpy(tail, at, static_cast<size_t>(bytes_of(n - j)));
                unpack_chunk(tail, n - j, j / kStep, row);
            }
        }
    }

    // The first n elements of a chunk. Bytes and factors go through memory, from where they are
    // widened and spread without shuffles.
    [[gnu::always_inline]] static inline void unpack_chunk(const uint8_t* at, int64_t n,
                                                           int64_t step, PanelRow& row) {
        Format w;
        w.open(at);
        alignas(64) uint8_t quants[kChunk];
        alignas(64) float scales[kFactors];
        alignas(64) float minimums[kFactors];
        _mm512_store_si512(quants, w.template quants<0>());
        _mm512_store_si512(quants + 64, w.template quants<1>());
        _mm512_store_si512(quants + 128, w.template quants<2>());
        _mm512_store_si512(quants + 192, w.template quants<3>());
        store(scales, w.scales);
        if constexpr (Format::kHasMinimums) {
            store(minimums, w.minimums);
        } else {
            store(minimums, times(w.scales, static_cast<float>(-Format::kOffset)));
        }
        // Or the compiler would take them out of registers again, by shuffles.
        __asm__("" : "+m"(quants), "+m"(scales), "+m"(minimums));
#pragma GCC unroll 8
        for (int64_t block = 0; block < n / kStep; ++block, ++step) {
            row.store(step, kBlocksHaveTables ? look_up(quants, scales, minimums, block)
                                              : compute(quants, scales, minimums, block));
        }
    }

    // The 32 elements of a block by a table of what its quants stand for. Vector instructions here take
    // time from the matrix unit, and this takes the fewest.
    [[gnu::always_inline]] static inline __m512i look_up(const uint8_t* quants, const float* scales,
                                                         const float* minimums, int64_t block) {
        const __m512 scale = _mm512_set1_ps(scales[block]);
        const __m512 minimum = _mm512_set1_ps(minimums[block]);
        const __m512 levels = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        const __m512 low = _mm512_fmadd_ps(levels, scale, minimum);
        __m512i table;
        if constexpr (Format::kLevels <= 16) {
            table = _mm512_castsi256_si512(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(low)));
        } else {
            const __m512 more = _mm512_add_ps(levels, _mm512_set1_ps(16.0f));
            table = to_bf16(low, _mm512_fmadd_ps(more, scale, minimum));
        }
        return _mm512_permutexvar_epi16(_mm512_cvtepu8_epi16(load_32(quants + block * kStep)),
                                        table);
    }

    [[gnu::always_inline]] static inline __m512i compute(const uint8_t* quants, const float* scales,
                                                         const float* minimums, int64_t block) {
        return to_bf16(group(quants, scales, minimums, 2 * block),
                       group(quants, scales, minimums, 2 * block + 1));
    }
    [[gnu::always_inline]] static inline __m512 group(const uint8_t* quants, const float* scales,
                                                      const float* minimums, int64_t g) {
        const __m512 values = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(load_16(quants + g * 16)));
        const int64_t i = g * kFactors / kGroups;
        return _mm512_fmadd_ps(values, _mm512_set1_ps(scales[i]), _mm512_set1_ps(minimums[i]));
    }
    static __m512 times(__m512 factors, float by) {
        return _mm512_mul_ps(factors, _mm512_set1_ps(by));
    }
    static __m256 times(__m256 factors, float by) {
        return _mm256_mul_ps(factors, _mm256_set1_ps(by));
    }
    static void store(float* at, __m512 factors) {
        _mm512_store_ps(at, factors);
    }
    static void store(float* at, __m256 factors) {
        _mm256_store_ps(at, factors);
    }
};

}  // namespace

void panel_q4_0_amx(const PanelBlock& block) {
    multiply_panels<Quants<Q4_0>>(block);
}
void panel_q4_1_amx(const PanelBlock& block) {
    multiply_panels<Quants<Q4_1>>(block);
}
void panel_q5_0_amx(const PanelBlock& block) {
    multiply_panels<Quants<Q5_0>>(block);
}
void panel_q5_1_amx(const PanelBlock& block) {
    multiply_panels<Quants<Q5_1>>(block);
}
void panel_q8_0_amx(const PanelBlock& block) {
    multiply_panels<Quants<Q8_0>>(block);
}
void panel_q2_k_amx(const PanelBlock& block) {
    multiply_panels<Quants<Q2_K>>(block);
}
void panel_q3_k_amx(const PanelBlock& block) {
    multiply_panels<Quants<Q3_K>>(block);
}
void panel_q4_k_amx(const PanelBlock& block) {
    multiply_panels<Quants<Q4_K>>(block);
}
void panel_q5_k_amx(const PanelBlock& block) {
    multiply_panels<Quants<Q5_K>>(block);
}
void panel_q6_k_amx(const PanelBlock& block) {
    multiply_panels<Quants<Q6_K>>(block);
}
void panel_iq4_nl_amx(const PanelBlock& block) {
    multiply_panels<Quants<IQ4_NL>>(block);
}
void panel_iq4_xs_amx(const PanelBlock& block) {
    multiply_panels<Quants<IQ4_XS>>(block);
}
void panel_mxfp4_amx(const PanelBlock& block) {
    multiply_panels<Quants<MXFP4>>(block);
}

}  // namespace puna::core
