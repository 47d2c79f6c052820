// The AVX-512 linear kernel for quantised weights, written once for all formats.
//
// It goes through a row in chunks of 256 elements, in 16 groups of 16 that each have one scale. Weights
// stay bytes: an element is scale * (quant - kOffset) + minimum, with quants from 0 to 255, and VNNI adds
// four products of such a byte with a signed one. Activations are rounded to 16 bits in groups of 16
// with a scale of their own, which changes one by 1/65278 of the largest of its group at most. They are
// multiplied as two signed bytes each, so that sums of products are exact until they meet their scales.
//
// A format is a struct with
//   static constexpr int64_t kBlock, kBlockBytes;  // elements of a block, a divisor of kChunk
//   static constexpr bool kWideScales;             // groups 2 i and 2 i + 1 share them
//   static constexpr int kOffset;                  // 0 or a power of two
//   static constexpr bool kHasMinimums;            // then kOffset is 0
//   __m512 scales, minimums;                       // lane g: of group g
//   void open(const uint8_t* at);
//   template <int kQuad> __m512i quants() const;
// `open` prepares the chunk at `at`; `quants` gives the elements 64 kQuad .. 64 kQuad + 63 in order.
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/kernels/linear_tile_avx512.h"

namespace puna::core {
namespace {

// ---- Activations --------------------------------------------------------------------------------

constexpr int64_t kChunk = 256;
constexpr int kGroups = 16;  // of 16 elements in a chunk
constexpr int kQuads = 4;    // of 4 groups, a vector of bytes

struct Lanes {
    alignas(64) int32_t values[kLanes];

    operator __m512i() const { return _mm512_load_si512(values); }
};
template <class ValueOf>
constexpr Lanes make_lanes(ValueOf value_of) {
    Lanes lanes = {};
    for (int lane = 0; lane < kLanes; ++lane) lanes.values[lane] = value_of(lane);
    return lanes;
}

inline __m512i larger(__m512i a, __m512i b) {
    return _mm512_max_epu32(a, b);
}
inline __m512i sum(__m512i a, __m512i b) {
    return _mm512_add_epi32(a, b);
}

// Lane 4 j + i of the result: the lanes 4 j .. 4 j + 3 of v[i], joined by `join`.
template <class Join>
[[gnu::always_inline]] inline __m512i join_fours(const __m512i* v, Join join) {
    const __m512i a = join(_mm512_unpacklo_epi32(v[0], v[1]), _mm512_unpackhi_epi32(v[0], v[1]));
    const __m512i b = join(_mm512_unpacklo_epi32(v[2], v[3]), _mm512_unpackhi_epi32(v[2], v[3]));
    return join(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}
// Lane i of the result: the largest lane of v[i].
inline __m512i largest_lanes(const __m512i (&v)[kGroups]) {
    __m512i fours[4];  // lane 4 j + i of fours[k]: of v[4 k + i], in its quarter j
    for (int k = 0; k < 4; ++k) fours[k] = join_fours(v + 4 * k, larger);
    const __m512i a = _mm512_max_epu32(_mm512_shuffle_i32x4(fours[0], fours[1], 0x44),
                                       _mm512_shuffle_i32x4(fours[0], fours[1], 0xee));
    const __m512i b = _mm512_max_epu32(_mm512_shuffle_i32x4(fours[2], fours[3], 0x44),
                                       _mm512_shuffle_i32x4(fours[2], fours[3], 0xee));
    return _mm512_max_epu32(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xdd));
}

// A chunk of activations: x = scale * (256 * high + low).
struct alignas(64) ChunkOfX {
    // The largest magnitude whose high byte is still one after rounding.
    static constexpr float kLargest = 127 * 256 + 127;
    // Groups that hold nothing above it count as zeros: the inverse of their scale would overflow.
    static constexpr float kLeast = 0x1p-100f;

    int8_t high[kChunk];
    int8_t low[kChunk];
    __m512 scales;  // lane g: of group g
    __m512 sums;    // lane g: of the activations of group g, as rounded

