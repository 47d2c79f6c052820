#include "spec_variants.h"

namespace puna::test {

namespace {

constexpr SpecVariant kLlama = {"Llama", [](auto&) {}};
constexpr SpecVariant kRopeHalves = {"RopeHalves", [](auto& m) {
                                         m.spec.rope = PUNA_ROPE_HALVES;
                                         m.spec.rope_dim = 6;
                                         m.spec.rope_magnitude = 1.25f;
                                     }};
constexpr SpecVariant kOneKvHead = {"OneKvHead", [](auto& m) {
                                        m.spec.n_head = 13;
                                        m.spec.n_head_kv = 1;
                                    }};

}  // namespace

SpecModelShape SpecVariant::shape() const {
    SpecModelShape shape = {};
    shape.spec = small_spec();
    change(shape);
    return shape;
}

std::vector<SpecVariant> spec_variants() {
    return {
        kLlama,
        {"F16", [](auto& m) { m.encoding = Encoding::kF16; }},
        {"Q8_0",
         [](auto& m) {
             m.encoding = Encoding::kQ8_0;
             m.spec.n_embd = 96;
             m.spec.n_ff = 160;
         }},
        {"Biases", [](auto& m) { m.biases = true; }},
        {"LayerNorm", [](auto& m) { m.spec.norm = PUNA_NORM_LAYER; }},
        {"Gelu", [](auto& m) { m.spec.activation = PUNA_ACTIVATION_GELU; }},
        {"GeluTanh", [](auto& m) { m.spec.activation = PUNA_ACTIVATION_GELU_TANH; }},
        {"QkNorm", [](auto& m) { m.spec.qk_norm = 1; }},
        kRopeHalves,
        {"RopePartial", [](auto& m) { m.spec.rope_dim = 4; }},
        {"RopeNone", [](auto& m) { m.spec.rope = PUNA_ROPE_NONE; }},
        {"SoftCaps",
         [](auto& m) {
             m.spec.attention_softcap = 1.5f;
             m.spec.logit_softcap = 2.0f;
         }},
        {"Scales",
         [](auto& m) {
             m.spec.embedding_scale = 3.5f;
             m.spec.residual_scale = 0.5f;
             m.spec.logit_scale = 0.25f;
         }},
        kOneKvHead,
        {"EveryHeadItsOwn", [](auto& m) { m.spec.n_head_kv = m.spec.n_head; }},
        {"OneOfEverything",
         [](auto& m) {
             m.spec.n_head = m.spec.n_head_kv = 1;
             m.spec.head_dim_k = m.spec.head_dim_v = 1;
             m.spec.rope_dim = 0;
             m.spec.n_ff = 1;
             m.spec.n_vocab = 2;
             m.spec.n_layer = 1;
         }},
    };
}

std::vector<SpecVariant> cache_variants() {
    return {kLlama, kRopeHalves, kOneKvHead};
}

}  // namespace puna::test
