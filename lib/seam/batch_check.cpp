#include "seam/batch_check.h"

#include <bit>

namespace puna::core {

namespace {

Status check_array(const char* name, const void* array, int32_t n, int32_t least, int32_t most) {
    if (n < least || n > most) {
        return make_status(PUNA_ERROR_ARGUMENT, "batch: n_%s is %d, must be %d to max_%s %d", name,
                           n, least, name, most);
    }
    if (n > 0 && !array) return make_status(PUNA_ERROR_ARGUMENT, "batch: %s is NULL", name);
    return {};
}

Status check_counts(const BackendLimits& limits, const LayerRange& layers,
                    const puna_executor_options& options, const puna_batch& batch) {
    PUNA_TRY(check_array("rows", batch.rows, batch.n_rows, 1, options.max_rows));
    PUNA_TRY(check_array("views", batch.views, batch.n_views, 1, options.max_views));
    PUNA_TRY(check_array("outputs", batch.outputs, batch.n_outputs, 0, options.max_outputs));
    if (batch.n_outputs > 0 && !layers.has_head) {
        return make_status(PUNA_ERROR_ARGUMENT, "batch: outputs of layers that have no head");
    }
    if (batch.n_adapters != 0) {
        return make_status(PUNA_ERROR_UNSUPPORTED,
                           "batch: n_adapters is %d, the %s backend has no adapters",
                           batch.n_adapters, limits.name);
    }
    if (!layers.has_embedding && !batch.hidden_in) {
        return make_status(PUNA_ERROR_ARGUMENT,
                           "batch: hidden_in is NULL and the layers have no embedding");
    }
    if (!layers.has_head && !batch.hidden_out) {
        return make_status(PUNA_ERROR_ARGUMENT,
                           "batch: hidden_out is NULL and the layers have no head");
    }
    return {};
}

Status check_view(const puna_executor_options& options, const puna_batch_view& view,
                  int32_t index) {
    if (view.n_pages < 1) {
        return make_status(PUNA_ERROR_ARGUMENT, "batch: view %d: n_pages is %d, must be 1 or more",
                           index, view.n_pages);
    }
    if (!view.pages) {
        return make_status(PUNA_ERROR_ARGUMENT, "batch: view %d: pages is NULL", index);
    }
    for (int32_t i = 0; i < view.n_pages; ++i) {
        if (view.pages[i] < 0 || view.pages[i] >= options.n_cells / PUNA_KV_PAGE) {
            return make_status(PUNA_ERROR_ARGUMENT, "batch: view %d: page %d does not exist", index,
                               view.pages[i]);
        }
    }
    return {};
}

Status check_row(const LayerRange& layers, const puna_executor_options& options,
                 const puna_batch& batch, int32_t index) {
    const puna_batch_row& row = batch.rows[index];
    const auto refuse = [&](const char* field, int32_t value) {
        return make_status(PUNA_ERROR_ARGUMENT, "batch: row %d: %s %d is out of range", index,
                           field, value);
    };
    if (layers.has_embedding && (row.token < 0 || row.token >= layers.spec.n_vocab)) {
        return refuse("token", row.token);
    }
    if (row.view < 0 || row.view >= batch.n_views) return refuse("view", row.view);
    const puna_batch_view& view = batch.views[row.view];
    if (row.position < 0 || row.position / PUNA_KV_PAGE >= view.n_pages) {
        return refuse("position", row.position);
    }
    if (row.first < 0 || row.first > row.position || row.position - row.first >= options.n_ctx) {
        return refuse("first", row.first);
    }
    const int32_t page = view.pages[row.position / PUNA_KV_PAGE];
    if (row.cell != page * PUNA_KV_PAGE + row.position % PUNA_KV_PAGE) {
        return refuse("cell", row.cell);
    }
    if (row.adapter != -1) return refuse("adapter", row.adapter);
    if (layers.has_head && (row.output < -1 || row.output >= batch.n_outputs)) {
        return refuse("output", row.output);
    }
    return {};
}

Status check_choice(const puna_model_spec& spec, const puna_executor_options& options,
                    const puna_batch_output& output, int32_t index) {
    if (!output.tokens) {
        return make_status(PUNA_ERROR_ARGUMENT, "batch: output %d: tokens is NULL", index);
    }
    if (output.kind == PUNA_ROW_OUTPUT_TOP_K && (output.k < 1 || output.k > spec.n_vocab)) {
        return make_status(PUNA_ERROR_ARGUMENT, "batch: output %d: k is %d, must be 1 to %d", index,
                           output.k, spec.n_vocab);
    }
    if (output.n_bias < 0 || output.n_bias > options.max_bias) {
        return make_status(PUNA_ERROR_ARGUMENT,
                           "batch: output %d: n_bias is %d, must be 0 to max_bias %d", index,
                           output.n_bias, options.max_bias);
    }
    if (output.n_bias > 0 && !output.bias) {
        return make_status(PUNA_ERROR_ARGUMENT, "batch: output %d: bias is NULL", index);
    }
    for (int32_t i = 0; i < output.n_bias; ++i) {
        if (output.bias[i].token < 0 || output.bias[i].token >= spec.n_vocab) {
            return make_status(PUNA_ERROR_ARGUMENT, "batch: output %d: bias for token %d", index,
                               output.bias[i].token);
        }
    }
    return {};
}

Status check_output(const puna_model_spec& spec, const puna_executor_options& options,
                    const puna_batch_output& output, int32_t index) {
    if (!output.values) {
        return make_status(PUNA_ERROR_ARGUMENT, "batch: output %d: values is NULL", index);
    }
    switch (output.kind) {
        case PUNA_ROW_OUTPUT_HIDDEN:
        case PUNA_ROW_OUTPUT_LOGITS:
            return {};
        case PUNA_ROW_OUTPUT_ARGMAX:
        case PUNA_ROW_OUTPUT_TOP_K:
            return check_choice(spec, options, output, index);
        default:
            return make_status(PUNA_ERROR_UNSUPPORTED, "batch: output %d: kind %d is not known",
                               index, output.kind);
    }
}

// Each output belongs to exactly one row. A word of marks at a time: this is done for every token, and
// takes no memory.
Status check_output_rows(const puna_batch& batch) {
    for (int32_t begin = 0; begin < batch.n_outputs; begin += 64) {
        uint64_t named = 0;
        for (int32_t r = 0; r < batch.n_rows; ++r) {
            const int32_t output = batch.rows[r].output;
            if (output < begin || output - begin >= 64) continue;
            const uint64_t bit = uint64_t{1} << (output - begin);
            if (named & bit) {
                return make_status(PUNA_ERROR_ARGUMENT, "batch: output %d: row %d names it too",
                                   output, r);
            }
            named |= bit;
        }
        const int32_t first_unnamed = begin + std::countr_one(named);
        if (first_unnamed - begin < 64 && first_unnamed < batch.n_outputs) {
            return make_status(PUNA_ERROR_ARGUMENT, "batch: output %d: no row names it",
                               first_unnamed);
        }
    }
    return {};
}

}  // namespace

Status check_batch(const BackendLimits& limits, const LayerRange& layers,
                   const puna_executor_options& options, const puna_batch& batch) {
    PUNA_TRY(check_counts(limits, layers, options, batch));
    for (int32_t i = 0; i < batch.n_views; ++i) PUNA_TRY(check_view(options, batch.views[i], i));
    for (int32_t i = 0; i < batch.n_rows; ++i) PUNA_TRY(check_row(layers, options, batch, i));
    for (int32_t i = 0; i < batch.n_outputs; ++i) {
        PUNA_TRY(check_output(layers.spec, options, batch.outputs[i], i));
    }
    return check_output_rows(batch);
}

}  // namespace puna::core
