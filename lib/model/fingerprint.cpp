#include "model/fingerprint.h"

#include <algorithm>
#include <cstddef>
#include <span>
#include <string_view>

#include "base/hash64.h"
#include "format/byte_order.h"

namespace puna::core {
namespace {

constexpr size_t kSampleBytes = 64;

class Digest {
  public:
    void add_bytes(std::span<const std::byte> bytes) { value_ = hash64(bytes, value_); }
    void add_text(std::string_view text) { add_bytes(std::as_bytes(std::span(text))); }
    template <class... Numbers>
    void add(Numbers... numbers) {
        (add_number(numbers), ...);
    }
    uint64_t value() const { return value_; }

  private:
    template <class Number>
    void add_number(Number number) {
        std::byte bytes[sizeof number];
        store_le(bytes, number);
        add_bytes(bytes);
    }

    uint64_t value_ = 0;
};

void add_spec(const puna_model_spec& spec, Digest& digest) {
    digest.add_text(spec.family);
    digest.add(spec.n_vocab, spec.n_embd, spec.n_layer, spec.n_head, spec.n_head_kv);
    digest.add(spec.head_dim_k, spec.head_dim_v, spec.n_ff);
    digest.add(spec.norm, spec.norm_epsilon, spec.activation, spec.qk_norm);
    digest.add(spec.attention_window, spec.attention_softcap, spec.logit_softcap);
    digest.add(spec.attention_scale, spec.embedding_scale, spec.residual_scale, spec.logit_scale);
    digest.add(spec.rope, spec.rope_dim, spec.rope_magnitude);
    // As floats: the last bits of a power differ between maths libraries.
    for (int32_t i = 0; i < spec.rope_dim / 2; ++i) {
        digest.add(static_cast<float>(spec.rope_frequencies[i]));
    }
}

void add_tensor(const puna_tensor& tensor, Digest& digest) {
    digest.add_text(tensor.name);
    digest.add(tensor.format, tensor.rows, tensor.columns);
    const auto size = static_cast<size_t>(tensor.size_bytes);
    const std::span data(static_cast<const std::byte*>(tensor.data), size);
    const size_t n_sampled = std::min(size, kSampleBytes);
    digest.add_bytes(data.first(n_sampled));
    digest.add_bytes(data.last(n_sampled));
}

}  // namespace

uint64_t fingerprint_of(const LoadedModel& model) {
    Digest digest;
    add_spec(model.spec, digest);
    for (const puna_tensor& tensor : model.tensors) {
        if (tensor.is_tied == 0) add_tensor(tensor, digest);
    }
    return digest.value();
}

}  // namespace puna::core
