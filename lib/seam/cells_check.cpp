#include "seam/cells_check.h"

#include "base/checked.h"

namespace puna::core {

Status check_moves(int32_t n_cells, std::span<const puna_kv_move> moves) {
    for (const puna_kv_move& move : moves) {
        if (move.n_cells >= 0 && move.source >= 0 && move.target >= 0 &&
            move.source <= n_cells - move.n_cells && move.target <= n_cells - move.n_cells) {
            continue;
        }
        return make_status(PUNA_ERROR_ARGUMENT, "kv_move: %d cells from %d to %d are not within %d",
                           move.n_cells, move.source, move.target, n_cells);
    }
    return {};
}

Status check_cells(const LayerRange& layers, int32_t n_cells, uint64_t cell_bytes,
                   const CellsRequest& request) {
    if (!layers.has_layer(request.layer)) {
        return make_status(PUNA_ERROR_ARGUMENT, "kv transfer: layer %d is not in this range",
                           request.layer);
    }
    if (request.keys_or_values != PUNA_KV_KEYS && request.keys_or_values != PUNA_KV_VALUES) {
        return make_status(PUNA_ERROR_ARGUMENT, "kv transfer: %d is neither keys nor values",
                           request.keys_or_values);
    }
    for (const int32_t cell : request.cells) {
        if (cell >= 0 && cell < n_cells) continue;
        return make_status(PUNA_ERROR_ARGUMENT, "kv transfer: cell %d does not exist", cell);
    }
    uint64_t expected = 0;
    if (!checked_mul<uint64_t>(request.cells.size(), cell_bytes, &expected)) {
        return make_status(PUNA_ERROR_ARGUMENT,
                           "kv transfer: the bytes of %zu cells do not fit 64 bits",
                           request.cells.size());
    }
    if (expected == request.n_bytes) return {};
    return make_status(
        PUNA_ERROR_ARGUMENT, "kv transfer: size is %zu, %zu cells of this layer take %llu",
        request.n_bytes, request.cells.size(), static_cast<unsigned long long>(expected));
}

}  // namespace puna::core
