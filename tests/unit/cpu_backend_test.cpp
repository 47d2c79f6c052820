#include "cpu/cpu_backend.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "support/backend_session.h"
#include "support/random_numbers.h"
#include "support/spec_model.h"

namespace puna::core {
namespace {

using test::BackendHost;
using test::BackendSession;
using test::BatchBuilder;
using test::LayersRequest;
using test::SpecModel;

const puna_backend_api& api() {
    return *cpu_backend_api();
}

class CpuBackend : public testing::Test {
  protected:
    CpuBackend() { EXPECT_EQ(create(nullptr), PUNA_OK); }
    ~CpuBackend() override {
        if (backend_) api().destroy(backend_);
    }

    puna_status create(const char* kernels) {
        if (backend_) api().destroy(backend_);
        backend_ = nullptr;
        puna_backend_options options = {};
        options.struct_size = sizeof options;
        options.kernels = kernels;
        return api().create(&host_.services(), &options, &backend_, &error_);
    }
    // Loading and estimating refuse alike.
    puna_status load(const puna_layers_request& request) {
        puna_layer_set* layers = nullptr;
        const puna_status status = api().load_layers(backend_, &request, &layers, &error_);
        if (status == PUNA_OK) api().destroy_layers(layers);
        puna_backend_estimate estimate = {};
        estimate.struct_size = sizeof estimate;
        const auto options = test::executor_options();
        EXPECT_EQ(api().estimate(backend_, &request, &options, &estimate, nullptr), status);
        return status;
    }
    puna_status try_executor(const puna_executor_options& options) {
        puna_layer_set* layers = nullptr;
        const LayersRequest request(model_);
        EXPECT_EQ(api().load_layers(backend_, &request, &layers, nullptr), PUNA_OK);
        puna_executor* executor = nullptr;
        const puna_status status = api().create_executor(layers, &options, &executor, &error_);
        if (status == PUNA_OK) api().destroy_executor(executor);
        puna_backend_estimate estimate = {};
        estimate.struct_size = sizeof estimate;
        // An estimate asks for no memory, so it cannot find that there is none.
        const puna_status estimated =
            api().estimate(backend_, &request, &options, &estimate, nullptr);
        if (status != PUNA_ERROR_OUT_OF_MEMORY) {
            EXPECT_EQ(estimated, status);
        }
        api().destroy_layers(layers);
        return status;
    }
    bool says(const char* text) const {
        return std::string(error_.message).find(text) != std::string::npos;
    }

