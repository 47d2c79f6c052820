#include "model/synthetic_model.h"

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cmath>
#include <optional>
#include <span>
#include <vector>

#include "base/file_reader.h"
#include "base/hash64.h"
#include "format/byte_source.h"
#include "format/gguf_reader.h"
#include "format/gguf_writer.h"
#include "format/random_blocks.h"
#include "model/format_mix.h"
#include "model/synthetic_vocabulary.h"

namespace puna::core {

namespace {

constexpr float kNormEpsilon = 1e-5f;
constexpr float kRopeBase = 10000.0f;

class SyntheticWriter {
  public:
    SyntheticWriter(const SyntheticModel& model, const FormatMix& mix) : m_(model), mix_(mix) {}

    Result<uint32_t> run(const std::string& path, LoadProgress& progress) {
        PUNA_TRY(add_vocabulary());
        PUNA_TRY(check_shape());
        add_metadata();
        PUNA_TRY(add_tensors());
        return write(path, progress);
    }

  private:
    Status check_shape() const;
    Status add_vocabulary();
    Status copy_vocabulary();
    void add_metadata();
    Status add_tensors();
    Status add_layer(uint32_t layer);
    Status add_vector(const std::string& name, uint64_t length);
    Status add_matrix(const std::string& name, MatrixKind kind, uint32_t layer, uint64_t columns,
                      uint64_t rows, double deviation);
    Result<uint32_t> write(const std::string& path, LoadProgress& progress) const;

