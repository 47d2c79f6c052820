#include <cmath>

#include "cpu/kernels/format_bytes.h"
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

// How 32 elements of a block become bf16. Vector instructions here take time from the matrix unit, and tables
// of what quants stand for take the fewest. Each way is a struct with
//   static constexpr int kFactors;                   // scales of a chunk, and minimums
//   static constexpr bool kTakesWords;               // upper_words()
//   static constexpr float kPower;                   // what codes are too large by
//   static __m512i codes(__m512i quants);            // 64 bytes, as they are kept
//   static __m512i bf16(const uint8_t* codes, const float* scales, const float* minimums, int64_t block);

inline __m512i widen_codes(const uint8_t* codes, int64_t block) {
    return _mm512_cvtepu8_epi16(load_32(codes + block * kStep));
}
inline __m512 first_levels() {
    return _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}
// Up to 16 levels: the table is the upper words of floats, 1, 3 .. 31, rounded to the nearest, ties away from
// zero. NaN must be a plain one: others have bits that rounding carries into the sign.
inline __m512i upper_words(__m512 levels) {
    return _mm512_add_epi32(_mm512_castps_si512(levels), _mm512_set1_epi32(0x8000));
}
inline __m512 with_plain_nans(__m512 v) {
    const __mmask16 is_nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    return _mm512_mask_mov_ps(v, is_nan, _mm512_set1_ps(NAN));
}
inline __m256 with_plain_nans(__m256 v) {
    const __mmask8 is_nan = _mm256_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    return _mm256_mask_mov_ps(v, is_nan, _mm256_set1_ps(NAN));
}

// Quants below 16, and a scale for the block.
struct Levels16 {
    static constexpr int kFactors = kGroups / 2;
    static constexpr bool kTakesWords = true;
    static constexpr float kPower = 0.0f;

    static __m512i codes(__m512i quants) {
        constexpr Shifts kTwice = bit_matrix<4, 1, all_by(0)>();
        return _mm512_gf2p8affine_epi64_epi8(quants, kTwice, 1);
    }
    [[gnu::always_inline]] static inline __m512i bf16(const uint8_t* codes, const float* scales,
                                                      const float* minimums, int64_t block) {
        const __m512 values = _mm512_fmadd_ps(first_levels(), _mm512_set1_ps(scales[block]),
                                              _mm512_set1_ps(minimums[block]));
        return _mm512_permutexvar_epi16(widen_codes(codes, block), upper_words(values));
    }
};

// Quants below 8, and a scale for each half of the block: the levels of both in turn.
struct Levels8 {
    static constexpr int kFactors = kGroups;
    static constexpr bool kTakesWords = true;
    static constexpr float kPower = 0.0f;

    static __m512i codes(__m512i quants) {
        constexpr Shifts kFourfold = bit_matrix<3, 2, all_by(0)>();
        const __m512i half =
            _mm512_broadcast_i64x4(_mm256_setr_m128i(_mm_setzero_si128(), _mm_set1_epi8(2)));
        return _mm512_or_si512(_mm512_gf2p8affine_epi64_epi8(quants, kFourfold, 1), half);
    }
    [[gnu::always_inline]] static inline __m512i bf16(const uint8_t* codes, const float* scales,
                                                      const float* minimums, int64_t block) {
        const __m512 levels = _mm512_setr_ps(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
        const __m512 values =
            _mm512_fmadd_ps(levels, spread(scales + 2 * block), spread(minimums + 2 * block));
        return _mm512_permutexvar_epi16(widen_codes(codes, block), upper_words(values));
    }

  private:
    static __m512 spread(const float* two) {
        double both;
        std::memcpy(&both, two, sizeof both);
        return _mm512_castpd_ps(_mm512_set1_pd(both));
    }
};

// Quants below 32, and a scale for the block.
struct Levels32 {
    static constexpr int kFactors = kGroups / 2;
    static constexpr bool kTakesWords = false;
    static constexpr float kPower = 0.0f;

    static __m512i codes(__m512i quants) { return quants; }
    [[gnu::always_inline]] static inline __m512i bf16(const uint8_t* codes, const float* scales,
                                                      const float* minimums, int64_t block) {
        const __m512 scale = _mm512_set1_ps(scales[block]);
        const __m512 minimum = _mm512_set1_ps(minimums[block]);
        const __m512 low = first_levels();
        const __m512 high = _mm512_add_ps(low, _mm512_set1_ps(16.0f));
        const __m512i table =
            to_bf16(_mm512_fmadd_ps(low, scale, minimum), _mm512_fmadd_ps(high, scale, minimum));
        return _mm512_permutexvar_epi16(widen_codes(codes, block), table);
    }
};

// Any quants: element by element. A quant put into the fraction of a power of two is that power and the quant, as a
// float, without a conversion; the minimum takes the power off again.
template <class Format>
struct Computed {
    static constexpr int kFactors = Format::kWideScales ? kGroups / 2 : kGroups;
    static constexpr bool kTakesWords = false;
    static constexpr bool kIsSmall = Format::kLevels <= 64;
    // Minimums are exact: scales have up to 18 bits where they meet 96, and are below 2^24 / 257 of their last
    // bit where they meet 32896, 257 * 2^7.
    static constexpr float kPower = kIsSmall ? 0x1p6f : 0x1p15f;
    static_assert(!Format::kHasMinimums);

