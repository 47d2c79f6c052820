#include "cpu/kernels/linear_panel_floats_avx2.h"

namespace puna::core {
namespace {

struct Rows8 {
    static constexpr int32_t kRows = 8;
    using Floats = __m256;
    using Cells = __m256;
    static Floats zero() { return _mm256_setzero_ps(); }
    static Cells splat(const Cell& cell) {
        return _mm256_broadcast_ss(reinterpret_cast<const float*>(&cell));
    }
    static Cells load(const Cell* at) { return _mm256_load_ps(reinterpret_cast<const float*>(at)); }
    static void store(float* at, Floats v) { _mm256_store_ps(at, v); }
    static Floats add_products(Floats sum, Cells w, Cells x) { return _mm256_fmadd_ps(w, x, sum); }
};

struct Avx2 {
    using Wide = Rows8;
    using Narrow = Rows8;
    static constexpr int32_t kTileOuts = 6;
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
        for (int64_t i = 0; i < kCells; i += 8) {
            const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at + 2 * i));
            _mm256_store_ps(reinterpret_cast<float*>(cells + i), _mm256_cvtph_ps(halves));
        }
    }
};

// The upper halves of floats.
struct BF16 {
    static constexpr int64_t kBytes = 2;
    static void unpack(const uint8_t* at, Cell* cells) {
        for (int64_t i = 0; i < kCells; i += 8) {
            const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at + 2 * i));
            _mm256_store_si256(reinterpret_cast<__m256i*>(cells + i),
                               _mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
        }
    }
};

}  // namespace

void pack_floats_avx2(const float* x, int64_t x_stride, int64_t n_in, int32_t n_rows, void* group) {
    pack_group<Avx2>(x, x_stride, n_in, n_rows, group);
}
int64_t packed_floats_avx2(int64_t n_rows) {
    return packed_column_bytes<Avx2>(n_rows);
}

void panel_f32_avx2(const PanelBlock& block) {
    multiply_panels<Avx2, F32>(block);
}
void panel_f16_avx2(const PanelBlock& block) {
    multiply_panels<Avx2, F16>(block);
}
void panel_bf16_avx2(const PanelBlock& block) {
    multiply_panels<Avx2, BF16>(block);
}

}  // namespace puna::core
