#include "cpu/kernels/intrinsics_avx512.h"
#include "cpu/kernels/linear_panel_floats_avx2.h"

namespace puna::core {
namespace {

struct Rows16 {
    static constexpr int32_t kRows = 16;
    using Floats = __m512;
    using Cells = __m512;
    static Floats zero() { return _mm512_setzero_ps(); }
    static Cells splat(const Cell& cell) {
        float value;
        std::memcpy(&value, &cell, sizeof value);
        return _mm512_set1_ps(value);
    }
    static Cells load(const Cell* at) { return _mm512_load_ps(at); }
    static void store(float* at, Floats v) { _mm512_store_ps(at, v); }
    static Floats add_products(Floats sum, Cells w, Cells x) { return _mm512_fmadd_ps(w, x, sum); }
};

struct Rows8 {
    static constexpr int32_t kRows = 8;
    using Floats = __m256;
    using Cells = __m256;
    static Floats zero() { return _mm256_setzero_ps(); }
    static Cells splat(const Cell& cell) {
        float value;
        std::memcpy(&value, &cell, sizeof value);
        return _mm256_set1_ps(value);
    }
    static Cells load(const Cell* at) { return _mm256_load_ps(reinterpret_cast<const float*>(at)); }
    static void store(float* at, Floats v) { _mm256_store_ps(at, v); }
    static Floats add_products(Floats sum, Cells w, Cells x) { return _mm256_fmadd_ps(w, x, sum); }
};

struct Avx512 {
    using Wide = Rows16;
    using Narrow = Rows8;
    static constexpr int32_t kTileOuts = 12;
    static constexpr int64_t kCellColumns = 1;
    static void to_cells(const float* x, Cell* cells) { std::memcpy(cells, x, 4 * kCells); }
};

struct F32 {
    static constexpr int64_t kBytes = 4;
    static void unpack(const uint8_t* at, Cell* cells) { std::memcpy(cells, at, 4 * kCells); }
};

struct F16 {
    static constexpr int64_t kBytes = 2;
    static void unpack(const uint8_t* at, Cell* cells) {
        const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
        _mm512_store_ps(cells, _mm512_cvtph_ps(halves));
    }
};

// The upper halves of floats.
struct BF16 {
    static constexpr int64_t kBytes = 2;
    static void unpack(const uint8_t* at, Cell* cells) {
        const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
        _mm512_store_si512(cells, _mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
    }
};

}  // namespace

void pack_floats_avx512(const float* x, int64_t x_stride, int64_t n_in, int32_t n_rows,
                        void* group) {
    pack_group<Avx512>(x, x_stride, n_in, n_rows, group);
}
int64_t packed_floats_avx512(int64_t n_rows) {
    return packed_column_bytes<Avx512>(n_rows);
}

void panel_f32_avx512(const PanelBlock& block) {
    multiply_panels<Avx512, F32>(block);
}
void panel_f16_avx512(const PanelBlock& block) {
    multiply_panels<Avx512, F16>(block);
}
void panel_bf16_avx512(const PanelBlock& block) {
    multiply_panels<Avx512, BF16>(block);
}

}  // namespace puna::core