    // The first n elements, a multiple of 16, and zeros beyond. Infinity and NaN become NaN.
    void load(const float* x, int64_t n) {
        __m512 values[kGroups];
        __m512i magnitudes[kGroups];
        for (int g = 0; g < kGroups; ++g) {
            values[g] = g * kLanes < n ? _mm512_loadu_ps(x + g * kLanes) : _mm512_setzero_ps();
            magnitudes[g] =
                _mm512_and_si512(_mm512_castps_si512(values[g]), _mm512_set1_epi32(0x7fffffff));
        }
        // As integers, magnitudes are ordered like floats, and NaN is the largest.
        const __m512 largest = _mm512_castsi512_ps(largest_lanes(magnitudes));
        const __mmask16 is_zero = _mm512_cmp_ps_mask(largest, _mm512_set1_ps(kLeast), _CMP_LT_OQ);
        scales = _mm512_mul_ps(largest, _mm512_set1_ps(1.0f / kLargest));
        const __m512 factors = _mm512_mask_mov_ps(_mm512_div_ps(_mm512_set1_ps(kLargest), largest),
                                                  is_zero, _mm512_setzero_ps());
        for (int g = 0; g < kGroups; ++g) {
            const __m512 factor = _mm512_permutexvar_ps(_mm512_set1_epi32(g), factors);
            const __m512i rounded = _mm512_cvtps_epi32(_mm512_mul_ps(values[g], factor));
            const __m512i top =
                _mm512_srai_epi32(_mm512_add_epi32(rounded, _mm512_set1_epi32(128)), 8);
            store(high + g * kLanes, _mm512_cvtepi32_epi8(top));
            store(low + g * kLanes, _mm512_cvtepi32_epi8(rounded));
        }
        __m512i fours[kQuads];
        for (int i = 0; i < kQuads; ++i) fours[i] = multiply(_mm512_set1_epi8(1), i);
        constexpr Lanes kInOrder = make_lanes([](int g) { return g % 4 * 4 + g / 4; });
        const __m512i totals = _mm512_permutexvar_epi32(kInOrder, join_fours(fours, sum));
        sums = _mm512_mul_ps(_mm512_cvtepi32_ps(totals), scales);
    }

    // Lane 4 i + j: the products of bytes 4 j .. 4 j + 3 of group i of a quad, exact. At most
    // 4 * 255 * 2^15, so they fit.
    __m512i multiply(__m512i quants, int quad) const {
        const __m512i tops = _mm512_dpbusd_epi32(_mm512_setzero_si512(), quants,
                                                 _mm512_load_si512(high + quad * 64));
        return _mm512_dpbusd_epi32(_mm512_slli_epi32(tops, 8), quants,
                                   _mm512_load_si512(low + quad * 64));
    }

  private:
    static void store(int8_t* at, __m128i bytes) {
        _mm_store_si128(reinterpret_cast<__m128i*>(at), bytes);
    }
};

// ---- Sums ---------------------------------------------------------------------------------------

// Columns that pass together, in chunks: their activations are on the stack, 15 KB for each row. So
// the weights of most models stream row by row.
constexpr int64_t kSpan = 24;

// Adds one quad of each of kOuts weight rows with each of kRows rows of activations; scales[o][r] are
// those of the weights times those of the activations.
template <int kQuad, class Format, int32_t kOuts, int32_t kRows>
[[gnu::always_inline]] inline void add_quad(const Format (&w)[kOuts],
                                            const ChunkOfX* const (&x)[kRows],
                                            const __m512 (&scales)[kOuts][kRows],
                                            __m512 (&sums)[kOuts][kRows]) {
    constexpr Lanes kScales = make_lanes([](int lane) { return 4 * kQuad + lane / 4; });
    for (int32_t o = 0; o < kOuts; ++o) {
        const __m512i quants = w[o].template quants<kQuad>();
        for (int32_t r = 0; r < kRows; ++r) {
            const __m512 products = _mm512_cvtepi32_ps(x[r]->multiply(quants, kQuad));
            sums[o][r] =
                _mm512_fmadd_ps(_mm512_permutexvar_ps(kScales, scales[o][r]), products, sums[o][r]);
        }
    }
}

template <class Format, int32_t kOuts, int32_t kRows>
[[gnu::always_inline]] inline void add_chunk_of_blocks(const uint8_t* at, int64_t out_bytes,
                                                       const ChunkOfX* const (&x)[kRows],
                                                       __m512 (&sums)[kOuts][kRows]) {
    Format w[kOuts];
    __m512 scales[kOuts][kRows];
    for (int32_t o = 0; o < kOuts; ++o) {
        w[o].open(at + o * out_bytes);
        __m512 minimums;
        if constexpr (Format::kHasMinimums) {
            minimums = w[o].minimums;
        } else {
            minimums = _mm512_mul_ps(w[o].scales, _mm512_set1_ps(-Format::kOffset));
        }
        for (int32_t r = 0; r < kRows; ++r) {
            scales[o][r] = _mm512_mul_ps(w[o].scales, x[r]->scales);
            sums[o][r] = _mm512_fmadd_ps(minimums, x[r]->sums, sums[o][r]);
        }
    }
    add_quad<0>(w, x, scales, sums);
    add_quad<1>(w, x, scales, sums);
    add_quad<2>(w, x, scales, sums);
    add_quad<3>(w, x, scales, sums);
}

// Some chunks of columns of a matrix.
template <class Format>
struct Span {
    static constexpr int64_t kChunkBytes = kChunk / Format::kBlock * Format::kBlockBytes;