    SyntheticModel m_;
    const FormatMix& mix_;
    GgufWriter file_;
    std::vector<float> deviations_;  // per tensor; 0: all elements are 1
};

// The ranges are those of the loader.
Status SyntheticWriter::check_shape() const {
    struct Field {
        const char* name;
        uint32_t value;
        uint32_t most;
    };
    const Field fields[] = {
        {"n_embd", m_.n_embd, 1 << 20},     {"n_layer", m_.n_layer, 1 << 12},
        {"n_head", m_.n_head, 1 << 14},     {"n_head_kv", m_.n_head_kv, 1 << 14},
        {"head_dim", m_.head_dim, 1 << 14}, {"n_ff", m_.n_ff, 1 << 20},
        {"n_vocab", m_.n_vocab, 1 << 22},   {"n_ctx_train", m_.n_ctx_train, 1 << 30},
    };
    for (const Field& field : fields) {
        if (field.value >= 1 && field.value <= field.most) continue;
        return make_status(PUNA_ERROR_ARGUMENT, "%s is %" PRIu32 ", not 1 .. %" PRIu32, field.name,
                           field.value, field.most);
    }
    if (m_.n_head % m_.n_head_kv != 0) {
        return make_status(PUNA_ERROR_ARGUMENT,
                           "n_head %" PRIu32 " is no multiple of n_head_kv %" PRIu32, m_.n_head,
                           m_.n_head_kv);
    }
    if (m_.head_dim % 2 != 0) {
        return make_status(PUNA_ERROR_ARGUMENT, "head_dim is %" PRIu32 ", RoPE needs an even one",
                           m_.head_dim);
    }
    return {};
}

Status SyntheticWriter::add_vocabulary() {
    if (!m_.vocabulary_path.empty()) return copy_vocabulary();
    if (m_.n_vocab >= kSmallestSyntheticVocabulary) add_synthetic_vocabulary(m_.n_vocab, file_);
    return {};
}

Status SyntheticWriter::copy_vocabulary() {
    constexpr char kTokensKey[] = "tokenizer.ggml.tokens";
    const std::string& path = m_.vocabulary_path;
    PUNA_TRY_ASSIGN(const FileReader reader, FileReader::open(path));
    CallbackSource bytes(reader.size(), [&reader](uint64_t offset, void* dst, size_t n) {
        return reader.read_at(offset, {static_cast<std::byte*>(dst), n});
    });
    PUNA_TRY_ASSIGN(const GgufHeader header, read_gguf(bytes, path.c_str()));
    PUNA_TRY_ASSIGN(const GgufStrings tokens, header.get_strings(kTokensKey));
    if (m_.n_vocab == 0) m_.n_vocab = static_cast<uint32_t>(tokens.size());
    if (m_.n_vocab != tokens.size()) {
        return make_status(PUNA_ERROR_ARGUMENT, "n_vocab is %" PRIu32 ", %s has %zu tokens",
                           m_.n_vocab, path.c_str(), tokens.size());
    }
    for (const GgufEntry& entry : header.entries()) {
        if (entry.key.starts_with("tokenizer.")) file_.copy(entry);
    }
    return {};
}

void SyntheticWriter::add_metadata() {
    file_.set_string("general.architecture", "llama");
    file_.set_string("general.name", std::string("random ") + mix_.name());
    file_.set_u32("general.file_type", mix_.file_type());
    file_.set_u32("general.quantization_version", 2);
    file_.set_u32("llama.vocab_size", m_.n_vocab);
    file_.set_u32("llama.context_length", m_.n_ctx_train);
    file_.set_u32("llama.embedding_length", m_.n_embd);
    file_.set_u32("llama.block_count", m_.n_layer);
    file_.set_u32("llama.feed_forward_length", m_.n_ff);
    file_.set_u32("llama.attention.head_count", m_.n_head);
    file_.set_u32("llama.attention.head_count_kv", m_.n_head_kv);
    file_.set_u32("llama.attention.key_length", m_.head_dim);
    file_.set_u32("llama.attention.value_length", m_.head_dim);
    file_.set_u32("llama.rope.dimension_count", m_.head_dim);
    file_.set_f32("llama.rope.freq_base", kRopeBase);
    file_.set_f32("llama.attention.layer_norm_rms_epsilon", kNormEpsilon);
}

Status SyntheticWriter::add_vector(const std::string& name, uint64_t length) {
    deviations_.push_back(0);
    return file_.add_tensor(name, BlockFormat::kF32, std::span(&length, 1));
}

Status SyntheticWriter::add_matrix(const std::string& name, MatrixKind kind, uint32_t layer,
                                   uint64_t columns, uint64_t rows, double deviation) {
    const MixedMatrix matrix{kind, layer, columns, m_.tied_output};
    const MixedModel model{m_.n_layer, m_.n_head / m_.n_head_kv};
    deviations_.push_back(static_cast<float>(std::max(deviation, 0.001)));  // what half scales hold
    return file_.add_tensor(name, mix_.format_of(matrix, model), std::array{columns, rows});
}

// Matrices keep the deviation of what they multiply: 1 / sqrt(columns). Those that add to the
// residual stream are smaller by its number of summands, so that it stays near 1 as well.
Status SyntheticWriter::add_layer(uint32_t layer) {
    const std::string prefix = "blk." + std::to_string(layer) + ".";
    const uint64_t n_q = uint64_t{m_.n_head} * m_.head_dim;
    const uint64_t n_kv = uint64_t{m_.n_head_kv} * m_.head_dim;
    const double residual = 1 / std::sqrt(2.0 * m_.n_layer);
    const double from_embd = 1 / std::sqrt(m_.n_embd);
    const double from_heads = residual / std::sqrt(static_cast<double>(n_q));
    const double from_ff = residual / std::sqrt(m_.n_ff);

    struct Matrix {
        const char* name;
        MatrixKind kind;
        uint64_t columns;
        uint64_t rows;
        double deviation;
    };
    const Matrix matrices[] = {
        {"attn_q.weight", MatrixKind::kQ, m_.n_embd, n_q, from_embd},
        {"attn_k.weight", MatrixKind::kK, m_.n_embd, n_kv, from_embd},
        {"attn_v.weight", MatrixKind::kV, m_.n_embd, n_kv, from_embd},
        {"attn_output.weight", MatrixKind::kAttentionOutput, n_q, m_.n_embd, from_heads},
        {"ffn_gate.weight", MatrixKind::kGate, m_.n_embd, m_.n_ff, from_embd},
        {"ffn_up.weight", MatrixKind::kUp, m_.n_embd, m_.n_ff, from_embd},
        {"ffn_down.weight", MatrixKind::kDown, m_.n_ff, m_.n_embd, from_ff},
    };
    PUNA_TRY(add_vector(prefix + "attn_norm.weight", m_.n_embd));
    PUNA_TRY(add_vector(prefix + "ffn_norm.weight", m_.n_embd));
    for (const Matrix& matrix : matrices) {
        PUNA_TRY(add_matrix(prefix + matrix.name, matrix.kind, layer, matrix.columns, matrix.rows,
                            matrix.deviation));
    }
    return {};
}

// In the order in which a token reads them.
Status SyntheticWriter::add_tensors() {
    const double to_logits = 1 / std::sqrt(m_.n_embd);
    PUNA_TRY(add_matrix("token_embd.weight", MatrixKind::kEmbedding, 0, m_.n_embd, m_.n_vocab,
                        m_.tied_output ? to_logits : 1.0));
    for (uint32_t layer = 0; layer < m_.n_layer; ++layer) PUNA_TRY(add_layer(layer));
    PUNA_TRY(add_vector("output_norm.weight", m_.n_embd));
    if (m_.tied_output) return {};
    return add_matrix("output.weight", MatrixKind::kOutput, 0, m_.n_embd, m_.n_vocab, to_logits);
}

Result<uint32_t> SyntheticWriter::write(const std::string& path, LoadProgress& progress) const {
    const auto n_total = static_cast<double>(file_.data_bytes());
    uint64_t n_done = 0;
    const GgufWriter::Tensor* current = nullptr;
    std::optional<RandomBits> bits;  // of the current tensor: its name decides, not its place
    const auto fill = [&](const GgufWriter::Tensor& tensor, std::span<std::byte> bytes) -> Status {
        if (&tensor != current) {
            current = &tensor;
            bits.emplace(hash64(std::as_bytes(std::span(tensor.name)), m_.seed));
        }
        const float deviation = deviations_[static_cast<size_t>(&tensor - file_.tensors().data())];
        const BlockFormatInfo& info = block_format_info(tensor.format);
        const auto n = static_cast<int64_t>(bytes.size() / info.block_bytes * info.block_length);
        if (deviation > 0) {
            random_blocks(tensor.format, *bits, deviation, bytes.data(), n);
        } else {
            quantize_f32(std::vector<float>(static_cast<size_t>(n), 1.0f).data(), bytes.data(), n);
        }
        n_done += bytes.size();
        return progress.report(static_cast<double>(n_done) / n_total);
    };
    PUNA_TRY(progress.report(0));
    return file_.write(path, m_.part_bytes, fill);
}

}  // namespace

Result<uint32_t> write_synthetic_model(const SyntheticModel& model, const std::string& path,
                                       LoadProgress& progress) {
    PUNA_TRY_ASSIGN(const FormatMix mix, FormatMix::named(model.type, model.pure));
    return SyntheticWriter(model, mix).run(path, progress);
}

}  // namespace puna::core
