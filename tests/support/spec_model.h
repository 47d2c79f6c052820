#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "puna/puna_backend.h"
#include "tensor_encoding.h"

namespace puna::test {

// A model with random weights for any value of puna_model_spec, as a backend gets it, and its
// forward pass in double precision, written from the description in puna_backend.h.

struct SpecModelShape {
    puna_model_spec spec;  // rope_frequencies and struct_size are filled in
    Encoding encoding = Encoding::kF32;
    bool biases = false;
    uint64_t seed = 1;
};

// A small model whose sizes are no powers of two; Llama otherwise.
puna_model_spec small_spec();

double activate(int32_t kind, double x);  // PUNA_ACTIVATION_*

// The same ones each time.
std::vector<int32_t> random_tokens(const puna_model_spec& spec, int32_t n);

class SpecModel {
  public:
    explicit SpecModel(const SpecModelShape& shape);
    SpecModel(const SpecModel&) = delete;
    SpecModel& operator=(const SpecModel&) = delete;

    const puna_model_spec& spec() const { return spec_; }
    // The tensors of some layers, with what belongs to them at either end of the model.
    std::vector<puna_tensor> tensors(int32_t first_layer, int32_t n_layers, bool has_embedding,
                                     bool has_head) const;

    struct Rows {
        std::vector<double> hidden;  // [tokens][n_embd]: after the output norm
        std::vector<double> logits;  // [tokens][n_vocab]
    };
    // Token i is at position i and sees the positions from first[i] on; an empty `first`: from 0.
    Rows reference(std::span<const int32_t> tokens, std::span<const int32_t> first = {}) const;

  private:
    struct Stored {
        std::string name;
        std::vector<uint8_t> bytes;
        std::vector<float> values;  // as stored
        puna_tensor tensor;
    };
    using Key = std::pair<int32_t, int32_t>;  // layer, role

    void add(int32_t layer, int32_t role, int64_t rows, int64_t columns, Encoding encoding,
             double mean, double deviation);
    const std::vector<float>* find(int32_t layer, int32_t role) const;
    std::vector<double> linear(int32_t layer, int32_t role, int32_t bias,
                               std::span<const double> x) const;
    std::vector<double> norm(std::span<const double> x, const std::vector<float>& gain) const;
    void finish_heads(int32_t layer, int32_t norm_role, int64_t position,
                      std::vector<double>& heads) const;

    puna_model_spec spec_;
    std::vector<double> frequencies_;
    uint64_t seed_;
    std::map<Key, Stored> stored_;
};

}  // namespace puna::test
