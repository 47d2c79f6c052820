// The AVX-512 linear kernel for quantised weights and float32 activations, written once for all
// formats.
//
// It goes through a row in chunks of 256 elements, in 16 groups of 16 that each have one scale. The
// 16 bytes of a group lie in a quarter of a vector, so that four groups, a quad, are dequantised by
// shifts alone: byte b of the lanes gives the elements b, b + 4, b + 8 and b + 12 of each group.
// Quants are multiplied without their scales, which come in once per quad. Activations are brought
// into the same order once per call.
//
// A format is a struct with
//   static constexpr int64_t kBlock, kBlockBytes;  // elements of a block, a divisor of kChunk
//   static constexpr int group_of(int quad, int quarter);
//   static constexpr int scale_of(int group);      // its lane in `scales`
//   static constexpr bool kHasMinimums;
//   static constexpr int minimum_of(int group);    // its lane in `minimums`, if there are any
//   __m512 scales, minimums;                       // an element is scale * quant + minimum
//   void open(const uint8_t* at);
//   template <int kQuad> void load(Step& q) const;
// `open` prepares the chunk at `at`; `load` gives the quants of a quad, q[b] having those of byte b.
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/kernels/linear_tile_avx512.h"

namespace puna::core {
namespace {

// ---- The order of a chunk -----------------------------------------------------------------------

constexpr int64_t kChunk = 256;
constexpr int kQuads = 4;

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

// v[i] quarter L becomes v[L] quarter i.
inline void transpose_quarters(__m512 (&v)[4]) {
    const __m512 a = _mm512_shuffle_f32x4(v[0], v[1], 0x44);
    const __m512 b = _mm512_shuffle_f32x4(v[2], v[3], 0x44);
    const __m512 c = _mm512_shuffle_f32x4(v[0], v[1], 0xee);
    const __m512 d = _mm512_shuffle_f32x4(v[2], v[3], 0xee);
    v[0] = _mm512_shuffle_f32x4(a, b, 0x88);
    v[1] = _mm512_shuffle_f32x4(a, b, 0xdd);
    v[2] = _mm512_shuffle_f32x4(c, d, 0x88);
    v[3] = _mm512_shuffle_f32x4(c, d, 0xdd);
}

// The lanes 4 a + i of v[L] become the lanes 4 L + a of v[i].
inline void transpose_quad(__m512 (&v)[4]) {
    constexpr Lanes kTransposed = make_lanes([](int lane) { return lane % 4 * 4 + lane / 4; });
    const __m512d a = _mm512_castps_pd(_mm512_unpacklo_ps(v[0], v[1]));
    const __m512d b = _mm512_castps_pd(_mm512_unpacklo_ps(v[2], v[3]));
    const __m512d c = _mm512_castps_pd(_mm512_unpackhi_ps(v[0], v[1]));
    const __m512d d = _mm512_castps_pd(_mm512_unpackhi_ps(v[2], v[3]));
    v[0] = _mm512_permutexvar_ps(kTransposed, _mm512_castpd_ps(_mm512_unpacklo_pd(a, b)));
    v[1] = _mm512_permutexvar_ps(kTransposed, _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
    v[2] = _mm512_permutexvar_ps(kTransposed, _mm512_castpd_ps(_mm512_unpacklo_pd(c, d)));
    v[3] = _mm512_permutexvar_ps(kTransposed, _mm512_castpd_ps(_mm512_unpackhi_pd(c, d)));
}

// A chunk of activations, in the order of a format's quants.
struct ChunkOfX {
    __m512 quads[kQuads][4];
    __m512 sums;  // lane 4 i + L: of the group in quarter L of quad i

    // The first n elements, and zeros beyond.
    template <class Format>
    void load(const float* x, int64_t n) {
        __m512 quad_sums[kQuads];
        for (int i = 0; i < kQuads; ++i) {
            for (int quarter = 0; quarter < 4; ++quarter) {
                const int64_t at = kLanes * Format::group_of(i, quarter);
                quads[i][quarter] = at < n ? _mm512_loadu_ps(x + at) : _mm512_setzero_ps();
            }
            transpose_quad(quads[i]);
            quad_sums[i] = add_four(quads[i]);
        }
        // Lane 4 L + a of a quad has a part of the sum of quarter L.
        transpose_quad(quad_sums);
        sums = add_four(quad_sums);
    }

  private:
    static __m512 add_four(const __m512 (&v)[4]) {
        return _mm512_add_ps(_mm512_add_ps(v[0], v[1]), _mm512_add_ps(v[2], v[3]));
    }
};

// ---- Sums ---------------------------------------------------------------------------------------

// Columns that pass together, in chunks: their activations are on the stack, 26 KB for each row. So
// the weights of most models stream row by row.
constexpr int64_t kPanel = 24;

// The sums of products of one quad of weights with each of kRows rows of activations.
template <int kQuad, class Format, int32_t kOuts, int32_t kRows>
[[gnu::always_inline]] inline void add_quad(const Format (&w)[kOuts],
                                            const ChunkOfX* const (&x)[kRows],
                                            __m512 (&sums)[kOuts][kRows]) {
    constexpr Lanes kScales =
        make_lanes([](int lane) { return Format::scale_of(Format::group_of(kQuad, lane / 4)); });
    Step q[kOuts];
    for (int32_t o = 0; o < kOuts; ++o) w[o].template load<kQuad>(q[o]);
    __m512 parts[kOuts][kRows];
    for (int b = 0; b < 4; ++b) {
        for (int32_t r = 0; r < kRows; ++r) {
            __m512 xv = x[r]->quads[kQuad][b];
            if constexpr (kOuts > 1) stay_in_register(xv);
            for (int32_t o = 0; o < kOuts; ++o) {
                parts[o][r] =
                    b == 0 ? _mm512_mul_ps(q[o][b], xv) : _mm512_fmadd_ps(q[o][b], xv, parts[o][r]);
            }
        }
    }
    for (int32_t o = 0; o < kOuts; ++o) {
        const __m512 scales = _mm512_permutexvar_ps(kScales, w[o].scales);
        for (int32_t r = 0; r < kRows; ++r) {
            sums[o][r] = _mm512_fmadd_ps(scales, parts[o][r], sums[o][r]);
        }
    }
}

template <class Format, int32_t kOuts, int32_t kRows>
[[gnu::always_inline]] inline void add_chunk_of_blocks(const uint8_t* at, int64_t out_bytes,
                                                       const ChunkOfX* const (&x)[kRows],
                                                       __m512 (&sums)[kOuts][kRows]) {
    Format w[kOuts];
    for (int32_t o = 0; o < kOuts; ++o) w[o].open(at + o * out_bytes);
    add_quad<0>(w, x, sums);
    add_quad<1>(w, x, sums);
    add_quad<2>(w, x, sums);
    add_quad<3>(w, x, sums);
    if constexpr (Format::kHasMinimums) {
        constexpr Lanes kMinimums = make_lanes(
            [](int lane) { return Format::minimum_of(Format::group_of(lane / 4, lane % 4)); });
        for (int32_t o = 0; o < kOuts; ++o) {
            const __m512 minimums = _mm512_permutexvar_ps(kMinimums, w[o].minimums);
            for (int32_t r = 0; r < kRows; ++r) {
                sums[o][r] = _mm512_fmadd_ps(minimums, x[r]->sums, sums[o][r]);
            }
        }
    }
}

// Some chunks of columns of a matrix.
template <class Format>
struct Panel {
    static constexpr int64_t kChunkBytes = kChunk / Format::kBlock * Format::kBlockBytes;

    Panel(int64_t begin, int64_t n_columns)
        : offset(begin / Format::kBlock * Format::kBlockBytes),
          n_bytes(n_columns / kChunk * kChunkBytes),
          tail_bytes(n_columns % kChunk / Format::kBlock * Format::kBlockBytes),
          rows_ahead(n_bytes > 0 ? kPrefetchBytes / n_bytes : 0),
          bytes_ahead(n_bytes > 0 ? kPrefetchBytes % n_bytes : 0) {}

    int64_t offset;      // in the rows, in bytes
    int64_t n_bytes;     // of whole chunks
    int64_t tail_bytes;  // of a last one that is not whole
    // kPrefetchBytes within the panel, as rows and the rest.
    int64_t rows_ahead;
    int64_t bytes_ahead;
};

// Asks for the chunk that comes kPrefetchBytes after the one at row + `at`, in each of the rows that
// pass together.
template <class Format, int32_t kOuts>
[[gnu::always_inline]] inline void prefetch_chunk(const Panel<Format>& panel, const uint8_t* row,
                                                  int64_t row_bytes, int64_t at) {
    int64_t rows = panel.rows_ahead;
    int64_t ahead = at + panel.bytes_ahead;
    if (ahead >= panel.n_bytes) {
        ahead -= panel.n_bytes;
        ++rows;
    }
    ahead += rows * kOuts * row_bytes;
    for (int32_t o = 0; o < kOuts; ++o, ahead += row_bytes) {
        prefetch_bytes<Panel<Format>::kChunkBytes>(row, ahead);
    }
}

// y[r * y_stride + o] (+)= the products of kOuts weight rows and kRows activation rows in a panel.
template <class Format, int32_t kOuts, int32_t kRows>
void multiply_panel(const LinearBlock& block, const Panel<Format>& panel, const uint8_t* row,
                    const ChunkOfX (&x)[kRows][kPanel], float* y) {
    constexpr int64_t kChunkBytes = Panel<Format>::kChunkBytes;
    __m512 sums[kOuts][kRows];
    for (int32_t o = 0; o < kOuts; ++o) {
        for (int32_t r = 0; r < kRows; ++r) sums[o][r] = _mm512_setzero_ps();
    }
    const ChunkOfX* at_x[kRows];
    row += panel.offset;
    if constexpr (Format::kBlock < kChunk) {
        if (panel.tail_bytes > 0) {  // as a chunk that is zero beyond
            uint8_t tail[kOuts][kChunkBytes] = {};
            for (int32_t o = 0; o < kOuts; ++o) {
                std::memcpy(tail[o], row + o * block.row_bytes + panel.n_bytes,
                            static_cast<size_t>(panel.tail_bytes));
            }
            for (int32_t r = 0; r < kRows; ++r) at_x[r] = &x[r][panel.n_bytes / kChunkBytes];
            add_chunk_of_blocks<Format>(tail[0], kChunkBytes, at_x, sums);
        }
    }
    for (int32_t r = 0; r < kRows; ++r) at_x[r] = x[r];
    for (int64_t at = 0; at < panel.n_bytes; at += kChunkBytes) {
        prefetch_chunk<Format, kOuts>(panel, row, block.row_bytes, at);
        add_chunk_of_blocks<Format>(row + at, block.row_bytes, at_x, sums);
        for (int32_t r = 0; r < kRows; ++r) ++at_x[r];
    }
    for (int32_t o = 0; o < kOuts; ++o) {
        for (int32_t r = 0; r < kRows; ++r) {
            float* out = y + r * block.y_stride + o;
            const float sum = _mm512_reduce_add_ps(sums[o][r]);
            *out = panel.offset == 0 ? sum : *out + sum;
        }
    }
}

template <class Format, int32_t kRows>
void multiply_panels(const LinearBlock& block, const float* x, float* y) {
    ChunkOfX chunks[kRows][kPanel];
    for (int64_t begin = 0; begin < block.n_in; begin += kPanel * kChunk) {
        const int64_t left = block.n_in - begin;
        const int64_t n = left < kPanel * kChunk ? left : kPanel * kChunk;
        for (int32_t r = 0; r < kRows; ++r) {
            for (int64_t j = 0; j < n; j += kChunk) {
                chunks[r][j / kChunk].template load<Format>(x + r * block.x_stride + begin + j,
                                                            n - j);
            }
        }
        const Panel<Format> panel(begin, n);
        const auto* row = static_cast<const uint8_t*>(block.weights);
        constexpr int32_t kOuts = kRows == 1 ? kTileOuts : 1;
        int64_t i = 0;
        for (; i + kOuts <= block.n_out; i += kOuts, row += kOuts * block.row_bytes) {
            multiply_panel<Format, kOuts>(block, panel, row, chunks, y + i);
        }
        for (; i < block.n_out; ++i, row += block.row_bytes) {
            multiply_panel<Format, 1>(block, panel, row, chunks, y + i);
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
                multiply_panels<Format, 1>(block, x, y);
                break;
            case 2:
                multiply_panels<Format, 2>(block, x, y);
                break;
            case 3:
                multiply_panels<Format, 3>(block, x, y);
                break;
            default:
                multiply_panels<Format, kTileRows>(block, x, y);
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

// The F16 at `at`, in all lanes.
inline __m512 splat_half(const uint8_t* at) {
    return _mm512_cvtph_ps(_mm256_set1_epi16(static_cast<int16_t>(load_u16(at))));
}

// Four times 16 bytes, kStride apart.
template <int64_t kStride>
__m512i load_pieces(const uint8_t* at) {
    const __m256i low =
        _mm256_inserti128_si256(_mm256_castsi128_si256(load_16(at)), load_16(at + kStride), 1);
    const __m256i high = _mm256_inserti128_si256(_mm256_castsi128_si256(load_16(at + 2 * kStride)),
                                                 load_16(at + 3 * kStride), 1);
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

// Each bit from `a` where the mask has it, else from `b`.
inline __m512i choose_bits(__m512i mask, __m512i a, __m512i b) {
    return _mm512_ternarylogic_epi32(mask, a, b, 0xca);
}

// Byte b of all lanes, shifted right by kShift, picks q[b] from a table. A permutation looks at the
// low four bits of an index.
template <int kShift>
void look_up(__m512i bytes, __m512 table, Step& q) {
    q[0] = _mm512_permutexvar_ps(_mm512_srli_epi32(bytes, kShift), table);
    q[1] = _mm512_permutexvar_ps(_mm512_srli_epi32(bytes, kShift + 8), table);
    q[2] = _mm512_permutexvar_ps(_mm512_srli_epi32(bytes, kShift + 16), table);
    q[3] = _mm512_permutexvar_ps(_mm512_srli_epi32(bytes, kShift + 24), table);
}
// The same with a table of 32: the low five bits.
inline void look_up(__m512i bytes, __m512 low, __m512 high, Step& q) {
    q[0] = _mm512_permutex2var_ps(low, bytes, high);
    q[1] = _mm512_permutex2var_ps(low, _mm512_srli_epi32(bytes, 8), high);
    q[2] = _mm512_permutex2var_ps(low, _mm512_srli_epi32(bytes, 16), high);
    q[3] = _mm512_permutex2var_ps(low, _mm512_srli_epi32(bytes, 24), high);
}

inline __m512 count_from(float first) {
    return _mm512_add_ps(_mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                         _mm512_set1_ps(first));
}
inline __m512 iq4_values() {
    return _mm512_setr_ps(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
}

// Signed bytes are converted to float at the top of a lane, where that takes no sign extension:
// kByteScale undoes it.
constexpr float kByteScale = 0x1p-24f;
inline void load_signed_bytes(__m512i bytes, Step& q) {
    const __m512i second = _mm512_set4_epi32(0x0dffffff, 0x09ffffff, 0x05ffffff, 0x01ffffff);
    const __m512i third = _mm512_set4_epi32(0x0effffff, 0x0affffff, 0x06ffffff, 0x02ffffff);
    const __m512i top = _mm512_set1_epi32(static_cast<int32_t>(0xff000000));
    q[0] = _mm512_cvtepi32_ps(_mm512_slli_epi32(bytes, 24));
    q[1] = _mm512_cvtepi32_ps(_mm512_shuffle_epi8(bytes, second));
    q[2] = _mm512_cvtepi32_ps(_mm512_shuffle_epi8(bytes, third));
    q[3] = _mm512_cvtepi32_ps(_mm512_and_si512(bytes, top));
}

// The orders of groups. Blocks of 32 in 16 bytes: low nibbles are the elements 0 .. 15, high ones
// 16 .. 31; two blocks of pieces make a quad of low and one of high nibbles.
struct NibblesOf16 {
    static constexpr int group_of(int quad, int quarter) {
        return quad / 2 * 8 + quarter * 2 + quad % 2;
    }
};
// Blocks of 64 in 32 bytes.
struct NibblesOf32 {
    static constexpr int group_of(int quad, int quarter) {
        return quad / 2 * 8 + quarter / 2 * 4 + quad % 2 * 2 + quarter % 2;
    }
};
// Two halves of 128 elements in 32 bytes each, two bits of an element.
struct PairsOf32 {
    static constexpr int group_of(int quad, int quarter) {
        return quarter / 2 * 8 + quad * 2 + quarter % 2;
    }
};
struct Bytes {
    static constexpr int group_of(int quad, int quarter) { return quad * 4 + quarter; }
};

// Four bytes from the beginning of each of eight blocks.
template <int64_t kBlockBytes>
void gather(const uint8_t* blocks, __m128i (&first_bytes)[8]) {
    for (int i = 0; i < 8; ++i) {
        const uint32_t bytes = load_u32(blocks + i * kBlockBytes);
        first_bytes[i] = _mm_cvtsi32_si128(static_cast<int32_t>(bytes));
    }
}
template <int64_t kBlockBytes>
__m256i gather_u32(const uint8_t* blocks) {
    __m128i v[8];
    gather<kBlockBytes>(blocks, v);
    const __m128i a = _mm_unpacklo_epi32(v[0], v[1]);
    const __m128i b = _mm_unpacklo_epi32(v[2], v[3]);
    const __m128i c = _mm_unpacklo_epi32(v[4], v[5]);
    const __m128i d = _mm_unpacklo_epi32(v[6], v[7]);
    return _mm256_set_m128i(_mm_unpacklo_epi64(c, d), _mm_unpacklo_epi64(a, b));
}
// The F16 numbers at the beginning of eight blocks.
template <int64_t kBlockBytes>
__m512 gather_halves(const uint8_t* blocks) {
    __m128i v[8];
    gather<kBlockBytes>(blocks, v);
    const __m128i a = _mm_unpacklo_epi16(v[0], v[1]);
    const __m128i b = _mm_unpacklo_epi16(v[2], v[3]);
    const __m128i c = _mm_unpacklo_epi16(v[4], v[5]);
    const __m128i d = _mm_unpacklo_epi16(v[6], v[7]);
    const __m128i halves = _mm_unpacklo_epi64(_mm_unpacklo_epi32(a, b), _mm_unpacklo_epi32(c, d));
    return _mm512_castps256_ps512(_mm256_cvtph_ps(halves));
}

// Q5_0 and Q5_1: the nibbles of a quad and the fifth bits, of which a block keeps bit j for its
// element j; those of the first block are at `fifth`.
template <int kQuad, int64_t kBlockBytes>
__m512i join_fifth(__m512i pieces, const uint8_t* fifth) {
    uint64_t bits = 0;
    for (int i = 0; i < 4; ++i) {
        const uint8_t* at = fifth + (kQuad / 2 * 4 + i) * kBlockBytes + kQuad % 2 * 2;
        bits |= static_cast<uint64_t>(load_u16(at)) << (16 * i);
    }
    const __m512i nibbles = kQuad % 2 == 0 ? pieces : _mm512_srli_epi32(pieces, 4);
    const __m512i low = _mm512_and_si512(nibbles, _mm512_set1_epi8(0x0f));
    return _mm512_mask_add_epi8(low, bits, low, _mm512_set1_epi8(0x10));
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