    BackendHost host_;
    SpecModel model_{{test::small_spec()}};
    puna_backend* backend_ = nullptr;
    puna_error error_ = PUNA_ERROR_INIT;
};

TEST_F(CpuBackend, SaysWhatItIs) {
    EXPECT_EQ(api().struct_size, sizeof(puna_backend_api));
    EXPECT_EQ(api().api_version, PUNA_BACKEND_API_VERSION);
    EXPECT_STREQ(api().name, "cpu");
    EXPECT_EQ(api().n_devices(backend_), 1);
    ASSERT_EQ(create("scalar"), PUNA_OK);
    puna_device_info info = PUNA_DEVICE_INFO_INIT;
    ASSERT_EQ(api().device_info(backend_, 0, &info, &error_), PUNA_OK);
    EXPECT_STREQ(info.backend, "cpu");
    EXPECT_STREQ(info.kernels, "scalar");
    EXPECT_EQ(info.is_gpu, 0);
    EXPECT_EQ(api().device_info(backend_, 1, &info, &error_), PUNA_ERROR_NOT_FOUND);
    EXPECT_EQ(api().format_supported(backend_, PUNA_FORMAT_Q8_0), 1);
    EXPECT_EQ(api().format_supported(backend_, 4), 0);
    EXPECT_EQ(api().format_supported(backend_, -1), 0);
}

TEST_F(CpuBackend, RefusesUnknownKernels) {
    EXPECT_EQ(create("sse9"), PUNA_ERROR_UNSUPPORTED);
    EXPECT_TRUE(says("sse9")) << error_.message;
    EXPECT_EQ(error_.status, PUNA_ERROR_UNSUPPORTED);
}

// Each refusal of a spec and of a request: spec_check_test.cpp, layers_check_test.cpp.
TEST_F(CpuBackend, ChecksModels) {
    struct {
        const char* text;
        puna_status status;
        std::function<void(puna_model_spec&)> change;
    } const cases[] = {
        {"norm 3 is not known to the CPU", PUNA_ERROR_MODEL_UNSUPPORTED,
         [](auto& s) { s.norm = 3; }},
        {"activation 0", PUNA_ERROR_MODEL_UNSUPPORTED, [](auto& s) { s.activation = 0; }},
        {"struct_size", PUNA_ERROR_ARGUMENT, [](auto& s) { s.struct_size = 8; }},
    };
    for (const auto& c : cases) {
        puna_model_spec spec = model_.spec();
        c.change(spec);
        LayersRequest request(model_);
        request.spec = &spec;
        EXPECT_EQ(load(request), c.status) << c.text;
        EXPECT_TRUE(says(c.text)) << c.text << ": " << error_.message;
    }
}

TEST_F(CpuBackend, ChecksTensorsAndTheirFormats) {
    struct {
        const char* text;
        puna_status status;
        std::function<void(LayersRequest&, puna_tensor&)> change;
    } const cases[] = {
        {"format 4", PUNA_ERROR_MODEL_UNSUPPORTED, [](auto&, auto& t) { t.format = 4; }},
        {"format", PUNA_ERROR_MODEL_UNSUPPORTED, [](auto&, auto& t) { t.format = 1000; }},
        {"shape", PUNA_ERROR_MODEL, [](auto&, auto& t) { ++t.rows; }},
        {"bytes", PUNA_ERROR_MODEL, [](auto&, auto& t) { --t.size_bytes; }},
        {"48 columns are not a multiple of 32", PUNA_ERROR_MODEL,
         [](auto&, auto& t) { t.format = PUNA_FORMAT_Q8_0; }},
        {"twice", PUNA_ERROR_MODEL, [](auto& r, auto& t) { t = r.list.back(); }},
        {"missing", PUNA_ERROR_MODEL,
         [](auto& r, auto& t) {
             t = r.list.back();
             --r.n_tensors;
         }},
        {"weights_layout", PUNA_ERROR_UNSUPPORTED,
         [](auto& r, auto&) { r.weights_layout = PUNA_WEIGHTS_REPACKED; }},
        {"device", PUNA_ERROR_NOT_FOUND, [](auto& r, auto&) { r.device = 1; }},
    };
    for (const auto& c : cases) {
        LayersRequest request(model_);
        const auto found = std::find_if(
            request.list.begin(), request.list.end(),
            [](const puna_tensor& t) { return t.role == PUNA_TENSOR_ATTN_K && t.layer == 1; });
        ASSERT_NE(found, request.list.end());
        c.change(request, *found);
        EXPECT_EQ(load(request), c.status) << c.text;
        EXPECT_TRUE(says(c.text)) << c.text << ": " << error_.message;
    }
}

// Each refusal of an option: options_check_test.cpp.
TEST_F(CpuBackend, ChecksOptionsAndMemory) {
    struct {
        const char* option;
        puna_status status;
        std::function<void(puna_executor_options&)> change;
    } const cases[] = {
        {"n_cells", PUNA_ERROR_ARGUMENT, [](auto& o) { o.n_cells = 33; }},
        {"kv_type_k", PUNA_ERROR_UNSUPPORTED, [](auto& o) { o.kv_type_k = PUNA_KV_Q8_0 + 1; }},
        {"KV cache", PUNA_ERROR_OUT_OF_MEMORY,
         [](auto& o) { o.n_cells = INT32_MAX / PUNA_KV_PAGE * PUNA_KV_PAGE; }},
        {"scratch", PUNA_ERROR_OUT_OF_MEMORY, [](auto& o) { o.max_rows = INT32_MAX; }},
        {"scratch", PUNA_ERROR_OUT_OF_MEMORY,
         [](auto& o) {
             o.max_rows = INT32_MAX;
             o.deterministic = 0;
         }},
        {"scratch", PUNA_ERROR_OUT_OF_MEMORY,
         [](auto& o) {
             o.n_ctx = INT32_MAX;
             o.max_rows = INT32_MAX;
         }},
    };
    for (const auto& c : cases) {
        auto options = test::executor_options();
        c.change(options);
        EXPECT_EQ(try_executor(options), c.status) << c.option;
        EXPECT_TRUE(says(c.option)) << c.option << ": " << error_.message;
    }
    EXPECT_EQ(host_.live_bytes(), 0u);
}

TEST_F(CpuBackend, NullArgumentsAreRefused) {
    puna_backend* backend = nullptr;
    EXPECT_EQ(api().create(nullptr, nullptr, &backend, &error_), PUNA_ERROR_ARGUMENT);
    EXPECT_EQ(api().create(&host_.services(), nullptr, nullptr, &error_), PUNA_ERROR_ARGUMENT);
    EXPECT_EQ(api().n_devices(nullptr), 0);
    EXPECT_EQ(api().format_supported(nullptr, 0), 0);
    EXPECT_EQ(api().device_info(backend_, 0, nullptr, nullptr), PUNA_ERROR_ARGUMENT);
    EXPECT_EQ(api().load_layers(backend_, nullptr, nullptr, nullptr), PUNA_ERROR_ARGUMENT);
    EXPECT_EQ(api().begin(nullptr, nullptr, nullptr), PUNA_ERROR_ARGUMENT);
    EXPECT_EQ(api().advance(nullptr, 0, nullptr, nullptr, nullptr, nullptr), PUNA_ERROR_ARGUMENT);
    EXPECT_EQ(api().kv_move(nullptr, nullptr, 0, nullptr), PUNA_ERROR_ARGUMENT);
    api().abandon(nullptr);
    api().destroy_executor(nullptr);
    api().destroy_layers(nullptr);
    api().destroy(nullptr);
}

TEST_F(CpuBackend, ReleasesTheOwnerOnceAndOnlyAfterSuccess) {
    int32_t n_released = 0;
    LayersRequest request(model_);
    request.owner = &n_released;
    request.release = [](void* user) { ++*static_cast<int32_t*>(user); };
    puna_layer_set* layers = nullptr;
    request.n_layers = 2;
    EXPECT_NE(api().load_layers(backend_, &request, &layers, nullptr), PUNA_OK);
    EXPECT_EQ(n_released, 0);
    request.n_layers = 3;
    ASSERT_EQ(api().load_layers(backend_, &request, &layers, nullptr), PUNA_OK);
    EXPECT_EQ(n_released, 0);
    api().destroy_layers(layers);
    EXPECT_EQ(n_released, 1);
}

TEST_F(CpuBackend, ReportsFormatsOnceEach) {
    test::SpecModelShape shape = {};
    shape.spec = test::small_spec();
    shape.spec.n_embd = 64;  // the other widths of the small model are no blocks: F16
    shape.encoding = test::Encoding::kQ8_0;
    const SpecModel model(shape);
    ASSERT_EQ(create("scalar"), PUNA_OK);
    LayersRequest request(model);
    // Tied: the output matrix is the embedding.
    const auto role = [&](int32_t wanted) {
        return std::find_if(request.list.begin(), request.list.end(),
                            [&](const puna_tensor& t) { return t.role == wanted; });
    };
    role(PUNA_TENSOR_OUTPUT)->data = role(PUNA_TENSOR_TOKEN_EMBD)->data;
    uint64_t bytes[2] = {};
    int32_t tensors[2] = {};
    for (const puna_tensor& tensor : request.list) {
        if (tensor.format == PUNA_FORMAT_F32 || tensor.role == PUNA_TENSOR_OUTPUT) continue;
        bytes[tensor.format == PUNA_FORMAT_Q8_0] += tensor.size_bytes;
        ++tensors[tensor.format == PUNA_FORMAT_Q8_0];
    }
    puna_layer_set* layers = nullptr;
    ASSERT_EQ(api().load_layers(backend_, &request, &layers, &error_), PUNA_OK) << error_.message;
    puna_layers_info info = {};
    info.struct_size = sizeof info;
    ASSERT_EQ(api().layers_info(layers, &info, &error_), PUNA_OK);
    ASSERT_EQ(info.n_formats, 2);
    EXPECT_EQ(info.host_bytes, 0u);
    for (int32_t i = 0; i < 2; ++i) {
        puna_layers_format format = {};
        format.struct_size = sizeof format;
        ASSERT_EQ(api().layers_format(layers, i, &format, &error_), PUNA_OK);
        EXPECT_EQ(format.format, i == 0 ? PUNA_FORMAT_F16 : PUNA_FORMAT_Q8_0);
        EXPECT_EQ(format.size_bytes, bytes[i]);
        EXPECT_EQ(format.n_tensors, tensors[i]);
        EXPECT_EQ(format.in_place, 1);
        EXPECT_STREQ(format.kernels, "scalar");
    }
    puna_layers_format format = {};
    format.struct_size = sizeof format;
    EXPECT_EQ(api().layers_format(layers, 2, &format, &error_), PUNA_ERROR_NOT_FOUND);
    api().destroy_layers(layers);
}

TEST_F(CpuBackend, EstimateIsWhatIsTaken) {
    struct {
        int32_t first, n;
        bool embedding, head;
    } const cuts[] = {
        {0, 3, true, true}, {0, 2, true, false}, {2, 1, false, true}, {3, 0, false, true}};
    for (const auto& cut : cuts) {
        for (const int32_t type : {PUNA_KV_F16, PUNA_KV_F32, PUNA_KV_BF16, PUNA_KV_Q8_0}) {
            for (const int32_t max_rows : {1, 100}) {
                auto options = test::executor_options();
                options.kv_type_k = type;
                options.max_rows = max_rows;
                options.deterministic = type == PUNA_KV_F32;  // or not: rows are packed
                LayersRequest request(model_, cut.first, cut.n, cut.embedding, cut.head);
                for (puna_tensor& tensor : request.list) tensor.data = nullptr;
                puna_backend_estimate estimate = {};
                estimate.struct_size = sizeof estimate;
                ASSERT_EQ(api().estimate(backend_, &request, &options, &estimate, &error_), PUNA_OK)
                    << error_.message;
                EXPECT_EQ(host_.live_bytes(), 0u);
                const BackendSession session(
                    api(), host_, nullptr,
                    LayersRequest(model_, cut.first, cut.n, cut.embedding, cut.head), options);
                uint64_t kv_bytes = 0;
                uint64_t scratch_bytes = 0;
                ASSERT_EQ(
                    api().executor_memory(session.executor, &kv_bytes, &scratch_bytes, &error_),
                    PUNA_OK);
                EXPECT_EQ(estimate.kv_bytes, kv_bytes);
                EXPECT_EQ(estimate.scratch_bytes, scratch_bytes);
                EXPECT_EQ(estimate.host_weight_bytes, 0u);
                EXPECT_EQ(estimate.weights_in_place, 1);
                EXPECT_EQ(host_.live_bytes(), kv_bytes + scratch_bytes);
            }
        }
    }
}

TEST_F(CpuBackend, RefusedMemoryIsAStatusAndLeavesNothing) {
    const LayersRequest request(model_);
    puna_layer_set* layers = nullptr;
    ASSERT_EQ(api().load_layers(backend_, &request, &layers, &error_), PUNA_OK);
    const auto options = test::executor_options();
    for (int32_t n = 0;; ++n) {
        host_.n_allocations_left = n;
        puna_executor* executor = nullptr;
        const puna_status status = api().create_executor(layers, &options, &executor, &error_);
        if (status == PUNA_OK) {
            EXPECT_GT(n, 0);
            api().destroy_executor(executor);
            break;
        }
        EXPECT_EQ(status, PUNA_ERROR_OUT_OF_MEMORY);
        EXPECT_EQ(executor, nullptr);
        EXPECT_EQ(host_.live_bytes(), 0u);
    }
    EXPECT_EQ(host_.live_bytes(), 0u);
    api().destroy_layers(layers);
}

// ---- Executors ----------------------------------------------------------------------------------

class CpuExecutor : public testing::Test {
  protected:
    CpuExecutor() { begin_row(); }

