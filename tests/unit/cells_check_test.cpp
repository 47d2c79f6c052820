#include "seam/cells_check.h"

#include <gtest/gtest.h>

#include "support/spec_model.h"
#include "support/test_limits.h"

namespace puna::core {
namespace {

TEST(CellsCheck, RefusesMovesOutOfRange) {
    const puna_kv_move good[] = {{0, 1023, 1, 0}, {0, 0, 1024, 0}, {1024, 1024, 0, 0}};
    EXPECT_TRUE(check_moves(1024, good).ok());
    for (const puna_kv_move& move :
         {puna_kv_move{-1, 0, 1, 0}, puna_kv_move{0, 1024, 1, 0}, puna_kv_move{1000, 0, 25, 0},
          puna_kv_move{0, 0, -1, 0}, puna_kv_move{0, 0, 1025, 0},
          puna_kv_move{INT32_MAX, 0, INT32_MAX, 0}}) {
        const puna_kv_move moves[] = {good[0], move};
        test::expect_refusal(check_moves(1024, moves), PUNA_ERROR_ARGUMENT, "within 1024");
    }
}

TEST(CellsCheck, RefusesTransfersByWhatIsWrong) {
    const puna_model_spec spec = test::small_spec();
    const LayerRange layers = {spec, 1, 2, false, false};
    const int32_t cells[] = {0, 1023, 7};
    const auto check = [&](int32_t layer, int32_t half, size_t size) {
        return check_cells(layers, 1024, 80, {layer, half, cells, size});
    };
    EXPECT_TRUE(check(1, PUNA_KV_KEYS, 240).ok());
    EXPECT_TRUE(check(2, PUNA_KV_VALUES, 240).ok());
    for (const int32_t layer : {-1, 0, 3, INT32_MAX}) {
        test::expect_refusal(check(layer, PUNA_KV_KEYS, 240), PUNA_ERROR_ARGUMENT, "layer");
    }
    test::expect_refusal(check(1, 2, 240), PUNA_ERROR_ARGUMENT, "2 is neither");
    for (const size_t size : {size_t{0}, size_t{239}, size_t{241}, size_t{320}}) {
        test::expect_refusal(check(1, PUNA_KV_KEYS, size), PUNA_ERROR_ARGUMENT, "take 240");
    }
    test::expect_refusal(check_cells(layers, 1024, UINT64_MAX / 2, {1, PUNA_KV_KEYS, cells, 240}),
                         PUNA_ERROR_ARGUMENT, "3 cells do not fit 64 bits");
    for (const int32_t cell : {-1, 1024}) {
        const CellsRequest request = {1, PUNA_KV_KEYS, {&cell, 1}, 80};
        test::expect_refusal(check_cells(layers, 1024, 80, request), PUNA_ERROR_ARGUMENT, "cell");
    }
}

}  // namespace
}  // namespace puna::core
