#include <algorithm>
#include <bit>
#include <cstring>
#include <span>
#include <stdexcept>
#include <vector>

#include "commands.h"
#include "engine.h"
#include "errors.h"
#include "files.h"
#include "token_list.h"

namespace cli {
namespace {

std::string_view little_endian_bytes(std::span<float> row) {
    if constexpr (std::endian::native == std::endian::big) {
        for (float& value : row) {
            char* const bytes = reinterpret_cast<char*>(&value);
            std::reverse(bytes, bytes + sizeof value);
        }
    }
    return {reinterpret_cast<const char*>(row.data()), row.size_bytes()};
}

// The value of --tokens, or what the file it names holds.
std::vector<puna::Token> read_tokens(const std::string& value, const Interrupt& interrupt) {
    std::vector<puna::Token> tokens;
    if (value.starts_with('@')) {
        const std::string path = value.substr(1);
        tokens =
            parse_tokens(read_file(path, interrupt), path == "-" ? "standard input" : path.c_str());
    } else {
        try {
            tokens = parse_tokens(value, "--tokens");
        } catch (const std::runtime_error& error) {
            throw UsageError(error.what());
        }
    }
    if (tokens.empty()) throw std::runtime_error("--tokens: there are none to evaluate");
    if (tokens.size() > PUNA_MAX_CTX) {
        throw std::runtime_error("--tokens: there are " + std::to_string(tokens.size()) +
                                 ", and the largest context holds " + std::to_string(PUNA_MAX_CTX));
    }
    return tokens;
}

// Rows of a batch are written before the next one is evaluated: the memory they take is bounded.
void write_logits(const puna::Model& model, std::span<const puna::Token> tokens,
                  const EngineOptions& options, OutputFile& out, const Interrupt& interrupt) {
    const puna_model_info info = model.info();
    const auto n_vocab = static_cast<size_t>(info.n_vocab);
    for (const puna::Token token : tokens) check_token(token, info.n_vocab, "--tokens");
    const size_t n_batch = std::min(tokens.size(), static_cast<size_t>(options.n_batch));
    auto context_options = cli::context_options(options, static_cast<int32_t>(tokens.size()));
    context_options.n_batch = static_cast<int32_t>(n_batch);
    puna::Context context = make_context(model, context_options, "fewer --tokens");
    puna::Sequence sequence = context.sequence();
    std::vector<float> rows(n_batch * n_vocab);
    for (; !tokens.empty(); tokens = tokens.subspan(std::min(n_batch, tokens.size()))) {
        const auto batch = tokens.first(std::min(n_batch, tokens.size()));
        const auto logits = std::span(rows).first(batch.size() * n_vocab);
        sequence.evaluate(batch, logits, PUNA_OUTPUT_LOGITS_ALL, &interrupt.cancel());
        out.write(little_endian_bytes(logits));
    }
}

}  // namespace

int logits_command(const Arguments& arguments) {
    EngineOptions options;
    // These numbers are there to be compared with others': the cache shall not round them.
    options.kv_type_k = options.kv_type_v = PUNA_KV_F32;
    std::string token_text, out_path;
    CommandLine line("logits",
                     "Evaluates tokens from an empty cache and writes a row of logits for each: "
                     "as many\nlittle-endian float32 numbers as the vocabulary has entries.",
                     "\nExamples:\n  puna logits tinyllama.gguf --tokens 1,15043,3186 --out "
                     "logits.f32\n  puna tokenize M.gguf < text | puna logits M.gguf --tokens @- "
                     "--out logits.f32\n");
    add_model(line, options.model);
    line.text("--tokens", token_text, "IDS",
              "Token ids: 1,2,3; or @FILE, a file with such a\n"
              "list or with the output of 'puna tokenize'; @- is\nstandard input")
        .required();
    line.text("--out", out_path, "FILE",
              "The file to write, replaced when all rows are\nthere; - is standard output")
        .required();
    add_engine_options(line, options);
    if (!line.parse(arguments)) return kDone;

    const Interrupt interrupt;
    find_model(options, interrupt);
    if (is_same_file(out_path, options.model)) {
        throw UsageError("--out " + out_path + " is the model: name another file");
    }
    const auto tokens = read_tokens(token_text, interrupt);
    const puna::Model model = load_model(options, interrupt);
    OutputFile out(out_path);
    write_logits(model, tokens, options, out, interrupt);
    out.finish();
    return kDone;
}

}  // namespace cli