    void begin_row(int32_t kind = PUNA_ROW_OUTPUT_LOGITS, int32_t k = 1) {
        batch_ = std::make_unique<BatchBuilder>(model_.spec());
        const int32_t view = batch_->add_view({3, 1});
        for (int32_t i = 0; i < 39; ++i) batch_->add_row(view, i, (i * 37) % 101);
        batch_->add_row(view, 39, 7, kind, k);
    }
    puna_status begin() { return api().begin(session_.executor, &batch_->batch(), &error_); }
    std::vector<float> logits() {
        begin_row();
        session_.run(batch_->batch());
        return {batch_->values(0).begin(), batch_->values(0).end()};
    }
    bool says(const char* text) const {
        return std::string(error_.message).find(text) != std::string::npos;
    }

    BackendHost host_;
    SpecModel model_{{test::small_spec()}};
    LayersRequest request_{model_};
    BackendSession session_{api(), host_, nullptr, request_, test::executor_options()};
    std::unique_ptr<BatchBuilder> batch_;
    puna_error error_ = PUNA_ERROR_INIT;
};

TEST_F(CpuExecutor, ExpiredDeadlineRunsOneLayerACall) {
    const auto expected = logits();
    begin_row();
    ASSERT_EQ(begin(), PUNA_OK);
    host_.now_ns = 1000;
    for (int32_t step = 0; step < 4; ++step) {  // three layers and the head
        const puna_progress progress = session_.advance(step % 2 ? 1000 : 0);
        EXPECT_EQ(progress.n_layers_run, 1);
        EXPECT_EQ(progress.done, step == 3);
    }
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), batch_->values(0).begin()));
    puna_progress progress = {};
    progress.struct_size = sizeof progress;
    EXPECT_EQ(api().advance(session_.executor, 0, nullptr, nullptr, &progress, &error_),
              PUNA_ERROR_STATE);
}