    // A small quant begins with its second bit in a byte, of which the first bit belongs to the exponent.
    static __m512i codes(__m512i quants) {
        if constexpr (!kIsSmall) return quants;
        constexpr Shifts kTwice = bit_matrix<6, 1, all_by(0)>();
        return _mm512_gf2p8affine_epi64_epi8(quants, kTwice, 0x80);
    }
    [[gnu::always_inline]] static inline __m512i bf16(const uint8_t* codes, const float* scales,
                                                      const float* minimums, int64_t block) {
        const __m512i both = _mm512_castsi256_si512(load_32(codes + block * kStep));
        return to_bf16(group<0>(both, scales, minimums, 2 * block),
                       group<1>(both, scales, minimums, 2 * block + 1));
    }

  private:
    // Byte i / 4 of half kHalf.
    template <int kHalf>
    static constexpr Bytes kPlaces = make_bytes([](int i) { return 16 * kHalf + i / 4; });

    template <int kHalf>
    [[gnu::always_inline]] static inline __m512 group(__m512i codes, const float* scales,
                                                      const float* minimums, int64_t g) {
        constexpr __mmask64 kBytes = kIsSmall ? 0x4444444444444444 : 0x2222222222222222;
        const __m512i power = _mm512_set1_epi32(kIsSmall ? 0x42000000 : 0x47000000);
        const __m512i values = _mm512_mask_permutexvar_epi8(power, kBytes, kPlaces<kHalf>, codes);
        const int64_t i = g * kFactors / kGroups;
        return _mm512_fmadd_ps(_mm512_castsi512_ps(values), _mm512_set1_ps(scales[i]),
                               _mm512_set1_ps(minimums[i]));
    }
};

template <class Format>
constexpr auto way_of() {
    if constexpr (Format::kWideScales && Format::kLevels <= 16) {
        return Levels16();
    } else if constexpr (Format::kWideScales && Format::kLevels <= 32) {
        return Levels32();
    } else if constexpr (!Format::kWideScales && Format::kLevels <= 8) {
        return Levels8();
    } else {
        return Computed<Format>();
    }
}

template <class Format>
struct Quants {
    using Way = decltype(way_of<Format>());
    static constexpr int64_t kChunkBytes = core::bytes_of<Format>(kChunk);

    static int64_t bytes_of(int64_t n) { return core::bytes_of<Format>(n); }

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

  private:
    // The first n elements of a chunk. Codes and factors go through memory, from where they are
    // widened and spread without shuffles.
    [[gnu::always_inline]] static inline void unpack_chunk(const uint8_t* at, int64_t n,
                                                           int64_t step, PanelRow& row) {
        Format w;
        w.open(at);
        alignas(64) uint8_t codes[kChunk];
        alignas(64) float scales[Way::kFactors];
        alignas(64) float minimums[Way::kFactors];
        _mm512_store_si512(codes, Way::codes(Format::template quants<0>(at)));
        _mm512_store_si512(codes + 64, Way::codes(Format::template quants<1>(at)));
        _mm512_store_si512(codes + 128, Way::codes(Format::template quants<2>(at)));
        _mm512_store_si512(codes + 192, Way::codes(Format::template quants<3>(at)));
        store(scales, w.scales);
        if constexpr (Format::kHasMinimums) {
            store(minimums, w.minimums);
        } else {
            store(minimums, times(w.scales, -Way::kPower - Format::kOffset));
        }
        // Or the compiler would take them out of registers again, by shuffles.
        __asm__("" : "+m"(codes), "+m"(scales), "+m"(minimums));
#pragma GCC unroll 8
        for (int64_t block = 0; block < n / kStep; ++block, ++step) {
            row.store(step, Way::bf16(codes, scales, minimums, block));
        }
    }

    static __m512 times(__m512 factors, float by) {
        return _mm512_mul_ps(factors, _mm512_set1_ps(by));
    }
    static __m256 times(__m256 factors, float by) {
        return _mm256_mul_ps(factors, _mm256_set1_ps(by));
    }
    static void store(float* at, __m512 factors) {
        _mm512_store_ps(at, Way::kTakesWords ? with_plain_nans(factors) : factors);
    }
    static void store(float* at, __m256 factors) {
        _mm256_store_ps(at, Way::kTakesWords ? with_plain_nans(factors) : factors);
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
