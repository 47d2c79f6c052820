#include "support/random_model.h"

#include <cmath>
#include <numbers>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/random_numbers.h"
#include "support/random_vocabulary.h"

namespace puna::test {
namespace {

void require(bool condition, const char* what) {
    if (!condition) throw std::invalid_argument(what);
}

// general.file_type of a file whose matrices are mostly of one encoding.
uint32_t file_type(Encoding encoding) {
    switch (encoding) {
        case Encoding::kF32:
            return 0;
        case Encoding::kF16:
            return 1;
        case Encoding::kQ4_0:
            return 2;
        case Encoding::kQ8_0:
            return 7;
        case Encoding::kBF16:
            return 32;
    }
    return 0;
}

void set_hyper_parameters(const ModelShape& shape, ModelFile& file) {
    file.set("general.architecture", "llama");
    file.set("general.name", "random model");
    file.set("general.file_type", file_type(shape.matrix_encoding));
    file.set("llama.context_length", shape.n_ctx_train);
    file.set("llama.embedding_length", shape.n_embd);
    file.set("llama.block_count", shape.n_layer);
    file.set("llama.feed_forward_length", shape.n_ff);
    file.set("llama.attention.head_count", shape.n_head);
    file.set("llama.attention.head_count_kv", shape.n_head_kv);
    if (shape.head_dim * shape.n_head != shape.n_embd || shape.value_dim != shape.head_dim) {
        file.set("llama.attention.key_length", shape.head_dim);
        file.set("llama.attention.value_length", shape.value_dim);
    }
    file.set("llama.attention.layer_norm_rms_epsilon", shape.eps);
    file.set("llama.rope.dimension_count", shape.rope_dim);
    file.set("llama.rope.freq_base", shape.rope_base);
    if (shape.rope_scaling == RopeScaling::kLinear) {
        file.set("llama.rope.scaling.type", "linear");
        file.set("llama.rope.scaling.factor", shape.rope_factor);
    }
    file.set("llama.vocab_size", shape.n_vocab);
}

// The divisors of the frequencies [rope_dim / 2] that Llama 3.1 introduced: short wavelengths
// stay, long ones are stretched by the factor, and those between are interpolated.
std::vector<float> llama3_divisors(const ModelShape& shape) {
    const double original_ctx = shape.rope_original_ctx;
    const double low = shape.rope_low_freq_factor;
    const double high = shape.rope_high_freq_factor;
    std::vector<float> divisors;
    for (uint32_t i = 0; i < shape.rope_dim; i += 2) {
        const double frequency = std::pow(shape.rope_base, -1.0 * i / shape.rope_dim);
        const double turns = original_ctx * frequency / (2 * std::numbers::pi);
        double divisor = 1.0;
        if (turns < low) {
            divisor = shape.rope_factor;
        } else if (turns < high) {
            const double smooth = (turns - low) / (high - low);
            divisor = 1.0 / ((1.0 - smooth) / shape.rope_factor + smooth);
        }
        divisors.push_back(static_cast<float>(divisor));
    }
    return divisors;
}

// Adds tensors of random numbers. A double holds every product and sum that makes a weight, so
// the only rounding is the last one, to float, and all compilers give the same bits.
class WeightMaker {
  public:
    WeightMaker(const ModelShape& shape, ModelFile& file) : seed_(shape.seed), file_(file) {}

    // [n_out][n_in], deviation gain / sqrt(n_in): unit inputs give outputs of deviation `gain`.
    void add_matrix(const std::string& name, uint32_t n_in, uint32_t n_out, double gain,
                    Encoding encoding) {
        const auto scale = static_cast<float>(gain / std::sqrt(static_cast<double>(n_in)));
        RandomNumbers random = numbers_for(name);
        std::vector<float> values(static_cast<size_t>(n_in) * n_out);
        for (float& value : values) value = static_cast<float>(scale * random.normal());
        if (n_in % block_length(encoding) != 0) encoding = Encoding::kF16;
        file_.add_tensor(name, {n_in, n_out}, values, encoding);
    }

    // The gain of a norm: `mean`, give or take an eighth of it.
    void add_norm(const std::string& name, uint32_t length, double mean = 1.0) {
        RandomNumbers random = numbers_for(name);
        std::vector<float> values(length);
        for (float& value : values) {
            value = static_cast<float>(mean * (8.0 + random.normal()) / 8.0);
        }
        file_.add_tensor(name, {length}, values, Encoding::kF32);
    }

    void add_bias(const std::string& name, uint32_t length) {
        RandomNumbers random = numbers_for(name);
        std::vector<float> values(length);
        for (float& value : values) value = static_cast<float>(0.5 * random.normal());
        file_.add_tensor(name, {length}, values, Encoding::kF32);
    }