TEST_F(CpuExecutor, InterruptionStopsAfterTheLayer) {
    ASSERT_EQ(begin(), PUNA_OK);
    int32_t n_polls = 0;
    const auto interrupted = [](void* user) -> int32_t {
        return ++*static_cast<int32_t*>(user) == 2;
    };
    EXPECT_EQ(session_.advance(INT64_MAX, interrupted, &n_polls).n_layers_run, 2);
    EXPECT_EQ(n_polls, 2);
    const puna_progress rest = session_.advance(INT64_MAX);
    EXPECT_EQ(rest.n_layers_run, 2);
    EXPECT_EQ(rest.done, 1);
}

TEST_F(CpuExecutor, AbandonedBatchCanBeDoneAgain) {
    const auto expected = logits();
    api().abandon(session_.executor);  // nothing to do: fine
    begin_row();
    for (int32_t n = 0; n < 4; ++n) {
        ASSERT_EQ(begin(), PUNA_OK);
        for (int32_t i = 0; i < n; ++i) session_.advance(INT64_MIN);
        api().abandon(session_.executor);
    }
    EXPECT_EQ(logits(), expected);
}

TEST_F(CpuExecutor, OneBatchAtATime) {
    ASSERT_EQ(begin(), PUNA_OK);
    EXPECT_EQ(begin(), PUNA_ERROR_STATE);
    const puna_kv_move move = {0, 1, 1, 0};
    EXPECT_EQ(api().kv_move(session_.executor, &move, 1, &error_), PUNA_ERROR_STATE);
    EXPECT_EQ(session_.advance(INT64_MAX).done, 1);
    EXPECT_EQ(begin(), PUNA_OK);
}

