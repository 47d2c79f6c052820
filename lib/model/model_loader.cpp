#include "model/model_loader.h"

#include <algorithm>
#include <cinttypes>
#include <cmath>
#include <optional>
#include <string_view>

#include "format/block_format.h"
#include "format/gguf_reader.h"
#include "format/split_name.h"
#include "model/tensor_table.h"
#include "puna/puna.h"

namespace puna::core {

namespace {

constexpr uint32_t kMaxParts = PUNA_MAX_SOURCES;

class ModelLoader {
  public:
    // `split`: what the name of the only file says, if it is that of a part.
    ModelLoader(LoadedModel* model, const std::optional<SplitName>& split,
                const LoadOptions& options, Allocator& allocator, LoadProgress& progress)
        : model_(*model),
          split_(split),
          options_(options),
          allocator_(allocator),
          progress_(progress) {}

    Status run() {
        PUNA_TRY(progress_.report(0));
        PUNA_TRY(read_headers());
        if (options_.contents != ModelContents::kVocabulary && has_tensors()) {
            PUNA_TRY(check_parts());
            PUNA_TRY(read_model());
        }
        return progress_.report(1);
    }

  private:
    Status read_headers();
    Status read_header(const Source& source);
    Status find_other_parts();
    bool has_tensors() const;
    Status check_parts() const;
    Status check_part(size_t index, uint64_t n_tensors) const;
    Status read_model();
    Status read_rope_divisors(const FoundTensor& found);
    void fill_spec();
    Status load_bytes();
    Status describe_tensors(std::span<const FoundTensor> found);
    Status place_data(const FoundTensor& found, puna_tensor* tensor);
    Status convert_vector(const WeightView& view, BlockFormat format, puna_tensor* tensor);

