// What rows deliver from their logits.
#pragma once

#include <cstdint>

#include "puna/puna_backend.h"

namespace puna::core {

// logits * logit_scale, soft-capped.
void scale_logits(const puna_model_spec& spec, float* logits);

// Fills LOGITS, ARGMAX or TOP_K, and log_sum_exp, from logits [n_vocab], which it changes.
// NaN counts as the lowest logit.
void fill_output(int32_t n_vocab, float* logits, puna_batch_output& output);

}  // namespace puna::core