TEST_F(CpuExecutor, CellsAreReadAsTheyWereWrittenDuringABatchToo) {
    const auto expected = logits();
    begin_row();
    ASSERT_EQ(begin(), PUNA_OK);
    session_.advance(INT64_MIN);
    const std::vector<int32_t> cells = {700, 3, 1023, 64};  // the batch is in pages 1 and 3
    for (int32_t layer = 0; layer < 3; ++layer) {           // one of them done
        for (const int32_t half : {PUNA_KV_KEYS, PUNA_KV_VALUES}) {
            const size_t dim = half == PUNA_KV_KEYS ? 10 : 7;
            std::vector<float> data(cells.size() * 2 * dim);
            for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<float>(i + 1);
            std::vector<float> found(data.size());
            const size_t size = data.size() * sizeof(float);
            ASSERT_EQ(api().kv_write(session_.executor, layer, half, cells.data(), 4, data.data(),
                                     size, &error_),
                      PUNA_OK)
                << error_.message;
            ASSERT_EQ(api().kv_read(session_.executor, layer, half, cells.data(), 4, found.data(),
                                    size, &error_),
                      PUNA_OK)
                << error_.message;
            EXPECT_EQ(found, data);
        }
    }
    EXPECT_EQ(session_.advance(INT64_MAX).done, 1);
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), batch_->values(0).begin()));
}

// Each refusal of a batch: batch_check_test.cpp.
TEST_F(CpuExecutor, ChecksBatches) {
    puna_batch batch = batch_->batch();
    batch.struct_size = 4;
    EXPECT_EQ(api().begin(session_.executor, &batch, &error_), PUNA_ERROR_ARGUMENT);
    EXPECT_TRUE(says("struct_size")) << error_.message;
    batch = batch_->batch();
    batch.n_adapters = 1;
    EXPECT_EQ(api().begin(session_.executor, &batch, &error_), PUNA_ERROR_UNSUPPORTED);
    EXPECT_TRUE(says("the CPU backend")) << error_.message;
    batch_->rows[2].token = 101;
    EXPECT_EQ(begin(), PUNA_ERROR_ARGUMENT);
    EXPECT_TRUE(says("row 2: token 101")) << error_.message;
    batch_->rows[2].token = 100;
    EXPECT_EQ(begin(), PUNA_OK);
}

