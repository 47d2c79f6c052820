// The products of a pass, as forward.cu multiplies them: what they read, which matrices, what follows.
#pragma once

#include "cuda/linear.h"
#include "cuda/scratch.h"

namespace puna::cuda {

struct LayerProducts {
    Input input;
    Product products[kMostParts];
    int32_t n = 0;
    LinearOptions options;
};

// q, k, v = Wq n + bq, Wk n + bk, Wv n + bv, where n = norm(x) * gain
LayerProducts qkv_products(const Forward& f, const Scratch& s, const LayerWeights& w);
// x = x + residual_scale * (Wo attn + bo)
LayerProducts output_products(const Forward& f, const Scratch& s, const LayerWeights& w);
// gate = activation(Wgate n + bgate) * (Wup n + bup)
LayerProducts gate_up_products(const Forward& f, const Scratch& s, const LayerWeights& w);
// x = x + residual_scale * (Wdown gate + b)
LayerProducts down_products(const Forward& f, const Scratch& s, const LayerWeights& w);
// Logits of the first rows of x.
LayerProducts logits_products(const Forward& f, const Scratch& s);

}  // namespace puna::cuda
