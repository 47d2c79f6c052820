// The model behind puna_model: weights on their devices, vocabulary, metadata.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "model/model_loader.h"
#include "runtime/cancel.h"
#include "runtime/model_part.h"
#include "runtime/runtime.h"
#include "runtime/source_duty.h"
#include "text/spm_tokenizer.h"
#include "text/vocabulary.h"

namespace puna::core {

// PUNA_ERROR_ARGUMENT or _UNSUPPORTED names the field.
Status check_model_options(const puna_model_options& options);

// Immutable after load; used from any thread.
class Model {
  public:
    static Result<std::shared_ptr<Model>> load(std::shared_ptr<Runtime> runtime,
                                               SourceDuty& sources,
                                               const puna_model_options& options,
                                               std::shared_ptr<Cancel> cancel);
    ~Model();
    Model(const Model&) = delete;
    Model& operator=(const Model&) = delete;

    Runtime& runtime() const { return *runtime_; }
    const std::shared_ptr<Runtime>& shared_runtime() const { return runtime_; }
    const LoadedModel& file() const { return *file_; }
    bool has_weights() const { return !parts_.empty(); }
    int32_t n_vocab() const;
    int32_t n_ctx_train() const { return file_->hyper.n_ctx_train; }
    int32_t n_embd() const { return file_->hyper.n_embd; }
    const Vocabulary& vocabulary() const { return *vocabulary_; }
    // In the order of their layers.
    std::span<const ModelPart> parts() const { return parts_; }

    // Tells this model from others; with weights. Computed when first asked for.
    uint64_t fingerprint() const;

    // `flags`: PUNA_TOKENIZE_*. On failure `out` is unchanged.
    Status tokenize(std::string_view text, int32_t flags, std::vector<int32_t>& out) const;

    Status fill_info(puna_model_info* info) const;
    Result<std::string> metadata_text(std::string_view key) const;
    int32_t n_tensors() const;
    Status fill_tensor_info(int32_t index, puna_tensor_info* info) const;
    int32_t n_formats() const { return static_cast<int32_t>(formats_.size()); }
    Status fill_format_info(int32_t index, puna_format_info* info) const;

  private:
    explicit Model(std::shared_ptr<Runtime> runtime) : runtime_(std::move(runtime)) {}
    Status open(SourceDuty& sources, const puna_model_options& options, LoadProgress& progress);
    Status load_parts(const puna_model_options& options, LoadProgress& progress);
    Status load_part(const struct PartPlan& plan, const puna_model_options& options,
                     LoadProgress& progress);
    Status read_formats(const ModelPart& part);
    int64_t mapped_bytes() const;

    const std::shared_ptr<Runtime> runtime_;
    std::shared_ptr<LoadedModel> file_;  // shared with the layer sets that read from it
    std::optional<Vocabulary> vocabulary_;
    std::optional<SpmTokenizer> tokenizer_;
    std::vector<ModelPart> parts_;
    std::vector<puna_format_info> formats_;
    int32_t n_gpu_layers_ = 0;
    mutable Mutex fingerprint_mutex_;
    mutable std::optional<uint64_t> fingerprint_;
};

}  // namespace puna::core
