#include "seam/layers_check.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "support/backend_session.h"
#include "support/test_limits.h"

namespace puna::core {
namespace {

using test::kTestLimits;
using test::LayersRequest;

// As a backend does.
Status check_all(const puna_layers_request& request, TensorData data = TensorData::kPresent) {
    PUNA_TRY(check_layers_request(kTestLimits, request));
    TensorsCheck check(request);
    for (int32_t i = 0; i < request.n_tensors; ++i) {
        const puna_tensor& tensor = request.tensors[i];
        PUNA_TRY(check.add(tensor, data));
        const auto n_bytes = static_cast<int64_t>(tensor.format == PUNA_FORMAT_F32 ? 4 : 2);
        const Result<int64_t> row_bytes = check_row_bytes(tensor, {1, n_bytes});
        PUNA_TRY(row_bytes.status());
        EXPECT_EQ(*row_bytes, tensor.columns * n_bytes);
    }
    return check.check_complete();
}

TEST(LayersCheck, RefusesRequestsByField) {
    const struct {
        const char* text;
        puna_status status;
        std::function<void(LayersRequest&)> change;
    } cases[] = {
        {"layers 0 + 4", PUNA_ERROR_ARGUMENT, [](auto& r) { r.n_layers = 4; }},
        {"layers -1 + 3", PUNA_ERROR_ARGUMENT, [](auto& r) { r.first_layer = -1; }},
        {"layers 4 + 3", PUNA_ERROR_ARGUMENT, [](auto& r) { r.first_layer = 4; }},
        {"layers 0 + -1", PUNA_ERROR_ARGUMENT, [](auto& r) { r.n_layers = -1; }},
        {"weights_layout", PUNA_ERROR_UNSUPPORTED,
         [](auto& r) { r.weights_layout = PUNA_WEIGHTS_REPACKED; }},
        {"n_tensors is -1", PUNA_ERROR_ARGUMENT, [](auto& r) { r.n_tensors = -1; }},
        {"tensors is NULL", PUNA_ERROR_ARGUMENT, [](auto& r) { r.tensors = nullptr; }},
        {"struct_size", PUNA_ERROR_ARGUMENT, [](auto& r) { r.list[0].struct_size = 8; }},
        {"2 tensors for 3 layers", PUNA_ERROR_ARGUMENT, [](auto& r) { r.n_tensors = 2; }},
        {"missing", PUNA_ERROR_MODEL, [](auto& r) { --r.n_tensors; }},
        {"range", PUNA_ERROR_ARGUMENT, [](auto& r) { r.has_embedding = 0; }},
        {"range", PUNA_ERROR_ARGUMENT, [](auto& r) { r.has_head = 0; }},
    };
    const test::SpecModel model({test::small_spec()});
    EXPECT_TRUE(check_all(LayersRequest(model)).ok());
    EXPECT_TRUE(check_all(LayersRequest(model, 1, 2, false, true)).ok());
    EXPECT_TRUE(check_all(LayersRequest(model, 3, 0, true, false)).ok());
    for (const auto& c : cases) {
        LayersRequest request(model);
        c.change(request);
        test::expect_refusal(check_all(request), c.status, c.text);
    }
}

TEST(LayersCheck, RefusesTensorsByName) {
    const struct {
        const char* text;
        puna_status status;
        std::function<void(LayersRequest&, puna_tensor&)> change;
    } cases[] = {
        {"shape", PUNA_ERROR_MODEL, [](auto&, auto& t) { ++t.rows; }},
        {"shape", PUNA_ERROR_MODEL, [](auto&, auto& t) { t.columns = -1; }},
        {"bytes", PUNA_ERROR_MODEL, [](auto&, auto& t) { --t.size_bytes; }},
        {"role 99", PUNA_ERROR_MODEL_UNSUPPORTED, [](auto&, auto& t) { t.role = 99; }},
        {"role -1", PUNA_ERROR_MODEL_UNSUPPORTED, [](auto&, auto& t) { t.role = -1; }},
        {"range", PUNA_ERROR_ARGUMENT, [](auto&, auto& t) { t.layer = 3; }},
        {"range", PUNA_ERROR_ARGUMENT, [](auto&, auto& t) { t.role = PUNA_TENSOR_ATTN_Q_NORM; }},
        {"twice", PUNA_ERROR_MODEL, [](auto& r, auto& t) { t = r.list.back(); }},
        {"data is NULL", PUNA_ERROR_ARGUMENT, [](auto&, auto& t) { t.data = nullptr; }},
        {"(unnamed)", PUNA_ERROR_MODEL,
         [](auto&, auto& t) {
             t.name = nullptr;
             ++t.rows;
         }},
        {"ATTN_K of layer 1 is missing", PUNA_ERROR_MODEL,
         [](auto& r, auto& t) {
             t = r.list.back();
             --r.n_tensors;
         }},
    };
    const test::SpecModel model({test::small_spec()});
    for (const auto& c : cases) {
        LayersRequest request(model);
        const auto found = std::find_if(
            request.list.begin(), request.list.end(),
            [](const puna_tensor& t) { return t.role == PUNA_TENSOR_ATTN_K && t.layer == 1; });
        ASSERT_NE(found, request.list.end());
        c.change(request, *found);
        test::expect_refusal(check_all(request), c.status, c.text);
    }
}

TEST(LayersCheck, NormsAndBiasesAreFloats) {
    const test::SpecModel model({.spec = test::small_spec(), .biases = true});
    for (const int32_t role : {PUNA_TENSOR_FFN_NORM, PUNA_TENSOR_FFN_UP_BIAS}) {
        LayersRequest request(model);
        for (puna_tensor& tensor : request.list) {
            if (tensor.role == role) tensor.format = PUNA_FORMAT_F16;
        }
        test::expect_refusal(check_all(request), PUNA_ERROR_MODEL_UNSUPPORTED, "must be F32");
    }
}

TEST(LayersCheck, QkNormsAreNeededWhereTheModelHasThem) {
    puna_model_spec spec = test::small_spec();
    spec.qk_norm = 1;
    const test::SpecModel model({spec});
    LayersRequest request(model);
    EXPECT_TRUE(check_all(request).ok());
    std::erase_if(request.list, [](const auto& t) { return t.role == PUNA_TENSOR_ATTN_K_NORM; });
    request.n_tensors = static_cast<int32_t>(request.list.size());
    test::expect_refusal(check_all(request), PUNA_ERROR_MODEL, "ATTN_K_NORM of layer 0 is missing");
}

TEST(LayersCheck, AnEstimateHasNoData) {
    const test::SpecModel model({test::small_spec()});
    LayersRequest request(model);
    for (puna_tensor& tensor : request.list) tensor.data = nullptr;
    EXPECT_TRUE(check_all(request, TensorData::kAbsent).ok());
}

TEST(LayersCheck, RowsAreWholeBlocks) {
    puna_tensor tensor = {};
    tensor.rows = 3;
    tensor.columns = 96;
    tensor.size_bytes = 3 * 3 * 34;
    const Result<int64_t> row_bytes = check_row_bytes(tensor, {32, 34});
    ASSERT_TRUE(row_bytes.ok()) << row_bytes.status().text();
    EXPECT_EQ(*row_bytes, 3 * 34);
    for (const int64_t columns : {95, 97, 112}) {
        tensor.columns = columns;
        test::expect_refusal(check_row_bytes(tensor, {32, 34}).status(), PUNA_ERROR_MODEL,
                             "columns are not a multiple of 32");
    }
}

TEST(LayersCheck, SizesThatDoNotFitAreRefused) {
    puna_tensor tensor = {};
    tensor.rows = INT64_MAX;
    tensor.columns = 1;
    tensor.size_bytes = static_cast<uint64_t>(INT64_MAX) * 4;  // what is left of the product
    test::expect_refusal(check_row_bytes(tensor, {1, 4}).status(), PUNA_ERROR_MODEL, "64 bits");
    tensor.rows = 1;
    tensor.columns = INT64_MAX;
    test::expect_refusal(check_row_bytes(tensor, {1, 4}).status(), PUNA_ERROR_MODEL, "64 bits");
}

TEST(LayersCheck, TensorsAreWalkedByTheirStride) {
    struct Longer {
        puna_tensor tensor;
        int64_t of_a_newer_host;
    } list[3] = {};
    puna_layers_request request = {};
    request.n_tensors = 3;
    request.tensors = &list[0].tensor;
    for (int32_t i = 0; i < 3; ++i) {
        list[i].tensor.struct_size = sizeof(Longer);
        list[i].tensor.layer = i;
    }
    int32_t n_seen = 0;
    const auto visit = [&](const puna_tensor& tensor) -> Status {
        EXPECT_EQ(tensor.layer, n_seen++);
        if (n_seen < 2) return {};
        return make_status(PUNA_ERROR_MODEL, "enough");
    };
    test::expect_refusal(for_each_tensor(request, visit), PUNA_ERROR_MODEL, "enough");
    EXPECT_EQ(n_seen, 2);
}

}  // namespace
}  // namespace puna::core
