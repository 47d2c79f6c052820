// Whether options and batches are such that an executor can take them up: what the device would answer a
// bad index with is a fault that ends its use.
#pragma once

#include "cuda/devices.h"
#include "cuda/forward.h"

namespace puna::cuda {

// ARGUMENT, UNSUPPORTED.
Status check_options(const puna_executor_options& options);
// ARGUMENT names the row or output. The pages of views are looked at when they are staged.
Status check_batch(const Weights& weights, const puna_executor_options& options,
                   const puna_batch& batch);

}  // namespace puna::cuda
