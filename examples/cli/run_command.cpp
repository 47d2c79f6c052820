#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <stdexcept>

#include "commands.h"
#include "engine.h"
#include "errors.h"
#include "files.h"
#include "printer.h"
#include "roofline.h"
#include "token_list.h"

namespace cli {
namespace {

using Clock = std::chrono::steady_clock;

struct RunOptions {
    EngineOptions engine;
    SamplingOptions sampling;
    TokenizeOptions tokenize;
    std::string prompt;
    std::string prompt_file = "-";
    int32_t n_ctx = 0;
    bool has_prompt = false;
    bool json = false;
    bool stream = false;
    bool roofline = false;
};

constexpr const char* kDescription =
    "Continues a text. Standard output gets exactly the text that the model adds, piece by piece,\n"
    "and a terminal the prompt before it; speed and seed go to standard error.\n"
    "Without -p and -f the prompt is read from standard input.";

constexpr const char* kFooter =
    "\nControl tokens that are spelled out in the prompt, such as \"</s>\", are read as such, but "
    "for\n--no-special. Nothing else in it is interpreted, \"\\n\" is a backslash and an n. "
    "Ctrl-C ends the\ntext, a second one the program.\n"
    "\nExamples:\n"
    "  puna run demo -p \"Once upon a time\"\n"
    "  puna run tinyllama.gguf -p \"Once upon a time\" -n 100\n"
    "  puna run tinyllama.gguf -f question.txt --temperature 0 --stop \"Question:\"\n"
    "  puna run tinyllama.gguf -p \"1, 2, 3,\" -n 8 --json --logprobs 3\n";

bool parse(RunOptions& options, const Arguments& arguments) {
    CommandLine line("run", kDescription, kFooter);
    add_model(line, options.engine.model);

    line.group("Prompt");
    Option prompt = line.text("-p,--prompt", options.prompt, "TEXT", "The prompt");
    Option file = line.text("-f,--file", options.prompt_file, "FILE",
                            "File with the prompt, taken byte for byte;\n"
                            "- is standard input");
    prompt.excludes(file);
    add_tokenize_options(line, options.tokenize);

    add_sampling_options(line, options.sampling);

    line.group("Output");
    Option json = line.flag("--json", options.json,
                            "Print one JSON document: a completion as the OpenAI\nAPI has it");
    line.flag("--stream", options.stream,
              "With --json: a document per line for each piece of\ntext (plain text is "
              "always streamed)");
    line.number("--logprobs", options.sampling.generation.n_logprobs, 0, PUNA_MAX_LOGPROBS,
                "With --json: the log probabilities of each token\nand of the N likeliest ones")
        .needs(json);

    line.flag("--roofline", options.roofline,
              "Measure at the end how fast this machine reads memory,\nand say how near to that "
              "the text came")
        .excludes(json);

    add_engine_options(line, options.engine);
    line.number("--ctx", options.n_ctx, 0, PUNA_MAX_CTX,
                "Tokens that prompt and text may have together; 0:\nwhat they need, as far as the "
                "model was trained for");
    if (!line.parse(arguments)) return false;
    options.has_prompt = prompt.is_given();
    return true;
}

std::string read_prompt(const RunOptions& options, const Interrupt& interrupt) {
    if (options.has_prompt) return options.prompt;
    if (options.prompt_file == "-" && is_terminal(stdin)) {
        std::fputs("puna: type the prompt, and Ctrl-D on a line of its own to end it\n", stderr);
    }
    return read_file(options.prompt_file, interrupt);
}

std::vector<puna::Token> prompt_tokens(const puna::Model& model, const std::string& prompt,
                                       const TokenizeOptions& options) {
    auto tokens = model.tokenize(prompt, options.flags());
    // A text that is to go on does not end here, whatever the model adds to whole texts.
    if (model.info().adds_eos != 0 && !options.no_bos && !tokens.empty()) tokens.pop_back();
    if (tokens.empty()) {
        throw std::runtime_error(
            "the prompt is empty, and no token for the beginning of the text is added to it: "
            "there is nothing to continue");
    }
    return tokens;
}

// Room for the prompt and what is to follow, within what the model was trained for.
int32_t context_size(const RunOptions& options, size_t n_prompt, int32_t n_ctx_train) {
    constexpr int64_t kOpenEnd = 4096;
    const int64_t n_predict = options.sampling.n_predict;
    const int64_t wanted = static_cast<int64_t>(n_prompt) + (n_predict < 0 ? kOpenEnd : n_predict);
    const int64_t n_ctx =
        options.n_ctx > 0 ? options.n_ctx : std::min<int64_t>({wanted, n_ctx_train, PUNA_MAX_CTX});
    if (static_cast<int64_t>(n_prompt) > n_ctx) {
        throw std::runtime_error("the prompt has " + std::to_string(n_prompt) +
                                 " tokens, the context holds " + std::to_string(n_ctx) +
                                 ": shorten the prompt or raise --ctx (the model was trained for " +
                                 std::to_string(n_ctx_train) + ")");
    }
    return static_cast<int32_t>(n_ctx);
}

puna::GenerationOptions generation_options(const SamplingOptions& sampling,
                                           const Interrupt& interrupt) {
    puna::GenerationOptions options = sampling.generation;
    options.max_tokens = std::max(sampling.n_predict, 0);
    options.prompt_only = sampling.n_predict == 0;
    options.cancel = interrupt.cancel().handle();
    return options;
}

std::unique_ptr<Printer> make_printer(const RunOptions& options, const puna::Model& model,
                                      const std::string& prompt) {
    if (!options.json) return text_printer(prompt);
    const auto make = options.stream ? json_stream_printer : json_printer;
    return make(options.engine.model, model, options.sampling.generation.n_logprobs > 0);
}

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

// Prints all of it; what was generated before a Ctrl-C counts as well.
void print_generation(puna::Generation& generation, Printer& printer, Timings& timings) {
    const auto start = Clock::now();
    for (;;) {
        const auto event = generation.try_next();
        if (!event.ok()) {
            if (event.failure().status == PUNA_ERROR_CANCELLED) continue;  // DONE follows
            printer.failed();
            throw puna::Error(event.failure());
        }
        if (event->done()) break;
        if (!timings.seconds_to_first_token) timings.seconds_to_first_token = seconds_since(start);
        printer.event(*event);
    }
    timings.info = generation.info();
    if (timings.info.finish == PUNA_FINISH_ERROR) {
        printer.failed();
        throw std::runtime_error("the generation broke off: out of memory");
    }
    printer.done(timings);
}

}  // namespace

int run_command(const Arguments& arguments) {
    RunOptions options;
    if (!parse(options, arguments)) return kDone;
    const Interrupt interrupt;
    find_model(options.engine, interrupt);

    Timings timings;
    auto start = Clock::now();
    const puna::Model model = load_model(options.engine, interrupt);
    timings.load_seconds = seconds_since(start);

    for (const puna_logit_bias& bias : options.sampling.generation.bias) {
        check_token(bias.token, model.info().n_vocab, "--logit-bias");
    }

    const std::string prompt = read_prompt(options, interrupt);
    const auto tokens = prompt_tokens(model, prompt, options.tokenize);
    const int32_t n_ctx = context_size(options, tokens.size(), model.info().n_ctx_train);
    start = Clock::now();
    puna::Context context =
        make_context(model, context_options(options.engine, n_ctx), "a smaller --ctx");
    timings.load_seconds += seconds_since(start);

    puna::Sequence sequence = context.sequence();
    puna::Generation generation =
        sequence.generate(tokens, generation_options(options.sampling, interrupt));
    const auto printer = make_printer(options, model, prompt);
    print_generation(generation, *printer, timings);
    if (options.roofline && timings.info.finish != PUNA_FINISH_CANCELLED) {
        const std::string text = roofline_text(model, context, timings, interrupt.cancel());
        std::fprintf(stderr, "%s\n", text.c_str());
    }
    return timings.info.finish == PUNA_FINISH_CANCELLED ? kInterrupted : kDone;
}

}  // namespace cli