  private:
    // FNV-1a of the name, started from the seed.
    RandomNumbers numbers_for(const std::string& name) const {
        uint64_t hash = 0xcbf29ce484222325u ^ seed_;
        for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
        return RandomNumbers(hash);
    }

    uint64_t seed_;
    ModelFile& file_;
};

void add_layer(const ModelShape& shape, uint32_t layer, WeightMaker& weights) {
    const std::string prefix = "blk." + std::to_string(layer) + ".";
    const uint32_t n_q = shape.n_head * shape.head_dim;
    const uint32_t n_k = shape.n_head_kv * shape.head_dim;
    const uint32_t n_v = shape.n_head_kv * shape.value_dim;
    const Encoding encoding = shape.matrix_encoding;
    const auto add_linear = [&](const char* name, uint32_t n_in, uint32_t n_out, double gain,
                                bool bias) {
        weights.add_matrix(prefix + name + ".weight", n_in, n_out, gain, encoding);
        if (bias) weights.add_bias(prefix + name + ".bias", n_out);
    };
    weights.add_norm(prefix + "attn_norm.weight", shape.n_embd);
    // Scores of deviation 2: attention picks out a few positions.
    add_linear("attn_q", shape.n_embd, n_q, std::numbers::sqrt2, shape.biases);
    add_linear("attn_k", shape.n_embd, n_k, std::numbers::sqrt2, shape.biases);
    add_linear("attn_v", shape.n_embd, n_v, 1.0, shape.biases);
    add_linear("attn_output", shape.n_head * shape.value_dim, shape.n_embd, 2.0, shape.biases);
    weights.add_norm(prefix + "ffn_norm.weight", shape.n_embd);
    add_linear("ffn_gate", shape.n_embd, shape.n_ff, 1.0, shape.ffn_biases);
    add_linear("ffn_up", shape.n_embd, shape.n_ff, 1.0, shape.ffn_biases);
    // SiLU(gate) * up has deviation 0.6.
    add_linear("ffn_down", shape.n_ff, shape.n_embd, 1.7, shape.ffn_biases);
}

}  // namespace

ModelShape resolved(ModelShape shape) {
    require(shape.n_embd > 0 && shape.n_head > 0 && shape.n_ff > 0 && shape.n_vocab > 0,
            "n_embd, n_head, n_ff and n_vocab must be at least 1");
    if (shape.n_head_kv == 0) shape.n_head_kv = shape.n_head;
    require(shape.n_head % shape.n_head_kv == 0, "n_head must be a multiple of n_head_kv");
    if (shape.head_dim == 0) {
        require(shape.n_embd % shape.n_head == 0,
                "n_embd must be a multiple of n_head when head_dim is not given");
        shape.head_dim = shape.n_embd / shape.n_head;
    }
    if (shape.value_dim == 0) shape.value_dim = shape.head_dim;
    if (shape.rope_dim == 0) shape.rope_dim = shape.head_dim;
    require(shape.rope_dim % 2 == 0 && shape.rope_dim <= shape.head_dim,
            "rope_dim must be even and no more than head_dim");
    require(!shape.with_tokenizer || shape.n_vocab >= 3,
            "n_vocab must be at least 3, the special tokens, when there is a tokenizer");
    return shape;
}

ModelFile make_random_model(const ModelShape& asked) {
    const ModelShape shape = resolved(asked);
    ModelFile file;
    set_hyper_parameters(shape, file);
    if (shape.with_tokenizer) set_random_vocabulary(shape.n_vocab, shape.seed, file);

    WeightMaker weights(shape, file);
    // In a tied model the embedding is the output matrix too, and its scale must be that one's:
    // with larger rows every token would be its own likeliest successor.
    const double embedding_gain =
        shape.tied_output ? 1.0 : std::sqrt(static_cast<double>(shape.n_embd));
    weights.add_matrix("token_embd.weight", shape.n_embd, shape.n_vocab, embedding_gain,
                       shape.embedding_encoding);
    if (shape.rope_scaling == RopeScaling::kLlama3) {
        file.add_tensor("rope_freqs.weight", {shape.rope_dim / 2}, llama3_divisors(shape),
                        Encoding::kF32);
    }
    for (uint32_t layer = 0; layer < shape.n_layer; ++layer) add_layer(shape, layer, weights);
    weights.add_norm("output_norm.weight", shape.n_embd, 3.0);
    if (!shape.tied_output) {
        weights.add_matrix("output.weight", shape.n_embd, shape.n_vocab, 1.0,
                           shape.output_encoding);
    }
    return file;
}

}  // namespace puna::test
