#include "memory_traffic.h"

#include <string_view>

namespace cli {
namespace {

// All weights, but one row of the token embedding, unless that is the output matrix too.
double weight_bytes_per_token(const puna::Model& model) {
    double total = 0, embedding = 0, embedding_row = 0;
    bool is_tied = true;
    for (int32_t i = 0; i < model.n_tensors(); ++i) {
        const puna_tensor_info tensor = model.tensor(i);
        if (tensor.device < 0) continue;
        const auto n_bytes = static_cast<double>(tensor.size_bytes);
        const std::string_view name = tensor.name;
        total += n_bytes;
        if (name == "output.weight") is_tied = false;
        if (name != "token_embd.weight") continue;
        embedding = n_bytes;
        embedding_row = n_bytes / static_cast<double>(tensor.shape[1]);
    }
    return is_tied ? total + embedding_row : total - embedding + embedding_row;
}

}  // namespace

MemoryTraffic::MemoryTraffic(const puna::Model& model, const puna::Context& context)
    : weight_bytes_(weight_bytes_per_token(model)) {
    const puna_context_info info = context.info();
    cell_bytes_ = static_cast<double>(info.kv_bytes) / info.n_cells;
}

}  // namespace cli
