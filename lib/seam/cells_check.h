// Whether cells that are to be moved, read or written are cells of an executor.
#pragma once

#include <span>

#include "base/status.h"
#include "seam/layer_range.h"

namespace puna::core {

// PUNA_ERROR_ARGUMENT.
Status check_moves(int32_t n_cells, std::span<const puna_kv_move> moves);

// A call of kv_read or kv_write; `layer` is counted in the whole model.
struct CellsRequest {
    int32_t layer;
    int32_t keys_or_values;
    std::span<const int32_t> cells;
    size_t n_bytes;
};
// `cell_bytes`: of one cell of one layer, of the half that the request is about. PUNA_ERROR_ARGUMENT.
Status check_cells(const LayerRange& layers, int32_t n_cells, uint64_t cell_bytes,
                   const CellsRequest& request);

}  // namespace puna::core
