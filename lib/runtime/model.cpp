#include "runtime/model.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "base/error.h"
#include "base/utf8.h"
#include "model/fingerprint.h"
#include "runtime/part_plan.h"

namespace puna::core {
namespace {

// Releases a layer set's hold on the file.
void PUNA_CALL release_file(void* owner) {
    delete static_cast<std::shared_ptr<LoadedModel>*>(owner);
}

// What may end a load.
struct LoadWatch {
    const Runtime& runtime;
    const std::shared_ptr<Cancel> cancel;
};

int32_t PUNA_CALL cancel_wanted(void* user) {
    const LoadWatch& watch = *static_cast<const LoadWatch*>(user);
    return watch.runtime.is_closed() || is_triggered(watch.cancel) ? 1 : 0;
}

// Whole characters only, with a NUL; the text of files is not trusted to be UTF-8.
template <size_t N>
void copy_text(char (&out)[N], std::string_view text) {
    const std::string valid = replace_invalid_utf8(text);
    size_t length = std::min(valid.size(), N - 1);
    length -= incomplete_utf8_tail(std::string_view(valid).substr(0, length));
    std::memcpy(out, valid.data(), length);
    out[length] = '\0';
}

// A backend's part of a load, and why it was stopped, which the backend cannot tell.
struct Upload {
    LoadProgress& progress;
    Status stopped;
};

int32_t PUNA_CALL report_upload(float fraction, void* user) {
    auto& upload = *static_cast<Upload*>(user);
    upload.stopped = upload.progress.report(fraction);
    return upload.stopped.ok() ? 0 : 1;
}

}  // namespace

Status check_model_options(const puna_model_options& options) {
    switch (options.weights_layout) {
        case PUNA_WEIGHTS_DEFAULT:
            break;
        case PUNA_WEIGHTS_REPACKED:
            return make_status(PUNA_ERROR_UNSUPPORTED,
                               "weights_layout PUNA_WEIGHTS_REPACKED is not in this version");
        default:
            return make_status(PUNA_ERROR_ARGUMENT, "weights_layout %d is no PUNA_WEIGHTS_ value",
                               static_cast<int>(options.weights_layout));
    }
    if (options.gpu_device < 0) {
        return make_status(PUNA_ERROR_ARGUMENT, "gpu_device is %d: use 0 for the first GPU",
                           static_cast<int>(options.gpu_device));
    }
    return {};
}

Result<std::shared_ptr<Model>> Model::load(std::shared_ptr<Runtime> runtime, SourceDuty& sources,
                                           const puna_model_options& options,
                                           std::shared_ptr<Cancel> cancel) {
    std::shared_ptr<Model> model(new Model(std::move(runtime)));
    LoadWatch watch = {model->runtime(), std::move(cancel)};
    LoadProgress progress(options.progress, options.progress_user, cancel_wanted, &watch);
    PUNA_TRY(model->open(sources, options, progress));
    return model;
}

Model::~Model() {
    parts_.clear();
    if (file_) runtime_->count_mapped(-mapped_bytes());
}

Status Model::open(SourceDuty& sources, const puna_model_options& options, LoadProgress& progress) {
    LoadOptions load_options;
    load_options.contents =
        options.vocab_only != 0 ? ModelContents::kVocabulary : ModelContents::kWeights;
    load_options.disable_mmap = options.disable_mmap != 0;
    PUNA_TRY(check_model_options(options));
    progress.set_stage(0.0f, 0.8f);
    PUNA_TRY_ASSIGN(file_,
                    load_model(sources.take(), load_options, runtime_->allocator(), progress));
    runtime_->count_mapped(mapped_bytes());
    PUNA_TRY_ASSIGN(vocabulary_, Vocabulary::load(file_->metadata()));
    if (vocabulary_->tokenizer_kind() == TokenizerKind::kSpm) {
        PUNA_TRY_ASSIGN(tokenizer_, SpmTokenizer::create(*vocabulary_));
    }
    progress.set_stage(0.8f, 1.0f);
    if (file_->has_weights()) PUNA_TRY(load_parts(options, progress));
    return progress.report(1.0);
}

Status Model::load_parts(const puna_model_options& options, LoadProgress& progress) {
    const auto n_rows = static_cast<uint32_t>(file_->hyper.n_vocab);
    if (vocabulary_->has_texts() && vocabulary_->n_vocab() > n_rows) {
        return make_status(PUNA_ERROR_MODEL,
                           "%s: the tokenizer has %u tokens, token_embd.weight %u rows",
                           file_->metadata().name().c_str(), vocabulary_->n_vocab(), n_rows);
    }
    PUNA_TRY_ASSIGN(const auto plan, plan_parts(runtime_->backends(), file_->hyper.n_layer,
                                                options.n_gpu_layers, options.gpu_device));
    parts_.reserve(plan.size());
    for (const PartPlan& part : plan) PUNA_TRY(load_part(part, options, progress));
    for (const ModelPart& part : parts_) PUNA_TRY(read_formats(part));
    for (const puna_format_info& format : formats_) {
        runtime_->log().log(PUNA_LOG_INFO, "%s: %d tensors in %s on device %d by %s kernels",
                            file_->metadata().name().c_str(), static_cast<int>(format.n_tensors),
                            format.format, static_cast<int>(format.device), format.kernels);
    }
    return {};
}

Status Model::load_part(const PartPlan& plan, const puna_model_options& options,
                        LoadProgress& progress) {
    const std::vector<puna_tensor> tensors = tensors_of(*file_, plan);
    puna_layers_request request = layers_request(*file_, plan, tensors, options.weights_layout);
    auto owner = std::make_unique<std::shared_ptr<LoadedModel>>(file_);
    request.owner = owner.get();
    request.release = release_file;
    request.progress = report_upload;
    Upload upload{progress, {}};
    request.progress_user = &upload;
    ModelPart part;
    part.backend = plan.device.backend;
    part.device = plan.device_number;
    part.first_layer = plan.first_layer;
    part.n_layers = plan.n_layers;
    puna_error error = PUNA_ERROR_INIT;
    const puna_status code =
        part.api().load_layers(part.backend->instance(), &request, &part.layers, &error);
    if (code != PUNA_OK) {
        PUNA_TRY(upload.stopped);
        return status_from(code, error).within(file_->metadata().name().c_str());
    }
    owner.release();  // the layer set's now
    parts_.push_back(std::move(part));
    if (plan.device.is_gpu) n_gpu_layers_ = plan.n_layers;
    return {};
}

Status Model::read_formats(const ModelPart& part) {
    puna_error error = PUNA_ERROR_INIT;
    puna_layers_info info = {};
    info.struct_size = sizeof info;
    puna_status code = part.api().layers_info(part.layers, &info, &error);
    if (code != PUNA_OK) return status_from(code, error);
    for (int32_t i = 0; i < info.n_formats; ++i) {
        puna_layers_format row = {};
        row.struct_size = sizeof row;
        code = part.api().layers_format(part.layers, i, &row, &error);
        if (code != PUNA_OK) return status_from(code, error);
        puna_format_info out = PUNA_FORMAT_INFO_INIT;
        out.device = part.device;
        out.size_bytes = row.size_bytes;
        out.n_tensors = row.n_tensors;
        out.in_place = row.in_place;
        const BlockFormatInfo* format = find_block_format(static_cast<uint32_t>(row.format));
        copy_text(out.format, format != nullptr ? format->name : "unknown");
        copy_text(out.kernels, row.kernels);
        formats_.push_back(out);
    }
    return {};
}

int64_t Model::mapped_bytes() const {
    uint64_t bytes = 0;
    for (const auto& source : file_->sources) {
        if (source->place() == WeightPlace::kMapped) bytes += source->size();
    }
    return static_cast<int64_t>(bytes);
}

int32_t Model::n_vocab() const {
    return has_weights() ? file_->hyper.n_vocab : static_cast<int32_t>(vocabulary_->n_vocab());
}

uint64_t Model::fingerprint() const {
    MutexLock lock(fingerprint_mutex_);
    if (!fingerprint_) fingerprint_ = fingerprint_of(*file_);
    return *fingerprint_;
}

Status Model::tokenize(std::string_view text, int32_t flags, std::vector<int32_t>& out) const {
    constexpr int32_t kKnown =
        PUNA_TOKENIZE_NO_BOS_EOS | PUNA_TOKENIZE_PARSE_SPECIAL | PUNA_TOKENIZE_NO_SPACE_PREFIX;
    if ((flags & ~kKnown) != 0) {
        return make_status(PUNA_ERROR_UNSUPPORTED, "tokenize flags 0x%x are not known",
                           static_cast<unsigned>(flags & ~kKnown));
    }
    if (!tokenizer_) {
        return vocabulary_->check_tokenizer().within(file_->metadata().name().c_str());
    }
    SpmTokenizer::Options options;
    options.add_special = (flags & PUNA_TOKENIZE_NO_BOS_EOS) == 0;
    options.parse_special = (flags & PUNA_TOKENIZE_PARSE_SPECIAL) != 0;
    options.add_space_prefix = (flags & PUNA_TOKENIZE_NO_SPACE_PREFIX) == 0;
    return tokenizer_->tokenize(text, options, out);
}

Status Model::fill_info(puna_model_info* info) const {
    const HyperParameters& hyper = file_->hyper;
    const SpecialTokens& special = vocabulary_->special();
    info->has_weights = has_weights() ? 1 : 0;
    info->n_parameters = file_->n_parameters;
    info->size_bytes = file_->size_bytes;
    info->n_vocab = n_vocab();
    info->n_ctx_train = hyper.n_ctx_train;
    info->n_embd = hyper.n_embd;
    info->n_layer = hyper.n_layer;
    info->n_head = hyper.n_head;
    info->n_head_kv = hyper.n_head_kv;
    info->head_dim_k = hyper.head_dim_k;
    info->head_dim_v = hyper.head_dim_v;
    info->n_ff = hyper.n_ff;
    info->rope_dim = hyper.rope_dim;
    info->token_bos = special.bos;
    info->token_eos = special.eos;
    info->token_eot = special.eot;
    info->token_unk = special.unk;
    info->adds_bos = vocabulary_->rules().add_bos ? 1 : 0;
    info->adds_eos = vocabulary_->rules().add_eos ? 1 : 0;
    info->n_gpu_layers = n_gpu_layers_;
    const GgufHeader& header = file_->metadata();
    info->has_chat_template = header.has("tokenizer.chat_template") ? 1 : 0;
    PUNA_TRY_ASSIGN(const auto family, header.get_string_or("general.architecture", ""));
    PUNA_TRY_ASSIGN(const auto name, header.get_string_or("general.name", ""));
    copy_text(info->family, family);
    copy_text(info->name, name);
    return {};
}

Result<std::string> Model::metadata_text(std::string_view key) const {
    const GgufEntry* entry = file_->metadata().find(key);
    if (entry == nullptr) {
        return make_status(PUNA_ERROR_NOT_FOUND, "%s: no key %.*s",
                           file_->metadata().name().c_str(), static_cast<int>(key.size()),
                           key.data());
    }
    char text[64];
    switch (entry->type) {
        case GgufType::kString:
            return std::string(reinterpret_cast<const char*>(entry->bytes.data()),
                               entry->bytes.size());
        case GgufType::kArray:
            std::snprintf(text, sizeof text, "[%s x %llu]", gguf_type_name(entry->element_type),
                          static_cast<unsigned long long>(entry->count));
            break;
        case GgufType::kBool:
            return std::string(entry->bytes[0] != std::byte{0} ? "true" : "false");
        case GgufType::kFloat32:
            std::snprintf(text, sizeof text, "%.9g",
                          static_cast<double>(load_le<float>(entry->bytes.data())));
            break;
        case GgufType::kFloat64:
            std::snprintf(text, sizeof text, "%.17g", load_le<double>(entry->bytes.data()));
            break;
        case GgufType::kUint64:
            std::snprintf(text, sizeof text, "%llu",
                          static_cast<unsigned long long>(load_le<uint64_t>(entry->bytes.data())));
            break;
        default:
            std::snprintf(
                text, sizeof text, "%lld",
                static_cast<long long>(gguf_load_integer(entry->type, entry->bytes.data())));
    }
    return std::string(text);
}

int32_t Model::n_tensors() const {
    size_t n = 0;
    for (const GgufHeader& header : file_->headers) n += header.tensors().size();
    return static_cast<int32_t>(n);
}

Status Model::fill_tensor_info(int32_t index, puna_tensor_info* info) const {
    auto rest = static_cast<size_t>(index);
    const GgufTensor* tensor = nullptr;
    for (const GgufHeader& header : file_->headers) {
        if (index >= 0 && rest < header.tensors().size()) {
            tensor = &header.tensors()[rest];
            break;
        }
        rest -= header.tensors().size();
    }
    if (tensor == nullptr) {
        return make_status(PUNA_ERROR_NOT_FOUND, "tensor %d: there are %d", static_cast<int>(index),
                           static_cast<int>(n_tensors()));
    }
    info->device = -1;
    for (const puna_tensor& used : file_->tensors) {
        if (used.name != tensor->name || used.is_tied != 0) continue;
        for (const ModelPart& part : parts_) {
            const bool first = &part == &parts_.front();
            const bool in_layers =
                used.layer >= part.first_layer && used.layer < part.first_layer + part.n_layers;
            const bool ends =
                used.layer < 0 &&
                (used.role == PUNA_TENSOR_TOKEN_EMBD ? first : &part == &parts_.back());
            if (in_layers || ends) info->device = part.device;
        }
    }
    info->size_bytes = tensor->n_bytes;
    std::copy(tensor->ne.begin(), tensor->ne.end(), info->shape);
    copy_text(info->name, tensor->name);
    copy_text(info->format, block_format_name(tensor->format));
    return {};
}

Status Model::fill_format_info(int32_t index, puna_format_info* info) const {
    if (index < 0 || index >= n_formats()) {
        return make_status(PUNA_ERROR_NOT_FOUND, "format %d: there are %d", static_cast<int>(index),
                           static_cast<int>(n_formats()));
    }
    *info = formats_[static_cast<size_t>(index)];
    return {};
}

}  // namespace puna::core