    Span(int64_t begin, int64_t n_columns)
        : offset(begin / Format::kBlock * Format::kBlockBytes),
          n_bytes(n_columns / kChunk * kChunkBytes),
          tail_bytes(n_columns % kChunk / Format::kBlock * Format::kBlockBytes),
          rows_ahead(n_bytes > 0 ? kPrefetchBytes / n_bytes : 0),
          bytes_ahead(n_bytes > 0 ? kPrefetchBytes % n_bytes : 0) {}

    int64_t offset;      // in the rows, in bytes
    int64_t n_bytes;     // of whole chunks
    int64_t tail_bytes;  // of a last one that is not whole
    // kPrefetchBytes within the span, as rows and the rest.
    int64_t rows_ahead;
    int64_t bytes_ahead;
};

// Asks for the chunk that comes kPrefetchBytes after the one at row + `at`, in each of the rows that
// pass together.
template <class Format, int32_t kOuts>
[[gnu::always_inline]] inline void prefetch_chunk(const Span<Format>& span, const uint8_t* row,
                                                  int64_t row_bytes, int64_t at) {
    int64_t rows = span.rows_ahead;
    int64_t ahead = at + span.bytes_ahead;
    if (ahead >= span.n_bytes) {
        ahead -= span.n_bytes;
        ++rows;
    }
    ahead += rows * kOuts * row_bytes;
    for (int32_t o = 0; o < kOuts; ++o, ahead += row_bytes) {
        prefetch_bytes<Span<Format>::kChunkBytes>(row, ahead);
    }
}

// y[r * y_stride + o] (+)= the products of kOuts weight rows and kRows activation rows in a span.
template <class Format, int32_t kOuts, int32_t kRows>
void multiply_span(const LinearBlock& block, const Span<Format>& span, const uint8_t* row,
                   const ChunkOfX (&x)[kRows][kSpan], float* y) {
    constexpr int64_t kChunkBytes = Span<Format>::kChunkBytes;
    __m512 sums[kOuts][kRows];
    for (int32_t o = 0; o < kOuts; ++o) {
        for (int32_t r = 0; r < kRows; ++r) sums[o][r] = _mm512_setzero_ps();
    }
    const ChunkOfX* at_x[kRows];
    row += span.offset;
    if constexpr (Format::kBlock < kChunk) {
        if (span.tail_bytes > 0) {  // as a chunk that is zero beyond
            uint8_t tail[kOuts][kChunkBytes] = {};
            for (int32_t o = 0; o < kOuts; ++o) {
                std::memcpy(tail[o], row + o * block.row_bytes + span.n_bytes,
                            static_cast<size_t>(span.tail_bytes));
            }
            for (int32_t r = 0; r < kRows; ++r) at_x[r] = &x[r][span.n_bytes / kChunkBytes];
            add_chunk_of_blocks<Format>(tail[0], kChunkBytes, at_x, sums);
        }
    }
    for (int32_t r = 0; r < kRows; ++r) at_x[r] = x[r];
    for (int64_t at = 0; at < span.n_bytes; at += kChunkBytes) {
        prefetch_chunk<Format, kOuts>(span, row, block.row_bytes, at);
        add_chunk_of_blocks<Format>(row + at, block.row_bytes, at_x, sums);
        for (int32_t r = 0; r < kRows; ++r) ++at_x[r];
    }
    for (int32_t o = 0; o < kOuts; ++o) {
        for (int32_t r = 0; r < kRows; ++r) {
            float* out = y + r * block.y_stride + o;
            const float sum = _mm512_reduce_add_ps(sums[o][r]);
            *out = span.offset == 0 ? sum : *out + sum;
        }
    }
}

template <class Format, int32_t kRows>
void multiply_spans(const LinearBlock& block, const float* x, float* y) {
    ChunkOfX chunks[kRows][kSpan];
    for (int64_t begin = 0; begin < block.n_in; begin += kSpan * kChunk) {
        const int64_t left = block.n_in - begin;
        const int64_t n = left < kSpan * kChunk ? left : kSpan * kChunk;
        for (int32_t r = 0; r < kRows; ++r) {
            for (int64_t j = 0; j < n; j += kChunk) {
                chunks[r][j / kChunk].load(x + r * block.x_stride + begin + j, n - j);
            }
        }
        const Span<Format> span(begin, n);
        const auto* row = static_cast<const uint8_t*>(block.weights);
        constexpr int32_t kOuts = kRows == 1 ? kTileOuts : 1;
        int64_t i = 0;
        for (; i + kOuts <= block.n_out; i += kOuts, row += kOuts * block.row_bytes) {
            multiply_span<Format, kOuts>(block, span, row, chunks, y + i);
        }
        for (; i < block.n_out; ++i, row += block.row_bytes) {
            multiply_span<Format, 1>(block, span, row, chunks, y + i);
        }
    }
}

template <class Format>
void multiply_blocks(const LinearBlock& block) {
    for (int32_t r = 0; r < block.n_rows; r += kTileRows) {
        const float* x = block.x + r * block.x_stride;
        float* y = block.y + r * block.y_stride;
        switch (block.n_rows - r) {
            case 1:
                multiply_spans<Format, 1>(block, x, y);
                break;
            case 2:
                multiply_spans<Format, 2>(block, x, y);
                break;
            case 3:
                multiply_spans<Format, 3>(block, x, y);
                break;
            default:
                multiply_spans<Format, kTileRows>(block, x, y);
                break;
        }
    }
}

// ---- Parts of formats ---------------------------------------------------------------------------

inline uint16_t load_u16(const uint8_t* at) {
    uint16_t value;
    std::memcpy(&value, at, sizeof value);
    return value;
}
inline uint32_t load_u32(const uint8_t* at) {
    uint32_t value;
    std::memcpy(&value, at, sizeof value);
    return value;
}
inline __m128i load_16(const uint8_t* at) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
}
inline __m256i load_32(const uint8_t* at) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
}
// Two pieces of 32 bytes.
inline __m512i load_pair(const uint8_t* first, const uint8_t* second) {
    return _mm512_inserti64x4(_mm512_castsi256_si512(load_32(first)), load_32(second), 1);
}