    LoadedModel& model_;
    const std::optional<SplitName>& split_;
    const LoadOptions& options_;
    Allocator& allocator_;
    LoadProgress& progress_;
    std::vector<float> rope_divisors_;
};

Status ModelLoader::read_headers() {
    PUNA_TRY(read_header(*model_.sources.front()));
    if (split_) PUNA_TRY(find_other_parts());
    if (options_.contents == ModelContents::kVocabulary) return {};
    while (model_.headers.size() < model_.sources.size()) {
        PUNA_TRY(read_header(*model_.sources[model_.headers.size()]));
    }
    return {};
}

Status ModelLoader::read_header(const Source& source) {
    const auto bytes = source.byte_source();
    PUNA_TRY_ASSIGN(GgufHeader header, read_gguf(*bytes, source.name().c_str()));
    model_.headers.push_back(std::move(header));
    return {};
}

// One part of a split model was given by its path: the others lie beside it.
Status ModelLoader::find_other_parts() {
    PUNA_TRY_ASSIGN(const uint32_t count, model_.headers.front().get_u32_or("split.count", 0));
    // The name alone proves nothing, and load limits the number of sources.
    if (count != split_->count || count < 2 || count > kMaxParts) return {};
    std::vector<std::string> paths;
    std::vector<puna_source> descriptors;
    for (uint32_t part = 1; part <= count; ++part) {
        if (part != split_->number) paths.push_back(split_->path_of_part(part));
    }
    for (const std::string& path : paths) {
        descriptors.push_back(PUNA_SOURCE_INIT);
        descriptors.back().path = path.c_str();
    }
    PUNA_TRY_ASSIGN(auto sources, open_sources(descriptors, options_.disable_mmap));
    sources.insert(sources.begin() + (split_->number - 1), model_.sources.front());
    model_.sources = std::move(sources);
    if (split_->number == 1) return {};
    model_.headers.clear();
    return read_header(*model_.sources.front());
}

bool ModelLoader::has_tensors() const {
    return std::any_of(model_.headers.begin(), model_.headers.end(),
                       [](const GgufHeader& header) { return !header.tensors().empty(); });
}

// The parts of a split model must be all there and in order.
Status ModelLoader::check_parts() const {
    uint64_t n_tensors = 0;
    for (const GgufHeader& header : model_.headers) n_tensors += header.tensors().size();
    for (size_t i = 0; i < model_.headers.size(); ++i) PUNA_TRY(check_part(i, n_tensors));
    return {};
}

Status ModelLoader::check_part(size_t index, uint64_t n_tensors) const {
    const GgufHeader& header = model_.headers[index];
    const size_t n_given = model_.headers.size();
    if (n_given == 1 && !header.has("split.count")) return {};
    PUNA_TRY_ASSIGN(const uint32_t n_parts, header.get_u32("split.count"));
    if (n_parts == 0 && n_given == 1) return {};  // as some tools mark a file that is whole
    if (n_parts != n_given) {
        return header.key_error(PUNA_ERROR_MODEL, "split.count",
                                "the model has %" PRIu32
                                " parts, %zu were given: give all, or the "
                                "path of one that is called NAME-00001-of-%05" PRIu32 ".gguf",
                                n_parts, n_given, n_parts);
    }
    PUNA_TRY_ASSIGN(const uint32_t number, header.get_u32_or("split.no", 0));
    if (number != index) {
        return header.key_error(PUNA_ERROR_MODEL, "split.no",
                                "is part %" PRIu32 " in place of part %zu; give them in order",
                                number, index);
    }
    PUNA_TRY_ASSIGN(const uint64_t expected, header.get_u64_or("split.tensors.count", n_tensors));
    if (expected != n_tensors) {
        return header.key_error(PUNA_ERROR_MODEL, "split.tensors.count",
                                "is %" PRIu64 ", the parts hold %" PRIu64 " tensors", expected,
                                n_tensors);
    }
    return {};
}

Status ModelLoader::read_model() {
    PUNA_TRY_ASSIGN(const Family* family, family_of(model_.metadata()));
    PUNA_TRY_ASSIGN(model_.hyper, read_hyper_parameters(model_.headers, *family));
    PUNA_TRY_ASSIGN(auto found, find_tensors(model_.headers, *family, model_.hyper));
    const auto divisors = std::find_if(found.begin(), found.end(), [](const FoundTensor& f) {
        return f.row->role == kRoleRopeFreqs;
    });
    if (divisors != found.end()) {
        PUNA_TRY(read_rope_divisors(*divisors));
        found.erase(divisors);
    }
    model_.rope_frequencies = rope_frequencies(model_.hyper, rope_divisors_);
    model_.family = family;
    fill_spec();
    PUNA_TRY(load_bytes());
    return describe_tensors(found);
}

// They are few, and folded into the frequencies: also an estimate reads them.
Status ModelLoader::read_rope_divisors(const FoundTensor& found) {
    const GgufTensor& tensor = *found.tensor;
    std::vector<std::byte> bytes(static_cast<size_t>(tensor.n_bytes));
    rope_divisors_.resize(static_cast<size_t>(tensor.n_elements));
    PUNA_TRY(model_.sources[found.source]->read_at(tensor.offset, bytes.data(), bytes.size()));
    PUNA_TRY(dequantize_row(tensor.format, bytes.data(), rope_divisors_.data(),
                            static_cast<int64_t>(tensor.n_elements)));
    for (size_t i = 0; i < rope_divisors_.size(); ++i) {
        const float divisor = rope_divisors_[i];
        if (std::isfinite(divisor) && divisor > 0) continue;
        return make_status(PUNA_ERROR_MODEL,
                           "tensor '%.*s': element %zu is %g; numbers above 0 are wanted",
                           static_cast<int>(tensor.name.size()), tensor.name.data(), i,
                           static_cast<double>(divisor))
            .within(model_.headers[found.source].name().c_str());
    }
    return {};
}

void ModelLoader::fill_spec() {
    const HyperParameters& h = model_.hyper;
    puna_model_spec& spec = model_.spec;
    spec.struct_size = sizeof spec;
    spec.n_vocab = h.n_vocab;
    spec.n_embd = h.n_embd;
    spec.n_layer = h.n_layer;
    spec.n_head = h.n_head;
    spec.n_head_kv = h.n_head_kv;
    spec.head_dim_k = h.head_dim_k;
    spec.head_dim_v = h.head_dim_v;
    spec.n_ff = h.n_ff;
    spec.norm = model_.family->norm;
    spec.norm_epsilon = h.norm_epsilon;
    spec.activation = model_.family->activation;
    spec.rope = model_.family->rope;
    spec.rope_dim = h.rope_dim;
    spec.rope_magnitude = h.rope_magnitude;
    spec.rope_frequencies = model_.rope_frequencies.data();
    spec.family = model_.family->name;
    spec.attention_scale = static_cast<float>(1 / std::sqrt(static_cast<double>(h.head_dim_k)));
    spec.embedding_scale = 1;
    spec.residual_scale = 1;
    spec.logit_scale = 1;
}

// What the allocator gives for a buffer of so many bytes.
uint64_t padded(uint64_t n_bytes) {
    return (n_bytes + 63) / 64 * 64;
}

// Where the data of a file's tensors ends.
uint64_t data_end(const GgufHeader& header) {
    uint64_t end = header.data_offset();
    for (const GgufTensor& t : header.tensors()) end = std::max(end, t.offset + t.n_bytes);
    return end;
}

Status ModelLoader::load_bytes() {
    double n_total = 0;
    for (size_t i = 0; i < model_.sources.size(); ++i) {
        const GgufHeader& header = model_.headers[i];
        const uint64_t end = data_end(header);
        model_.buffer_bytes.push_back(model_.sources[i]->buffer_bytes(header.data_offset(), end));
        n_total += static_cast<double>(end - header.data_offset());
    }
    if (options_.contents != ModelContents::kWeights) return {};

    double n_before = 0;
    for (size_t i = 0; i < model_.sources.size(); ++i) {
        const uint64_t begin = model_.headers[i].data_offset();
        const uint64_t end = data_end(model_.headers[i]);
        PUNA_TRY(model_.sources[i]->load(begin, end, allocator_, [&](uint64_t n_done) {
            return progress_.report((n_before + static_cast<double>(n_done)) / n_total);
        }));
        n_before += static_cast<double>(end - begin);
    }
    return {};
}

Status ModelLoader::describe_tensors(std::span<const FoundTensor> found) {
    for (const GgufHeader& header : model_.headers) {
        for (const GgufTensor& tensor : header.tensors()) {
            model_.n_parameters += tensor.n_elements;
            model_.size_bytes += tensor.n_bytes;
        }
    }
    model_.tensor_names.reserve(found.size());  // the descriptors point to the names
    model_.tied_output = true;
    model_.tensors.reserve(found.size() + 1);
    for (const FoundTensor& f : found) {
        puna_tensor tensor = {};
        tensor.struct_size = sizeof tensor;
        tensor.role = f.row->role;
        tensor.layer = f.layer;
        tensor.rows = f.rows();
        tensor.columns = f.columns();
        tensor.name = model_.tensor_names.emplace_back(f.tensor->name).c_str();
        PUNA_TRY(place_data(f, &tensor));
        model_.tensors.push_back(tensor);
        if (tensor.role == PUNA_TENSOR_OUTPUT) model_.tied_output = false;
    }
    if (model_.tied_output) {
        puna_tensor output = model_.tensors.front();  // the embedding leads the family's table
        output.role = PUNA_TENSOR_OUTPUT;
        output.is_tied = 1;
        model_.tensors.push_back(output);
    }
    return {};
}

Status ModelLoader::place_data(const FoundTensor& found, puna_tensor* tensor) {
    const BlockFormat format = found.tensor->format;
    const bool converts = found.is_vector() && format != BlockFormat::kF32;
    tensor->format = static_cast<int32_t>(converts ? BlockFormat::kF32 : format);
    tensor->size_bytes =
        converts ? found.tensor->n_elements * sizeof(float) : found.tensor->n_bytes;
    if (converts) model_.converted_bytes += padded(tensor->size_bytes);
    const Source& source = *model_.sources[found.source];
    tensor->is_mapped = source.place() == WeightPlace::kMapped && !converts;
    if (options_.contents != ModelContents::kWeights) return {};

    PUNA_TRY_ASSIGN(const WeightView view,
                    source.tensor_bytes(found.tensor->offset, found.tensor->n_bytes));
    if (converts) return convert_vector(view, format, tensor);
    tensor->data = view.data;
    return {};
}

Status ModelLoader::convert_vector(const WeightView& view, BlockFormat format,
                                   puna_tensor* tensor) {
    PUNA_TRY_ASSIGN(
        Buffer buffer,
        Buffer::create(allocator_, static_cast<size_t>(tensor->size_bytes), 64, tensor->name));
    PUNA_TRY(dequantize_row(format, view.data, buffer.as<float>(), tensor->columns));
    tensor->data = buffer.data();
    model_.converted.push_back(std::move(buffer));
    return {};
}

}  // namespace

Result<std::unique_ptr<LoadedModel>> load_model(std::span<const puna_source> descriptors,
                                                const LoadOptions& options, Allocator& allocator,
                                                LoadProgress& progress) {
    // First of all, so that nothing can fail between here and their release.
    PUNA_TRY_ASSIGN(auto sources, open_sources(descriptors, options.disable_mmap));
    if (sources.empty()) return make_status(PUNA_ERROR_ARGUMENT, "no source was given");
    auto model = std::make_unique<LoadedModel>();
    model->sources = std::move(sources);
    std::optional<SplitName> split;
    const puna_source& first = descriptors.front();
    if (descriptors.size() == 1 && first.path != nullptr && first.offset == 0) {
        split = parse_split_name(first.path);
    }
    PUNA_TRY(ModelLoader(model.get(), split, options, allocator, progress).run());
    return model;
}

}  // namespace puna::core
