// The forward pass: what happens to the rows of a batch, in the order of the paper.
#pragma once

#include "cpu/attention.h"
#include "cpu/kv_cache.h"
#include "cpu/layer_set.h"
#include "cpu/scratch.h"
#include "cpu/workers.h"

namespace puna::core {

// One batch on its way through the layers of an executor. All of it outlives the batch.
struct Forward {
    const LayerSet& layers;
    const KvCache& cache;
    const Workers& workers;
    const AttentionPlan& attention;
    const Scratch& scratch;
    const puna_batch& batch;
};

// x = embedding_scale * token_embd[token], or the hidden rows that come in; and the RoPE tables.
void run_embedding(const Forward& forward);
// Layer `layer` of the range, counted from 0: x goes through it.
void run_layer(const Forward& forward, int32_t layer);
// The same for the last layer before the head, of which all rows leave keys and values in the cache, but only
// those of `wanted` go on: some rows of the batch, in its order. x has no others afterwards.
void run_last_layer(const Forward& forward, int32_t layer, const puna_batch& wanted);
// Output norm, logits and outputs of the rows that ask for one.
void run_head(const Forward& forward);
// Without a head: x goes out as hidden rows.
void run_hidden_out(const Forward& forward);

}  // namespace puna::core
