// Finds every tensor that a family needs in the headers of a model, with its shape and type.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "format/gguf_header.h"
#include "model/family.h"
#include "model/hyper_parameters.h"

namespace puna::core {

struct FoundTensor {
    const TensorRow* row = nullptr;
    int32_t layer = -1;  // -1: none
    size_t source = 0;   // index of the header
    const GgufTensor* tensor = nullptr;

    int64_t rows() const { return static_cast<int64_t>(tensor->ne[1]); }
    int64_t columns() const { return static_cast<int64_t>(tensor->ne[0]); }
    bool is_vector() const { return row->rows == Dim::kOne; }
};

// In the order of the family's table, layer after layer. A tensor that is missing, stands in two
// parts, or has the wrong shape or type, and a tensor that the family does not know are refused by
// name. The headers must outlive the result.
Result<std::vector<FoundTensor>> find_tensors(std::span<const GgufHeader> headers,
                                              const Family& family, const HyperParameters& hyper);

}  // namespace puna::core