// The F16 at `at`, in all lanes.
inline __m512 splat_half(const uint8_t* at) {
    return _mm512_cvtph_ps(_mm256_set1_epi16(static_cast<int16_t>(load_u16(at))));
}

// Each bit from `a` where the mask has it, else from `b`.
inline __m512i choose_bits(__m512i mask, __m512i a, __m512i b) {
    return _mm512_ternarylogic_epi32(mask, a, b, 0xca);
}

// Lanes 2 i and 2 i + 1 become lane kFirst + i, for i from 0 to 7: a block of 32 is two groups.
template <int kFirst>
__m512 twice(__m512 v) {
    constexpr Lanes kTwice = make_lanes([](int lane) { return kFirst + lane / 2; });
    return _mm512_permutexvar_ps(kTwice, v);
}

// The F16 numbers kAt bytes after the beginning of eight blocks, each in the lanes of the two groups of
// its block. A vector is loaded for as many blocks as it reaches, without going beyond the last one.
template <int64_t kBlockBytes, int64_t kAt, int64_t kBlock = 0>
__m256i pick_halves(const uint8_t* blocks, __m256i before) {
    constexpr int64_t kPerLoad = (64 - 2 - kAt) / kBlockBytes + 1;
    constexpr int64_t kEnd = kBlock + kPerLoad < 8 ? kBlock + kPerLoad : 8;
    constexpr int64_t kStart =
        kBlock * kBlockBytes + 64 <= 8 * kBlockBytes ? kBlock * kBlockBytes : 8 * kBlockBytes - 64;
    struct Words {
        alignas(64) int16_t values[32] = {};
    };
    constexpr Words kWords = [] {
        Words words;
        for (int64_t g = 2 * kBlock; g < 2 * kEnd; ++g) {
            words.values[g] = static_cast<int16_t>((g / 2 * kBlockBytes + kAt - kStart) / 2);
        }
        return words;
    }();
    constexpr auto kMask = static_cast<__mmask32>((1u << (2 * kEnd)) - (1u << (2 * kBlock)));
    const __m512i picked = _mm512_mask_permutexvar_epi16(_mm512_castsi256_si512(before), kMask,
                                                         _mm512_load_si512(kWords.values),
                                                         _mm512_loadu_si512(blocks + kStart));
    if constexpr (kEnd < 8) {
        return pick_halves<kBlockBytes, kAt, kEnd>(blocks, _mm512_castsi512_si256(picked));
    }
    return _mm512_castsi512_si256(picked);
}
template <int64_t kBlockBytes, int64_t kAt>
__m512 load_halves(const uint8_t* blocks) {
    return _mm512_cvtph_ps(pick_halves<kBlockBytes, kAt>(blocks, _mm256_setzero_si256()));
}