TEST_F(CpuExecutor, ChoicesFollowTheLogits) {
    std::vector<float> plain = logits();
    const std::vector<puna_logit_bias> bias = {{5, 2.0f}, {6, -INFINITY}, {5, 1.0f}};
    std::vector<uint32_t> mask(4, 0xffffffffu);
    for (const bool with_bias : {false, true}) {
        for (const bool with_mask : {false, true}) {
            std::vector<float> adjusted = plain;
            if (with_bias) {
                for (const auto& b : bias) adjusted[static_cast<size_t>(b.token)] += b.bias;
            }
            std::vector<int32_t> order;
            for (int32_t token = 0; token < 101; ++token) order.push_back(token);
            std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
                return adjusted[static_cast<size_t>(a)] > adjusted[static_cast<size_t>(b)];
            });
            // What the bias bans never comes back.
            std::erase_if(order, [&](int32_t token) {
                return std::isinf(adjusted[static_cast<size_t>(token)]);
            });
            if (with_mask) {
                mask.assign(4, 0xffffffffu);
                mask[static_cast<size_t>(order[0] / 32)] &= ~(1u << order[0] % 32);
                order.erase(order.begin());
            }
            for (const int32_t k : {0, 1, 10, 101}) {  // 0: ARGMAX
                begin_row(k == 0 ? PUNA_ROW_OUTPUT_ARGMAX : PUNA_ROW_OUTPUT_TOP_K, std::max(k, 1));
                puna_batch_output& output = batch_->outputs[0];
                if (with_bias) output.bias = bias.data();
                if (with_bias) output.n_bias = static_cast<int32_t>(bias.size());
                if (with_mask) output.mask = mask.data();
                float log_sum = NAN;
                output.log_sum_exp = &log_sum;
                session_.run(batch_->batch());
                const size_t n = std::min(order.size(), static_cast<size_t>(std::max(k, 1)));
                ASSERT_EQ(batch_->tokens(0).size(), n);
                double sum = 0.0;
                for (const double logit : plain) sum += std::exp(logit);
                EXPECT_NEAR(log_sum, std::log(sum), 1e-5);
                for (size_t i = 0; i < n; ++i) {
                    EXPECT_EQ(batch_->tokens(0)[i], order[i]) << "k " << k << " place " << i;
                    EXPECT_EQ(batch_->values(0)[i], adjusted[static_cast<size_t>(order[i])]);
                }
            }
        }
    }
}

TEST_F(CpuExecutor, EqualLogitsGoBySmallerId) {
    // Nothing but the bias counts when it dwarfs the logits.
    const std::vector<puna_logit_bias> bias = {{40, 1e30f}, {12, 1e30f}, {90, 1e30f}, {3, 2e30f}};
    for (const int32_t kind : {PUNA_ROW_OUTPUT_TOP_K, PUNA_ROW_OUTPUT_ARGMAX}) {
        begin_row(kind, 4);
        batch_->outputs[0].bias = bias.data();
        batch_->outputs[0].n_bias = kind == PUNA_ROW_OUTPUT_ARGMAX ? 3 : 4;
        session_.run(batch_->batch());
        const auto tokens = batch_->tokens(0);
        if (kind == PUNA_ROW_OUTPUT_ARGMAX) {
            ASSERT_EQ(tokens.size(), 1u);
            EXPECT_EQ(tokens[0], 12);
        } else {
            EXPECT_EQ(std::vector<int32_t>(tokens.begin(), tokens.end()),
                      (std::vector<int32_t>{3, 12, 40, 90}));
        }
    }
}

TEST_F(CpuExecutor, NothingAllowedFillsNothing) {
    const std::vector<uint32_t> mask(4, 0);
    for (const int32_t kind : {PUNA_ROW_OUTPUT_ARGMAX, PUNA_ROW_OUTPUT_TOP_K}) {
        begin_row(kind, 3);
        batch_->outputs[0].mask = mask.data();
        batch_->outputs[0].n_filled = -1;
        session_.run(batch_->batch());
        EXPECT_EQ(batch_->outputs[0].n_filled, 0);
    }
}

