// A SpecModel on the emulated device, and an executor's memory beside it.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "cuda/attention_pieces.h"
#include "cuda/forward.h"
#include "cuda/scratch.h"
#include "cuda/token_pass.h"
#include "cuda_kernels/device_array.h"
#include "seam/tensor_role.h"
#include "support/spec_model.h"

namespace puna::test {

// One layer in Q8_0 whose three heads share their keys and values: for long sequences.
inline SpecModelShape small_shape() {
    SpecModelShape shape = {};
    shape.spec = small_spec();
    shape.spec.n_layer = 1;
    shape.spec.n_head = 3;
    shape.spec.n_head_kv = 1;
    shape.spec.n_embd = 32;
    shape.spec.n_ff = 32;
    shape.encoding = Encoding::kQ8_0;
    return shape;
}

class DeviceModel {
  public:
    explicit DeviceModel(const SpecModel& model) {
        const puna_model_spec& spec = model.spec();
        weights.spec = spec;
        frequencies_ = DeviceArray<double>(
            std::span<const double>(spec.rope_frequencies, static_cast<size_t>(spec.rope_dim / 2)));
        weights.rope_frequencies = frequencies_.get();
        weights.has_embedding = weights.has_head = true;
        weights.layers.resize(static_cast<size_t>(spec.n_layer));
        for (const puna_tensor& tensor : model.tensors(0, spec.n_layer, true, true)) add(tensor);
    }

    cuda::Weights weights;

  private:
    void add(const puna_tensor& tensor) {
        const auto* data = static_cast<const uint8_t*>(tensor.data);
        std::vector<uint8_t> bytes(data, data + tensor.size_bytes);
        bytes.resize((bytes.size() + 15) / 16 * 16, 0xff);  // what kernels may read
        data_.emplace_back(bytes);
        cuda::Matrix matrix;
        matrix.data = data_.back().get();
        matrix.rows = tensor.rows;
        matrix.columns = tensor.columns;
        matrix.row_bytes = static_cast<int64_t>(tensor.size_bytes) / tensor.rows;
        matrix.format = tensor.format;
        const auto slot = core::tensor_slot(weights, tensor);
        if (slot.matrix) *slot.matrix = matrix;
        if (slot.vector) *slot.vector = reinterpret_cast<const float*>(matrix.data);
    }

    std::vector<DeviceArray<uint8_t>> data_;
    DeviceArray<double> frequencies_;
};

// The cache and scratch of an executor, whose pages lie in reverse order. Each of its views has the same
// number of them.
class DeviceExecutor {
  public:
    DeviceExecutor(const cuda::Weights& weights, const puna_executor_options& options) {
        forward.weights = &weights;
        forward.options = options;
        EXPECT_EQ(cuda::prepare_kernels(&forward.traits), cudaSuccess);
        EXPECT_TRUE(forward.traits.overlaps && forward.traits.has_floats16);
        const puna_model_spec& spec = weights.spec;
        const auto n_layers = static_cast<int32_t>(weights.layers.size());
        init(forward.cache.keys, keys_, options.kv_type_k, spec.head_dim_k, n_layers);
        init(forward.cache.values, values_, options.kv_type_v, spec.head_dim_v, n_layers);
        scratch_ = DeviceArray<uint8_t>(cuda::scratch_bytes(spec, weights.has_head, options));
        forward.scratch = scratch_.get();
        const int32_t n_pages = options.n_cells / PUNA_KV_PAGE;
        for (int32_t i = 0; i < n_pages; ++i) pages.push_back(n_pages - 1 - i);
        device_pages_ = DeviceArray<int32_t>(pages);
        pages_of_view_ = n_pages / options.max_views;
        std::vector<int32_t> view_pages;
        for (int32_t v = 0; v < options.max_views; ++v) view_pages.push_back(v * pages_of_view_);
        view_pages_ = DeviceArray<int32_t>(view_pages);
        forward.batch.pages = device_pages_.get();
        forward.batch.view_pages = view_pages_.get();
    }

