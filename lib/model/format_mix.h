// Which block format each matrix of a published GGUF file has.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/status.h"
#include "format/block_format.h"

namespace puna::core {

enum class MatrixKind { kEmbedding, kQ, kK, kV, kAttentionOutput, kGate, kUp, kDown, kOutput };

// What a recipe looks at.
struct MixedMatrix {
    MatrixKind kind;
    uint32_t layer = 0;  // of the model's n_layer
    uint64_t row_length = 0;
    bool is_tied = false;  // an embedding that is the output too
};
struct MixedModel {
    uint32_t n_layer = 0;
    uint32_t n_head_per_kv = 1;  // query heads that share a KV head
};

// A rule of a recipe; the first that fits a matrix decides.
struct MixRule {
    enum Layers {
        kAll,
        kFirst2,
        kFirst4,
        kFirst16th,  // the first n_layer / 16
        kFirst8th,
        kMoreBits,   // the first and last eighth, and every third between
        kSharedKv4,  // all, where 4 query heads or more share a KV head
    };
    MatrixKind kind;
    Layers layers;
    BlockFormat format;
};

// The mixes that files are published in, as llama.cpp's quantize makes them (src/llama-quant.cpp,
// without an importance matrix), and every block format that can be used as weights as a mix of
// that format alone. Of the formats that are mixes too (Q2_K, Q4_0, Q5_0, Q6_K, Q8_0) the mix is
// meant, unless `pure`.
class FormatMix {
  public:
    // "q4_k_m", in upper or lower case. PUNA_ERROR_ARGUMENT, with the names there are, for another.
    static Result<FormatMix> named(std::string_view name, bool pure);

    // Where rows do not divide into blocks of the format meant: the nearest with blocks of 32, or
    // F16.
    BlockFormat format_of(const MixedMatrix& matrix, const MixedModel& model) const;

    const char* name() const { return name_; }         // "Q4_K_M"
    uint32_t file_type() const { return file_type_; }  // general.file_type

    static constexpr uint32_t kNoFileType = 1024;  // "guessed", for formats without a number

  private:
    FormatMix(const char* name, uint32_t file_type, BlockFormat base,
              std::span<const MixRule> rules, bool has_head)
        : name_(name), file_type_(file_type), base_(base), rules_(rules), has_head_(has_head) {}

    const char* name_;
    uint32_t file_type_;
    BlockFormat base_;
    std::span<const MixRule> rules_;
    bool has_head_;  // the output has a format of its own
};

}  // namespace puna::core