// Nibbles of blocks of 32 in 16 bytes: low ones are the elements 0 .. 15, high ones 16 .. 31. Those of
// two blocks in order; bits 4 .. 7 of the bytes hold anything.
inline __m512i spread_nibbles(const uint8_t* first, const uint8_t* second) {
    constexpr Lanes kShifts = make_lanes([](int lane) { return lane / 4 % 2 * 4; });
    const __m512i twice = _mm512_mask_broadcast_i32x4(_mm512_broadcast_i32x4(load_16(first)),
                                                      0xff00, load_16(second));
    return _mm512_srlv_epi32(twice, kShifts);
}
inline __m512i low_nibbles(__m512i bytes) {
    return _mm512_and_si512(bytes, _mm512_set1_epi8(0x0f));
}
// Q5_0 and Q5_1 keep the fifth bit of element j in bit j of four bytes.
inline __m512i join_fifth(__m512i nibbles, const uint8_t* first, const uint8_t* second) {
    const __mmask64 bits = load_u32(first) | static_cast<uint64_t>(load_u32(second)) << 32;
    return _mm512_mask_add_epi8(nibbles, bits, nibbles, _mm512_set1_epi8(0x10));
}
// 32 bytes, shifted right by kLow in the first and by kHigh in the second half.
template <int kLow, int kHigh>
__m512i spread_bits(const uint8_t* at) {
    constexpr Lanes kShifts = make_lanes([](int lane) { return lane < 8 ? kLow : kHigh; });
    return _mm512_srlv_epi32(_mm512_broadcast_i64x4(load_32(at)), kShifts);
}
// The same, but rotated, so that negative numbers shift left.
template <int kLow, int kHigh>
__m512i rotate_bits(const uint8_t* at) {
    constexpr Lanes kShifts = make_lanes([](int lane) { return (lane < 8 ? kLow : kHigh) & 31; });
    return _mm512_rorv_epi32(_mm512_broadcast_i64x4(load_32(at)), kShifts);
}

// The values of IQ4_NL and IQ4_XS plus 128, by nibble; bit 7 of the bytes must be clear.
inline __m512i look_up_iq4(__m512i nibbles) {
    const __m128i values =
        _mm_setr_epi8(1, 24, 45, 63, 79, 93, 106, 118, -127, -115, -103, -90, -75, -59, -39, -15);
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(values), nibbles);
}

// Q4_K and Q5_K: an F16 scale and an F16 that is subtracted, and eight pairs of 6 bits that multiply
// them. The lanes 0 .. 7 become the scales, 8 .. 15 the minimums.
inline __m512 load_k_factors(const uint8_t* block) {
    // The dwords a, b and c behind the factors hold six bits of four scales each and of four
    // minimums each, the last four of both in the nibbles of c and the top bits of a and b.
    const __m128i bytes = load_16(block);
    const __m128i low =
        _mm_and_si128(_mm_srlv_epi32(_mm_shuffle_epi32(bytes, _MM_SHUFFLE(3, 2, 3, 1)),
                                     _mm_setr_epi32(0, 0, 0, 4)),
                      _mm_setr_epi32(0x3f3f3f3f, 0x0f0f0f0f, 0x3f3f3f3f, 0x0f0f0f0f));
    const __m128i high =
        _mm_and_si128(_mm_srli_epi32(_mm_shuffle_epi32(bytes, _MM_SHUFFLE(2, 2, 1, 1)), 2),
                      _mm_setr_epi32(0, 0x30303030, 0, 0x30303030));
    const __m512 six = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_or_si128(low, high)));
    const __m128 halves = _mm_cvtph_ps(_mm_xor_si128(bytes, _mm_cvtsi32_si128(INT32_MIN)));
    constexpr Lanes kHalves = make_lanes([](int lane) { return lane / 8; });
    return _mm512_mul_ps(_mm512_permutexvar_ps(kHalves, _mm512_castps128_ps512(halves)), six);
}

}  // namespace
}  // namespace puna::core
