// From sources to a model that backends can take: everything checked, weights where they lie.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/allocator.h"
#include "base/status.h"
#include "format/gguf_header.h"
#include "model/family.h"
#include "model/hyper_parameters.h"
#include "model/load_progress.h"
#include "model/source.h"
#include "puna/puna_backend.h"

namespace puna::core {

enum class ModelContents {
    kWeights,     // everything
    kHeaders,     // for estimates: the tensors without their data
    kVocabulary,  // metadata for a tokenizer; what tensors there are is not looked at
};

struct LoadOptions {
    ModelContents contents = ModelContents::kWeights;
    bool disable_mmap = false;
};

// Immutable after loading. A file without tensors has metadata alone, whatever was asked for.
struct LoadedModel {
    const GgufHeader& metadata() const { return headers.front(); }
    bool has_weights() const { return family != nullptr; }

    std::vector<std::shared_ptr<Source>> sources;
    std::vector<GgufHeader> headers;  // one per source, or with kVocabulary of the first alone

    // What follows is empty without weights.
    const Family* family = nullptr;
    HyperParameters hyper;
    std::vector<double> rope_frequencies;
    puna_model_spec spec = {};  // points to rope_frequencies
    // What backends take, in the order of the family's table. The output of a tied model is there,
    // with the data of the embedding. The data is null with kHeaders.
    std::vector<puna_tensor> tensors;
    bool tied_output = false;

    std::vector<uint64_t> buffer_bytes;  // per source: weights read into memory of ours, or to be
    uint64_t converted_bytes = 0;        // of norms and biases that had to become F32
    uint64_t n_parameters = 0;
    uint64_t size_bytes = 0;  // of all tensors as stored

    std::vector<std::string> tensor_names;  // what puna_tensor.name points to
    std::vector<Buffer> converted;

    LoadedModel() = default;
    LoadedModel(const LoadedModel&) = delete;
    LoadedModel& operator=(const LoadedModel&) = delete;
};

// The release of every source is called in any case, at the latest with the last reference to the
// Source. The allocator outlives the model.
Result<std::unique_ptr<LoadedModel>> load_model(std::span<const puna_source> descriptors,
                                                const LoadOptions& options, Allocator& allocator,
                                                LoadProgress& progress);

}  // namespace puna::core