TEST_F(CpuExecutor, OutputsOfManyRowsOfEveryKind) {
    std::vector<int32_t> tokens;
    for (int32_t i = 0; i < 64; ++i) tokens.push_back((i * 29) % 101);
    const auto expected = model_.reference(tokens);
    BatchBuilder batch(model_.spec());
    const int32_t view = batch.add_view({0, 1});
    for (int32_t i = 0; i < 64; ++i) {
        batch.add_row(view, i, tokens[static_cast<size_t>(i)],
                      i % 3 == 0 ? PUNA_ROW_OUTPUT_HIDDEN : PUNA_ROW_OUTPUT_LOGITS);
    }
    session_.run(batch.batch());
    for (int32_t i = 0; i < 64; ++i) {
        const bool hidden = i % 3 == 0;
        const auto values = batch.values(i);
        ASSERT_EQ(values.size(), hidden ? 48u : 101u);
        const auto& rows = hidden ? expected.hidden : expected.logits;
        for (size_t j = 0; j < values.size(); ++j) {
            ASSERT_NEAR(values[j], rows[static_cast<size_t>(i) * values.size() + j], 2e-5) << i;
        }
    }
}

TEST_F(CpuExecutor, StateMovesToAnotherExecutor) {
    logits();
    BackendSession other(api(), host_, nullptr, request_, test::executor_options());
    // The cells of the batch, to others of the second executor.
    std::vector<int32_t> from;
    std::vector<int32_t> to;
    for (int32_t i = 0; i < 40; ++i) {
        from.push_back((i < 32 ? 3 : 1) * 32 + i % 32);
        to.push_back((i < 32 ? 0 : 8) * 32 + i % 32);
    }
    for (int32_t layer = 0; layer < 3; ++layer) {
        for (const int32_t half : {PUNA_KV_KEYS, PUNA_KV_VALUES}) {
            const size_t dim = half == PUNA_KV_KEYS ? 10 : 7;
            std::vector<uint8_t> state(40 * 2 * dim * sizeof(float));
            ASSERT_EQ(api().kv_read(session_.executor, layer, half, from.data(), 40, state.data(),
                                    state.size(), &error_),
                      PUNA_OK)
                << error_.message;
            ASSERT_EQ(api().kv_write(other.executor, layer, half, to.data(), 40, state.data(),
                                     state.size(), &error_),
                      PUNA_OK);
        }
    }
    std::vector<float> results[2];
    for (const bool second : {false, true}) {
        BatchBuilder batch(model_.spec());
        const int32_t view =
            batch.add_view(second ? std::vector<int32_t>{0, 8} : std::vector<int32_t>{3, 1});
        batch.add_row(view, 40, 11, PUNA_ROW_OUTPUT_LOGITS);
        (second ? other : session_).run(batch.batch());
        results[second].assign(batch.values(0).begin(), batch.values(0).end());
    }
    EXPECT_EQ(results[0], results[1]);
}

// Each refusal of cells: cells_check_test.cpp.
TEST_F(CpuExecutor, ChecksTransfersAndMoves) {
    std::vector<uint8_t> data(1024);
    const int32_t cell = 0;
    const auto read = [&](int32_t half, size_t size) {
        return api().kv_read(session_.executor, 0, half, &cell, 1, data.data(), size, &error_);
    };
    const auto write = [&](int32_t half, size_t size) {
        return api().kv_write(session_.executor, 0, half, &cell, 1, data.data(), size, &error_);
    };
    EXPECT_EQ(read(PUNA_KV_KEYS, 80), PUNA_OK);
    EXPECT_EQ(read(PUNA_KV_KEYS, 79), PUNA_ERROR_ARGUMENT);
    EXPECT_EQ(read(PUNA_KV_VALUES, 80), PUNA_ERROR_ARGUMENT);
    EXPECT_EQ(write(PUNA_KV_VALUES, 56), PUNA_OK);
    EXPECT_EQ(write(PUNA_KV_VALUES, 80), PUNA_ERROR_ARGUMENT);
    const puna_kv_move move = {0, 1024, 1, 0};
    EXPECT_EQ(api().kv_move(session_.executor, &move, 1, &error_), PUNA_ERROR_ARGUMENT);
}

}  // namespace
}  // namespace puna::core
