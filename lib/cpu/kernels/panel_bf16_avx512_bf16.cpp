#include "cpu/kernels/intrinsics_avx512.h"
#include "cpu/kernels/linear_panel_floats_avx2.h"

namespace puna::core {
namespace {

struct Rows16 {
    static constexpr int32_t kRows = 16;
    using Floats = __m512;
    using Cells = __m512bh;
    static Floats zero() { return _mm512_setzero_ps(); }
    static Cells splat(const Cell& cell) {
        int32_t bits;
        std::memcpy(&bits, &cell, sizeof bits);
        return reinterpret_cast<Cells>(_mm512_set1_epi32(bits));
    }
    static Cells load(const Cell* at) { return reinterpret_cast<Cells>(_mm512_load_si512(at)); }
    static void store(float* at, Floats v) { _mm512_store_ps(at, v); }
    static Floats add_products(Floats sum, Cells w, Cells x) { return _mm512_dpbf16_ps(sum, w, x); }
};

struct Rows8 {
    static constexpr int32_t kRows = 8;
    using Floats = __m256;
    using Cells = __m256bh;
    static Floats zero() { return _mm256_setzero_ps(); }
    static Cells splat(const Cell& cell) {
        int32_t bits;
        std::memcpy(&bits, &cell, sizeof bits);
        return reinterpret_cast<Cells>(_mm256_set1_epi32(bits));
    }
    static Cells load(const Cell* at) {
        return reinterpret_cast<Cells>(_mm256_load_si256(reinterpret_cast<const __m256i*>(at)));
    }
    static void store(float* at, Floats v) { _mm256_store_ps(at, v); }
    static Floats add_products(Floats sum, Cells w, Cells x) { return _mm256_dpbf16_ps(sum, w, x); }
};

struct Avx512Bf16 {
    using Wide = Rows16;
    using Narrow = Rows8;
    static constexpr int32_t kTileOuts = 12;
    static constexpr int64_t kCellColumns = 2;
    static void to_cells(const float* x, Cell* cells) {
        const __m512bh both = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(x + 16), _mm512_loadu_ps(x));
        _mm512_store_si512(cells, reinterpret_cast<__m512i>(both));
    }
};

struct BF16 {
    static constexpr int64_t kBytes = 2;
    static void unpack(const uint8_t* at, Cell* cells) {
        _mm512_store_si512(cells, _mm512_loadu_si512(at));
    }
};

}  // namespace

void pack_bf16_avx512_bf16(const float* x, int64_t x_stride, int64_t n_in, int32_t n_rows,
                           void* group) {
    pack_group<Avx512Bf16>(x, x_stride, n_in, n_rows, group);
}
int64_t packed_bf16_avx512_bf16(int64_t n_rows) {
    return packed_column_bytes<Avx512Bf16>(n_rows);
}

void panel_bf16_avx512_bf16(const PanelBlock& block) {
    multiply_panels<Avx512Bf16, BF16>(block);
}

}  // namespace puna::core
