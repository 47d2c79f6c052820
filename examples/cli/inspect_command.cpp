#include <vector>

#include "commands.h"
#include "engine.h"
#include "errors.h"
#include "inspection.h"
#include "readable.h"
#include "text_table.h"

namespace cli {
namespace {

struct InspectOptions {
    EngineOptions engine;
    int32_t n_ctx = 0;
    bool tensors = false;
    bool json = false;
};

constexpr const char* kDescription =
    "Shows what is in a model file, and the memory that it would take. Only the header is read,\n"
    "so this is quick however large the file is.";

constexpr const char* kFooter =
    "\nFiles that puna reads but cannot run are shown as well, with the reason.\n"
    "\nExamples:\n  puna inspect tinyllama.gguf --ctx 4096 --kv-type-k f32 --kv-type-v f32\n"
    "  puna inspect tinyllama.gguf --tensors\n"
    "  puna inspect tinyllama.gguf --json\n";

bool parse(InspectOptions& options, const Arguments& arguments) {
    CommandLine line("inspect", kDescription, kFooter);
    add_model(line, options.engine.model);
    line.group("Output");
    line.flag("--tensors", options.tensors, "List every tensor");
    line.flag("--json", options.json,
              "Print one JSON document, with metadata and tensors\nin full");
    add_engine_options(line, options.engine);
    line.number("--ctx", options.n_ctx, 0, PUNA_MAX_CTX,
                "Tokens of the context whose memory is told; 0: what\nthe model was trained for");
    return line.parse(arguments);
}

uint64_t host_bytes(const puna_memory_estimate& memory) {
    return memory.host_mapped_bytes + memory.host_weight_bytes + memory.host_kv_bytes +
           memory.host_scratch_bytes;
}

uint64_t device_bytes(const puna_memory_estimate& memory) {
    return memory.device_weight_bytes + memory.device_kv_bytes + memory.device_scratch_bytes;
}

// ---- As JSON -----------------------------------------------------------------------------------

Json or_null(const std::string& text) {
    return text.empty() ? Json() : Json(text);
}

Json tokenizer_json(const Inspection& inspection) {
    const puna_model_info& info = inspection.info;
    Json tokenizer = {{"model", or_null(inspection.tokenizer)},
                      {"error", or_null(inspection.why_no_texts)},
                      {"n_tokens", info.n_vocab}};
    for (const SpecialToken& token : inspection.special_tokens) {
        tokenizer[token.name] = token.id < 0 ? Json() : Json(token.id);
    }
    tokenizer["adds_bos"] = info.adds_bos != 0;
    tokenizer["adds_eos"] = info.adds_eos != 0;
    tokenizer["has_chat_template"] = info.has_chat_template != 0;
    return tokenizer;
}

Json memory_json(const Inspection& inspection) {
    if (!inspection.memory) return nullptr;
    const puna_memory_estimate& memory = *inspection.memory;
    return {{"n_ctx", inspection.n_ctx},
            {"n_gpu_layers", memory.n_gpu_layers},
            {"mapped_bytes", memory.host_mapped_bytes},
            {"weight_bytes", memory.host_weight_bytes},
            {"kv_bytes", memory.host_kv_bytes},
            {"scratch_bytes", memory.host_scratch_bytes},
            {"total_bytes", host_bytes(memory)},
            {"device_weight_bytes", memory.device_weight_bytes},
            {"device_kv_bytes", memory.device_kv_bytes},
            {"device_scratch_bytes", memory.device_scratch_bytes},
            {"device_total_bytes", device_bytes(memory)}};
}

Json as_json(const Inspection& inspection, const std::string& path) {
    Json formats = Json::array();
    for (const FormatSummary& format : inspection.formats) {
        formats.push_back({{"format", format.format},
                           {"n_tensors", format.n_tensors},
                           {"size_bytes", format.size_bytes}});
    }
    Json tensors = Json::array();
    for (const puna_tensor_info& tensor : inspection.tensors) {
        tensors.push_back({{"name", tensor.name},
                           {"format", tensor.format},
                           {"shape", shape_of(tensor)},
                           {"size_bytes", tensor.size_bytes}});
    }
    Json metadata = Json::object();
    for (const auto& [key, value] : inspection.metadata) metadata[key] = value;
    return {{"model", path},
            {"file_bytes", inspection.file_bytes},
            {"gguf_version", inspection.gguf_version},
            {"family", inspection.info.family},
            {"name", inspection.info.name},
            {"runs", inspection.runs()},
            {"error", or_null(inspection.why_not)},
            {"n_tensors", inspection.n_tensors},
            {"n_parameters", inspection.n_parameters},
            {"size_bytes", inspection.size_bytes},
            {"hyper_parameters", inspection.hyper},
            {"tokenizer", tokenizer_json(inspection)},
            {"formats", std::move(formats)},
            {"memory", memory_json(inspection)},
            {"metadata", std::move(metadata)},
            {"tensors", std::move(tensors)}};
}

// ---- As text -----------------------------------------------------------------------------------

// Texts of files, which are not trusted to be short or harmless.
std::string shown(std::string_view text) {
    return printable(text, 70);
}

std::string weights_text(const Inspection& inspection) {
    const size_t n_found = inspection.tensors.size();
    if (n_found == 0) {
        return inspection.why_no_texts.empty()
                   ? "none: a vocabulary for 'puna tokenize' and 'puna detokenize'"
                   : "none";
    }
    std::string text = readable_count(inspection.n_parameters) + " parameters in " +
                       std::to_string(n_found) + " tensors, " +
                       readable_bytes(inspection.size_bytes);
    if (inspection.n_tensors > n_found) {
        text += "; of " + std::to_string(inspection.n_tensors) +
                " tensors in all, the others are in files that were not found";
    }
    return text;
}

std::string heading_text(const Inspection& inspection, const std::string& path) {
    TextTable table("ll");
    table.add({"file", path + ", " + readable_bytes(inspection.file_bytes) + ", GGUF version " +
                           std::to_string(inspection.gguf_version)});
    const std::string name = shown(inspection.info.name);
    table.add({"model", shown(inspection.info.family) + (name.empty() ? "" : ", " + name)});
    table.add({"weights", weights_text(inspection)});
    if (!inspection.why_not.empty()) table.add({"it would not run", inspection.why_not});
    return table.text();
}

std::string hyper_text(const Inspection& inspection) {
    if (inspection.hyper.empty()) return {};
    TextTable table("lr");
    for (const auto& [name, value] : inspection.hyper.items()) {
        table.add({name, value.is_string() ? shown(value.get<std::string>()) : value.dump()});
    }
    return "\nHyper-parameters\n" + table.text("  ");
}

std::string tokenizer_text(const Inspection& inspection) {
    const puna_model_info& info = inspection.info;
    TextTable table("ll");
    table.add({"kind", inspection.tokenizer.empty() ? "none" : shown(inspection.tokenizer)});
    if (!inspection.why_no_texts.empty()) table.add({"no texts", inspection.why_no_texts});
    table.add({"tokens", std::to_string(info.n_vocab)});
    for (const SpecialToken& token : inspection.special_tokens) {
        if (token.id < 0) continue;
        table.add({token.name, std::to_string(token.id) + " " + shown(token.text)});
    }
    const bool bos = info.adds_bos != 0, eos = info.adds_eos != 0;
    table.add({"adds to texts", bos && eos ? "bos and eos"
                                : bos      ? "bos"
                                : eos      ? "eos"
                                           : "nothing"});
    table.add({"chat template", info.has_chat_template != 0 ? "yes" : "no"});
    return "\nTokenizer\n" + table.text("  ");
}

std::string formats_text(const Inspection& inspection) {
    if (inspection.formats.empty()) return {};
    TextTable table("lrrr");
    table.add({"format", "tensors", "size", "share"});
    for (const FormatSummary& format : inspection.formats) {
        const double share =
            static_cast<double>(format.size_bytes) / static_cast<double>(inspection.size_bytes);
        table.add({format.format, std::to_string(format.n_tensors),
                   readable_bytes(format.size_bytes), fixed(share * 100, 1) + " %"});
    }
    return "\nBlock formats\n" + table.text("  ");
}

std::string memory_text(const Inspection& inspection) {
    if (!inspection.memory) return {};
    const puna_memory_estimate& memory = *inspection.memory;
    const bool has_device = memory.n_gpu_layers > 0;
    TextTable table("lrr");
    const auto add = [&](const char* what, uint64_t host, uint64_t device) {
        table.add({what, readable_bytes(host), has_device ? readable_bytes(device) : ""});
    };
    if (has_device) table.add({"", "host", "GPU"});
    add("weights, mapped", memory.host_mapped_bytes, 0);
    add("weights, copied", memory.host_weight_bytes, memory.device_weight_bytes);
    add("KV cache", memory.host_kv_bytes, memory.device_kv_bytes);
    add("scratch", memory.host_scratch_bytes, memory.device_scratch_bytes);
    add("total", host_bytes(memory), device_bytes(memory));
    return "\nMemory with a context of " + std::to_string(inspection.n_ctx) + " tokens\n" +
           table.text("  ");
}

std::string metadata_text(const Inspection& inspection) {
    TextTable table("ll");
    for (const auto& [key, value] : inspection.metadata) table.add({shown(key), shown(value)});
    return "\nMetadata\n" + table.text("  ");
}

std::string tensors_text(const Inspection& inspection) {
    TextTable table("llrr");
    for (const puna_tensor_info& tensor : inspection.tensors) {
        std::string shape;
        for (const uint64_t n : shape_of(tensor)) {
            shape += (shape.empty() ? "" : " x ") + std::to_string(n);
        }
        table.add({shown(tensor.name), tensor.format, shape, readable_bytes(tensor.size_bytes)});
    }
    return "\nTensors\n" + table.text("  ");
}

std::string as_text(const Inspection& inspection, const InspectOptions& options) {
    return heading_text(inspection, options.engine.model) + hyper_text(inspection) +
           tokenizer_text(inspection) + formats_text(inspection) + memory_text(inspection) +
           metadata_text(inspection) + (options.tensors ? tensors_text(inspection) : "");
}

}  // namespace

int inspect_command(const Arguments& arguments) {
    InspectOptions options;
    if (!parse(options, arguments)) return kDone;
    const Interrupt interrupt;
    find_model(options.engine, interrupt);
    const Inspection inspection = inspect(options.engine, options.n_ctx, interrupt);
    write_output(options.json ? json_line(as_json(inspection, options.engine.model))
                              : as_text(inspection, options));
    return kDone;
}

}  // namespace cli
