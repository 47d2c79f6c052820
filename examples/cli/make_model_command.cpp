#include <algorithm>
#include <charconv>
#include <cstdio>
#include <limits>

#include "command_line.h"
#include "commands.h"
#include "errors.h"
#include "model_name.h"
#include "numbers.h"
#include "progress_bar.h"
#include "terminal.h"

namespace cli {
namespace {

struct NamedShape {
    const char* name;
    int32_t n_embd, n_layer, n_head, n_head_kv, n_ff, n_vocab, n_ctx_train;
    bool is_tied;
};
constexpr NamedShape kShapes[] = {
    {"tinyllama-1.1b", 2048, 22, 32, 4, 5632, 32000, 2048, false},
    {"llama-3.2-1b", 2048, 16, 32, 8, 8192, 128256, 131072, true},
    {"smollm2-135m", 576, 30, 9, 3, 1536, 49152, 8192, true},
    {"stories15m", 288, 6, 6, 6, 768, 32000, 256, true},
};

struct ShapeField {
    const char* name;
    int32_t puna_synthetic_model_options::*value;
};
constexpr ShapeField kFields[] = {
    {"n_embd", &puna_synthetic_model_options::n_embd},
    {"n_layer", &puna_synthetic_model_options::n_layer},
    {"n_head", &puna_synthetic_model_options::n_head},
    {"n_head_kv", &puna_synthetic_model_options::n_head_kv},
    {"head_dim", &puna_synthetic_model_options::head_dim},
    {"n_ff", &puna_synthetic_model_options::n_ff},
    {"n_vocab", &puna_synthetic_model_options::n_vocab},
    {"n_ctx", &puna_synthetic_model_options::n_ctx_train},
    {"tied", &puna_synthetic_model_options::tied_output},
};

[[noreturn]] void refuse_shape(const std::string& what) {
    std::string names;
    for (const NamedShape& shape : kShapes) names += std::string(shape.name) + ", ";
    std::string fields;
    for (const ShapeField& field : kFields) {
        fields += std::string(fields.empty() ? "" : ",") + field.name + "=N";
    }
    throw UsageError("--shape: " + what + "; give " + names + "or " + fields);
}

void set_named_shape(const NamedShape& shape, puna_synthetic_model_options& options) {
    options.n_embd = shape.n_embd;
    options.n_layer = shape.n_layer;
    options.n_head = shape.n_head;
    options.n_head_kv = shape.n_head_kv;
    options.n_ff = shape.n_ff;
    options.n_vocab = shape.n_vocab;
    options.n_ctx_train = shape.n_ctx_train;
    options.tied_output = shape.is_tied;
}

// One "name" or "field=number" of the list.
void set_shape_item(std::string_view item, puna_synthetic_model_options& options) {
    const size_t equals = item.find('=');
    const std::string name(item.substr(0, equals));
    if (equals == item.npos) {
        for (const NamedShape& shape : kShapes) {
            if (name == shape.name) return set_named_shape(shape, options);
        }
        refuse_shape("there is no shape '" + name + "'");
    }
    const std::string_view digits = item.substr(equals + 1);
    for (const ShapeField& field : kFields) {
        if (name != field.name) continue;
        int32_t value = 0;
        if (!read_number(digits, value) || value < 0) {
            refuse_shape("'" + std::string(item) + "' has no number");
        }
        options.*field.value = value;
        return;
    }
    refuse_shape("there is no field '" + name + "'");
}

// "NAME", "FIELD=N,...", or a name and fields that differ from it.
void set_shape(std::string_view text, puna_synthetic_model_options& options) {
    while (true) {
        const size_t comma = text.find(',');
        set_shape_item(text.substr(0, comma), options);
        if (comma == text.npos) break;
        text.remove_prefix(comma + 1);
    }
    for (const ShapeField& field : kFields) {
        const std::string_view name = field.name;
        const bool is_needed =
            name == "n_embd" || name == "n_layer" || name == "n_head" || name == "n_ff";
        if (is_needed && options.*field.value == 0) {
            refuse_shape(std::string(name) + " is missing");
        }
    }
}

uint64_t parse_size(const std::string& text) {
    constexpr std::string_view kUnits = "KMG";
    uint64_t value = 0;
    const char* const end = text.data() + text.size();
    auto parsed = std::from_chars(text.data(), end, value);
    uint64_t unit = 1;
    if (parsed.ec == std::errc() && parsed.ptr != end) {
        const size_t index = kUnits.find(*parsed.ptr);
        for (size_t i = 0; index != kUnits.npos && i <= index; ++i) unit *= 1000;
        if (index != kUnits.npos) ++parsed.ptr;
    }
    if (parsed.ec != std::errc() || parsed.ptr != end || value == 0 ||
        value > std::numeric_limits<uint64_t>::max() / unit) {
        throw UsageError("--split-size: must be bytes, with K, M or G for powers of 1000, not '" +
                         text + "'");
    }
    return value * unit;
}

}  // namespace

int make_model_command(const Arguments& arguments) {
    puna::SyntheticModelOptions options;
    std::string out, shape, type, vocabulary, split_size;
    bool pure = false;
    options.seed = 1;
    CommandLine line(
        "make-model",
        "Writes a model with random weights: its text means nothing, but it takes the time and\n"
        "memory of a real one of its shape and type.",
        "\nExamples:\n  puna make-model t.gguf --shape tinyllama-1.1b --type q4_k_m && puna bench "
        "t.gguf\n  puna make-model s.gguf --type q8_0 --shape stories15m,n_layer=2,n_vocab=1000\n");
    const auto take_out = [&out](const std::string& text) {
        if (text == "-") throw InvalidValue("must be a file: one that is called - is ./-");
        out = text;
    };
    line.value("OUT", take_out, "", "", "The GGUF file to write, replaced when all of it is there")
        .required();
    line.text("--shape", shape, "SHAPE",
              "tinyllama-1.1b, llama-3.2-1b, smollm2-135m, stories15m,\n"
              "or n_embd=N,n_layer=N,n_head=N,n_head_kv=N,n_ff=N,\n"
              "n_vocab=N, also head_dim, n_ctx and tied=1; fields\n"
              "after a name change that shape")
        .required();
    line.text("--type", type, "TYPE",
              "A block format (f32, f16, bf16, q8_0, iq4_xs, mxfp4, ...)\n"
              "or a mix as files are published in: q2_k, q3_k_s,\n"
              "q3_k_m, q3_k_l, q4_0, q4_k_s, q4_k_m, q5_0, q5_k_s,\n"
              "q5_k_m, q6_k, q8_0")
        .required();
    line.flag("--pure", pure, "All matrices in the format TYPE, the output too");
    line.text("--vocab", vocabulary, "MODEL",
              "Copy the tokenizer of this model, named as MODEL is\nelsewhere");
    line.number("--seed", options.seed, 1, std::numeric_limits<uint32_t>::max(),
                "The same seed gives the same file");
    line.text("--split-size", split_size, "SIZE",
              "Split into files of at most so many bytes of weights,\nor of one tensor: 500M, 2G");
    if (!line.parse(arguments)) return kDone;

    set_shape(shape, options);
    if (!split_size.empty()) options.part_bytes = parse_size(split_size);
    options.type = type.c_str();
    options.pure = pure;
    const Interrupt interrupt;
    options.cancel = interrupt.cancel().handle();
    if (!vocabulary.empty()) {
        vocabulary = model_path(vocabulary, interrupt);
        options.vocabulary = vocabulary.c_str();
        if (shape.find("n_vocab=") == shape.npos) options.n_vocab = 0;  // the file decides
    }
    ProgressBar progress("writing");
    options.on_progress = [&progress](float fraction) {
        progress.show(fraction);
        return true;
    };
    const auto n_files = puna::try_write_synthetic_model(options, out);
    if (!n_files.ok()) {
        const puna::Failure& failure = n_files.failure();
        if (failure.status == PUNA_ERROR_ARGUMENT) throw UsageError(failure.message);
        throw puna::Error(failure);
    }
    if (*n_files > 1) std::fprintf(stderr, "written in %d files\n", static_cast<int>(*n_files));
    return kDone;
}

}  // namespace cli
