// From logits to what the outputs of a batch want.
#pragma once

#include <cuda_runtime.h>

#include "cuda/forward.h"

namespace puna::cuda {

struct Scratch;

// Whether some of n outputs want more than the normed row. `requests` is on the host.
bool needs_logits(const DeviceOutput* requests, int32_t n);
// Whether some want that row itself.
bool needs_hidden(const DeviceOutput* requests, int32_t n);

// Fills n outputs from scratch.normed and scratch.logits, where they need them, row i for output i. Logits with bias are those
// of the scratch then.
cudaError_t deliver_outputs(const puna_model_spec& spec, const Scratch& scratch,
                            const DeviceOutput* outputs, int32_t n, bool overlaps,
                            cudaStream_t stream);

}  // namespace puna::cuda
