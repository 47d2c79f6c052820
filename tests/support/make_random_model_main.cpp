// puna-random-model: writes a Llama-like model with random weights.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <map>
#include <string>

#include "support/random_model.h"

namespace {

using puna::test::encoding_named;
using puna::test::make_random_model;
using puna::test::ModelShape;
using puna::test::RopeScaling;

constexpr const char* kDescription =
    "Writes a GGUF file with a Llama-like model of random weights. Its text is noise made of\n"
    "made-up words, but it loads, tokenizes and runs like a trained model of the same shape:\n"
    "use it to try an installation, to test, and to measure speed. The same options give the\n"
    "same file on every machine.";

constexpr const char* kExamples =
    "\nEncodings: f32, f16, bf16, q8_0, q4_0. A matrix whose rows are no multiple of 32 numbers "
    "is\n"
    "stored as f16 when q8_0 or q4_0 is asked for.\n"
    "\n"
    "Examples:\n"
    "  puna-random-model demo.gguf\n"
    "  puna-random-model odd.gguf --n-embd 90 --n-head 6 --n-head-kv 1 --head-dim 20 --type f16\n"
    "  puna-random-model tinyllama-shape.gguf --n-embd 2048 --n-layer 22 --n-head 32 \\\n"
    "      --n-head-kv 4 --n-ff 5632 --n-vocab 32000 --type q8_0\n";

struct Options {
    std::string out;
    ModelShape shape;
    std::string type = "q8_0";
    std::string embedding_type;  // empty: type
    std::string output_type;     // empty: type
};

void add_shape_options(CLI::App& app, ModelShape& shape) {
    const auto option = [&app](const char* name, auto& field, const char* help) {
        app.add_option(name, field, help)->capture_default_str()->group("Shape");
    };
    const auto flag = [&app](const char* name, bool& field, const char* help) {
        app.add_flag(name, field, help)->group("Shape");
    };
    option("--n-embd", shape.n_embd, "Width of the model");
    option("--n-layer", shape.n_layer, "Number of layers");
    option("--n-head", shape.n_head, "Number of query heads");
    option("--n-head-kv", shape.n_head_kv, "Number of key and value heads; 0: --n-head");
    option("--head-dim", shape.head_dim, "Size of a query or key head; 0: --n-embd / --n-head");
    option("--value-dim", shape.value_dim, "Size of a value head; 0: --head-dim");
    option("--n-ff", shape.n_ff, "Width of the feed-forward part");
    option("--n-vocab", shape.n_vocab, "Number of tokens; below 259 there are no byte tokens");
    option("--n-ctx-train", shape.n_ctx_train, "Context length that the file names");
    option("--eps", shape.eps, "Epsilon of the norms");
    flag("--tied", shape.tied_output, "Use the embedding as the output matrix too");
    flag("--biases", shape.biases, "Biases on Q, K, V and the attention output");
    flag("--ffn-biases", shape.ffn_biases, "Biases on gate, up and down");
    app.add_flag_callback(
           "--no-tokenizer", [&shape] { shape.with_tokenizer = false; }, "Leave the tokenizer out")
        ->group("Shape");
}

void add_rope_options(CLI::App& app, ModelShape& shape) {
    const std::map<std::string, RopeScaling> scalings = {{"none", RopeScaling::kNone},
                                                         {"linear", RopeScaling::kLinear},
                                                         {"llama3", RopeScaling::kLlama3}};
    const auto option = [&app](const char* name, auto& field, const char* help) {
        app.add_option(name, field, help)->capture_default_str()->group("Rotary positions");
    };
    option("--rope-dim", shape.rope_dim, "Rotated numbers of a head; 0: --head-dim");
    option("--rope-base", shape.rope_base, "Base of the frequencies");
    app.add_option("--rope-scaling", shape.rope_scaling, "none, linear, or llama3 (rope_freqs)")
        ->transform(CLI::CheckedTransformer(scalings).description(""))
        ->option_text("NAME [none]")
        ->group("Rotary positions");
    option("--rope-factor", shape.rope_factor, "Factor of the scaling");
    option("--rope-original-ctx", shape.rope_original_ctx, "llama3: context before the scaling");
}

void add_options(CLI::App& app, Options& options) {
    app.add_option("OUT", options.out, "The file to write")->required();
    app.add_option("--seed", options.shape.seed, "Seed of the weights")->capture_default_str();
    const auto encoding = [&app](const char* name, std::string& field, const char* help) {
        return app.add_option(name, field, help)
            ->check(CLI::IsMember({"f32", "f16", "bf16", "q8_0", "q4_0"}).description(""))
            ->group("Encoding");
    };
    encoding("--type", options.type, "Encoding of the matrices")->capture_default_str();
    encoding("--embedding-type", options.embedding_type, "Of the embedding; default: --type");
    encoding("--output-type", options.output_type, "Of the output matrix; default: --type");
    add_shape_options(app, options.shape);
    add_rope_options(app, options.shape);
}

void write_model(Options options) {
    ModelShape& shape = options.shape;
    const auto or_type = [&](const std::string& name) {
        return encoding_named(name.empty() ? options.type : name);
    };
    shape.matrix_encoding = encoding_named(options.type);
    shape.embedding_encoding = or_type(options.embedding_type);
    shape.output_encoding = or_type(options.output_type);
    make_random_model(shape).save(options.out);
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    options.shape.n_embd = 256;
    options.shape.n_layer = 4;
    options.shape.n_head = 8;
    options.shape.n_head_kv = 4;
    options.shape.n_ff = 704;
    options.shape.n_vocab = 2048;

    CLI::App app(kDescription, "puna-random-model");
    app.allow_windows_style_options(false);  // "/tmp/model.gguf" is a path
    app.footer(kExamples);
    add_options(app, options);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    try {
        write_model(options);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "puna-random-model: %s\n", error.what());
        return 1;
    }
    return 0;
}
