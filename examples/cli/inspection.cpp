#include "inspection.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <iterator>
#include <map>
#include <memory>
#include <span>

#include "engine.h"
#include "files.h"

namespace cli {
namespace {

// Hyper-parameters as the metadata has them: "llama.block_count" and so on.
struct HyperKey {
    const char* name;
    const char* key;
};
constexpr HyperKey kHyperKeys[] = {
    {"n_ctx_train", "context_length"},
    {"n_embd", "embedding_length"},
    {"n_layer", "block_count"},
    {"n_head", "attention.head_count"},
    {"n_head_kv", "attention.head_count_kv"},
    {"head_dim_k", "attention.key_length"},
    {"head_dim_v", "attention.value_length"},
    {"n_ff", "feed_forward_length"},
    {"rope_dim", "rope.dimension_count"},
    {"rope_base", "rope.freq_base"},
    {"norm_epsilon", "attention.layer_norm_rms_epsilon"},
};

// The value of a key: a number where it is one, else its text, or null.
Json metadata_number(const puna::Model& model, const std::string& key) {
    const auto text = model.try_metadata(key);
    if (!text) return nullptr;
    const Json number = Json::parse(*text, nullptr, false);
    return number.is_number() ? number : Json(*text);
}

uint32_t gguf_version(const std::string& path) {
    const File file(open_file(path, "rb"));
    std::array<unsigned char, 8> head{};
    if (!file || std::fread(head.data(), 1, head.size(), file.get()) != head.size()) return 0;
    uint32_t version = 0;
    for (size_t i = 8; i-- > 4;) version = version << 8 | head[i];
    return version;
}

// The files of a split model are called NAME-00002-of-00005.gguf and lie beside each other.
std::vector<std::string> part_paths(const std::string& path, const puna::Model& model) {
    const Json count = metadata_number(model, "split.count");
    constexpr size_t kSuffixSize = sizeof("-00002-of-00005.gguf") - 1;
    const bool is_split = count.is_number_unsigned() && count > 1 && count <= 99999;
    if (!is_split || path.size() <= kSuffixSize) return {path};
    const std::string name = path.substr(0, path.size() - kSuffixSize);
    std::vector<std::string> paths;
    for (uint32_t part = 1; part <= count.get<uint32_t>(); ++part) {
        char suffix[kSuffixSize + 1];
        std::snprintf(suffix, sizeof suffix, "-%05u-of-%05u.gguf", part, count.get<uint32_t>());
        paths.push_back(name + suffix);
    }
    const bool is_among_them = std::find(paths.begin(), paths.end(), path) != paths.end();
    return is_among_them ? paths : std::vector{path};
}

// By a function that reads: to a path the library would take all parts for one model, and a model
// without weights has the tensors of the first alone.
puna::Result<puna::Model> load_part(const puna::Runtime& runtime, const std::string& path) {
    const auto file = std::make_shared<File>(open_file(path, "rb"));
    const auto read = [file](uint64_t offset, std::span<std::byte> buffer) {
        return *file && std::fseek(file->get(), static_cast<long>(offset), SEEK_SET) == 0 &&
               std::fread(buffer.data(), 1, buffer.size(), file->get()) == buffer.size();
    };
    puna::ModelOptions options;
    options.vocab_only = 1;
    return puna::Model::try_load(runtime, puna::Source(file_size(path), read), options);
}

void add_tensors(const puna::Model& model, Inspection& result) {
    for (int32_t i = 0; i < model.n_tensors(); ++i) {
        const puna_tensor_info tensor = model.tensor(i);
        uint64_t n_parameters = 1;
        for (const uint64_t n : tensor.shape) n_parameters *= n;
        result.n_parameters += n_parameters;
        result.size_bytes += tensor.size_bytes;
        result.tensors.push_back(tensor);
    }
}

void read_tensors(const std::string& path, const puna::Model& model, Inspection& result) {
    const auto paths = part_paths(path, model);
    for (const std::string& part : paths) result.file_bytes += file_size(part);
    if (paths.size() == 1) {
        add_tensors(model, result);
    } else {
        const puna::Runtime runtime;
        for (const std::string& part : paths) {
            if (const auto header = load_part(runtime, part)) add_tensors(*header, result);
        }
    }
    const Json n_tensors = metadata_number(model, "split.tensors.count");
    result.n_tensors =
        n_tensors.is_number_unsigned() ? n_tensors.get<uint64_t>() : result.tensors.size();

    std::map<std::string, FormatSummary> formats;
    for (const puna_tensor_info& tensor : result.tensors) {
        FormatSummary& format = formats[tensor.format];
        format.format = tensor.format;
        ++format.n_tensors;
        format.size_bytes += tensor.size_bytes;
    }
    for (auto& [name, format] : formats) result.formats.push_back(std::move(format));
    std::stable_sort(result.formats.begin(), result.formats.end(),
                     [](const auto& a, const auto& b) { return a.size_bytes > b.size_bytes; });
}

void read_metadata(const puna::Model& model, Inspection& result) {
    for (int32_t i = 0; i < model.n_metadata(); ++i) {
        std::string key = model.metadata_key(i);
        std::string value = model.metadata(key);
        result.metadata.emplace_back(std::move(key), std::move(value));
    }
    result.hyper = Json::object();
    for (const HyperKey& key : kHyperKeys) {
        Json value = metadata_number(model, std::string(result.info.family) + "." + key.key);
        if (!value.is_null()) result.hyper[key.name] = std::move(value);
    }
    if (auto kind = model.try_metadata("tokenizer.ggml.model")) result.tokenizer = std::move(*kind);
    if (const auto tokens = model.try_tokenize(""); !tokens.ok()) {
        result.why_no_texts = tokens.failure().message;
    }
    const puna_model_info& info = result.info;
    for (SpecialToken token : {SpecialToken{"bos", info.token_bos, {}},
                               {"eos", info.token_eos, {}},
                               {"eot", info.token_eot, {}},
                               {"unk", info.token_unk, {}}}) {
        if (auto text = model.try_token_text(token.id)) token.text = std::move(*text);
        result.special_tokens.push_back(std::move(token));
    }
}

void estimate(const EngineOptions& engine, int32_t n_ctx, Inspection& result) {
    if (n_ctx == 0) {
        const Json trained = result.hyper.value("n_ctx_train", Json());
        if (trained.is_number_unsigned()) {
            n_ctx = static_cast<int32_t>(std::min<uint64_t>(trained.get<uint64_t>(), PUNA_MAX_CTX));
        }
    }
    result.n_ctx = n_ctx;
    const auto memory = puna::Model::try_estimate(
        make_runtime(engine), engine.path, model_options(engine), context_options(engine, n_ctx));
    if (memory.ok()) {
        result.memory = *memory;
    } else {
        result.why_not = in_program_words(memory.failure()).message;
    }
}

}  // namespace

Inspection inspect(const EngineOptions& engine, int32_t n_ctx, const Interrupt& interrupt) {
    const puna::Model model = load_vocabulary(engine.path, interrupt);
    Inspection result;
    result.gguf_version = gguf_version(engine.path);
    result.info = model.info();
    read_metadata(model, result);
    read_tensors(engine.path, model, result);
    if (!result.tensors.empty()) estimate(engine, n_ctx, result);
    return result;
}

std::vector<uint64_t> shape_of(const puna_tensor_info& tensor) {
    size_t n = std::size(tensor.shape);
    while (n > 1 && tensor.shape[n - 1] == 1) --n;
    return {tensor.shape, tensor.shape + n};
}

}  // namespace cli
