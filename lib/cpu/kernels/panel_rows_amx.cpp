// Activations of many rows as the AMX panel kernel takes them: rows in groups of 16; a group is a
// sequence of tiles of 32 columns, [column / 2][row][column % 2] in bf16. Rows beyond the last are zeros.
// Slices of columns are packed one after the other, so that all groups of one lie together in L2.
#include "cpu/kernels.h"
#include "cpu/kernels/bf16_amx.h"
#include "cpu/kernels/tiles_amx.h"
#include "cpu/kernels/transpose_avx512.h"

namespace puna::core {

void pack_rows_amx(const float* x, int64_t x_stride, int64_t n_in, int32_t n_rows, void* group) {
    alignas(64) float pairs[kTileRows][16] = {};  // of bf16
    auto* tile = static_cast<float(*)[16]>(group);
    for (int64_t j = 0; j < n_in; j += kStep, tile += kTileRows) {
        const __mmask16 low = lanes_before(n_in, j);
        const __mmask16 high = lanes_before(n_in, j + 16);
        for (int32_t r = 0; r < n_rows; ++r) {
            const float* at = x + r * x_stride + j;
            const __m512i both =
                to_bf16(_mm512_maskz_loadu_ps(low, at), _mm512_maskz_loadu_ps(high, at + 16));
            _mm512_store_ps(pairs[r], _mm512_castsi512_ps(both));
        }
        for_each_column(
            pairs[0], [&](int32_t pair, __m512 of_rows) { _mm512_store_ps(tile[pair], of_rows); });
    }
}

int64_t packed_bytes_amx(int64_t n_rows) {
    return (n_rows + kTileRows - 1) / kTileRows * kTileBytes;
}

int64_t panel_memory_amx(int64_t n_rows) {
    return n_rows <= kSumsInTilesAmx ? 0 : kSumsBytesAmx;
}

}  // namespace puna::core