    int32_t cell(int32_t p, int32_t view = 0) const {
        const int32_t page = view * pages_of_view_ + p / PUNA_KV_PAGE;
        return pages[static_cast<size_t>(page)] * PUNA_KV_PAGE + p % PUNA_KV_PAGE;
    }
    // Tokens at the positions from `begin` on; each row has an output. `first` as in reference().
    void set_batch(std::span<const int32_t> tokens, int32_t begin,
                   std::span<const int32_t> first = {}) {
        std::vector<puna_batch_row> rows;
        for (size_t i = 0; i < tokens.size(); ++i) {
            puna_batch_row row = {};
            row.token = tokens[i];
            row.position = begin + static_cast<int32_t>(i);
            row.first = first.empty() ? 0 : first[static_cast<size_t>(row.position)];
            rows.push_back(row);
        }
        set_rows(std::move(rows));
    }
    // Tokens, positions, views and what they see are given. Each row has an output.
    void set_rows(std::vector<puna_batch_row> rows) {
        std::vector<int32_t> output_rows;
        forward.batch.n_pages_of_longest = 1;
        for (size_t i = 0; i < rows.size(); ++i) {
            puna_batch_row& row = rows[i];
            row.cell = cell(row.position, row.view);
            row.adapter = -1;
            row.output = static_cast<int32_t>(i);
            output_rows.push_back(row.output);
            const int32_t n_pages = row.position / PUNA_KV_PAGE - row.first / PUNA_KV_PAGE + 1;
            forward.batch.n_pages_of_longest = std::max(forward.batch.n_pages_of_longest, n_pages);
        }
        set_pieces(rows);
        rows_ = DeviceArray<puna_batch_row>(rows);
        output_rows_ = DeviceArray<int32_t>(output_rows);
        forward.batch.n_rows = forward.batch.n_outputs = static_cast<int32_t>(rows.size());
        forward.batch.rows = rows_.get();
        forward.batch.output_rows = output_rows_.get();
    }
    // Outputs of these rows alone, in this order, which the layers know of.
    void want(const std::vector<int32_t>& rows) {
        output_rows_ = DeviceArray<int32_t>(rows);
        forward.batch.n_outputs = static_cast<int32_t>(rows.size());
        forward.batch.output_rows = output_rows_.get();
        forward.batch.has_all_outputs = true;
    }
    void run_layers() const {
        ASSERT_EQ(cuda::run_embedding(forward), cudaSuccess);
        for (int32_t l = 0; l < static_cast<int32_t>(forward.weights->layers.size()); ++l) {
            ASSERT_EQ(cuda::run_layer(forward, l), cudaSuccess);
        }
    }
    // The same for one row, in one kernel.
    void run_together(bool with_logits) {
        if (!pass_.phases) {
            pass_memory_ =
                DeviceArray<uint8_t>(cuda::token_pass_bytes(*forward.weights, forward.cache));
            ASSERT_EQ(cuda::prepare_token_pass(forward, pass_memory_.get(), &pass_), cudaSuccess);
            ASSERT_NE(pass_.phases, nullptr);
        }
        ASSERT_EQ(cuda::run_embedding(forward), cudaSuccess);
        ASSERT_EQ(cuda::run_token_pass(forward, pass_, with_logits), cudaSuccess);
    }
    // What is in the scratch for `n` outputs in a row.
    std::vector<float> scratch_logits(size_t n) const {
        const auto scratch =
            cuda::make_scratch(forward.weights->spec, true, forward.options, forward.scratch);
        std::vector<float> logits(n * static_cast<size_t>(forward.weights->spec.n_vocab));
        EXPECT_EQ(cudaMemcpy(logits.data(), scratch.logits, logits.size() * sizeof(float),
                             cudaMemcpyDeviceToHost),
                  cudaSuccess);
        return logits;
    }
    // One kind of output for all rows: [rows][n_embd or n_vocab].
    std::vector<float> run_head(int32_t kind) const {
        const puna_model_spec& spec = forward.weights->spec;
        const int32_t width = kind == PUNA_ROW_OUTPUT_HIDDEN ? spec.n_embd : spec.n_vocab;
        const auto n = static_cast<size_t>(forward.batch.n_outputs);
        DeviceArray<float> values(n * static_cast<size_t>(width));
        DeviceArray<int32_t> n_filled(n);
        std::vector<cuda::DeviceOutput> requests(n);
        for (size_t i = 0; i < n; ++i) {
            requests[i].kind = kind;
            requests[i].values = values.get() + i * static_cast<size_t>(width);
            requests[i].n_filled = n_filled.get() + i;
        }
        const DeviceArray<cuda::DeviceOutput> outputs(requests);
        EXPECT_EQ(cuda::run_head(forward, requests.data(), outputs.get()), cudaSuccess);
        for (const int32_t filled : n_filled.read()) EXPECT_EQ(filled, width);
        return values.read();
    }

    cuda::Forward forward;
    std::vector<int32_t> pages;

  private:
    void set_pieces(std::span<const puna_batch_row> rows) {
        cuda::AttentionPieces divided;
        cuda::divide_rows(forward.weights->spec, rows, divided);
        pieces_ = DeviceArray<cuda::AttentionPiece>(divided.pieces);
        alone_ = DeviceArray<int32_t>(divided.alone);
        forward.batch.n_pieces = static_cast<int32_t>(divided.pieces.size());
        forward.batch.n_alone = static_cast<int32_t>(divided.alone.size());
        forward.batch.n_pages_of_alone = divided.n_pages_of_alone;
        forward.batch.pieces = pieces_.get();
        forward.batch.alone = alone_.get();
    }
    void init(cuda::KvHalf& half, DeviceArray<uint8_t>& memory, int32_t type, int32_t head_dim,
              int32_t n_layers) const {
        half.type = type;
        half.n_head_kv = forward.weights->spec.n_head_kv;
        half.head_dim = head_dim;
        half.n_cells = forward.options.n_cells;
        memory = DeviceArray<uint8_t>(std::max<size_t>(cuda::kv_half_bytes(half, n_layers), 1));
        half.data = memory.get();
        if (type != PUNA_KV_Q8_0) return;
        half.scales =
            reinterpret_cast<uint16_t*>(half.data + cuda::kv_scales_offset(half, n_layers));
    }

    DeviceArray<uint8_t> keys_, values_, scratch_, pass_memory_;
    cuda::TokenPass pass_;
    DeviceArray<int32_t> device_pages_, view_pages_, output_rows_;
    DeviceArray<puna_batch_row> rows_;
    DeviceArray<cuda::AttentionPiece> pieces_;
    DeviceArray<int32_t> alone_;
    int32_t pages_of_view_ = 0;
};

inline puna_executor_options device_options(int32_t n_cells, int32_t max_rows,
                                            int32_t kv_type = PUNA_KV_F32) {
    puna_executor_options options = {};
    options.struct_size = sizeof options;
    options.n_cells = n_cells;
    options.n_ctx = n_cells;
    options.max_rows = max_rows;
    options.max_views = 1;
    options.max_outputs = max_rows;
    options.max_bias = 16;
    options.n_threads = 1;
    options.kv_type_k = kv_type;
    options.kv_type_v = kv_type;
    return options;
}

}  // namespace puna::test
